package dashboard

import (
	"html/template"
	"net/http"

	"github.com/bindgate/bindgate/client"
)

type ruleDeletePage struct {
	page
	ruleScope
	ETag     string
	Words    []template.HTML // what goes
	Then     []template.HTML // what applies then
	Changes  []ruleChange
	Preview  *rulePreview
	Conflict bool // it is another rule by now
}

// askDeleteRule asks whether a scope's rule is to go, and says what that would come to.
func (d *Dashboard) askDeleteRule(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.query)
	if err != nil {
		return err
	}
	p, err := v.ruleDeletePage(scope)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "rules_delete", p)
}

func (v *visit) ruleDeletePage(scope ruleScope) (*ruleDeletePage, error) {
	if !v.mayChange(scope.Level) {
		return nil, refuse(http.StatusForbidden)
	}
	stored, err := v.storedRule(scope)
	if err != nil {
		return nil, err
	}
	if stored.ETag == "" {
		return nil, refuse(http.StatusNotFound)
	}
	preview, err := v.preview(client.PreviewRequest{Level: scope.Level, Subject: scope.Subject})
	if err != nil {
		return nil, err
	}
	before, after, err := v.beforeAndAfter(scope, stored.Rule)
	if err != nil {
		return nil, err
	}
	t := v.teller()
	return &ruleDeletePage{
		page: v.page("rules.delete.title"), ruleScope: scope, ETag: stored.ETag, Words: t.ruleWords(stored.Rule), Then: t.consequence(after.Rule),
		Changes: t.changes(before.Rule, after.Rule), Preview: preview,
	}, nil
}

// deleteRule unsets a scope's rule as it was when it was asked.
func (d *Dashboard) deleteRule(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.r.PostForm)
	if err != nil {
		return err
	}
	o := client.RuleOptions{IfMatch: v.form("etag"), Apply: client.Apply(oneOf(v.form("apply"), string(client.ApplyNextLogin), string(client.ApplyNow)))}
	kick, err := v.deleteRule(scope, o)
	if isConflict(err) {
		p, err := v.ruleDeletePage(scope)
		if err != nil {
			return err
		}
		p.Conflict = true
		return v.render(http.StatusConflict, "rules_delete", p)
	} else if err != nil {
		return err
	}
	return v.afterRule(scope, kick, "rules.done.deleted")
}
