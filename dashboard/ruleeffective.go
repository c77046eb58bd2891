package dashboard

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// effectiveView is what holds for an account, field by field, and where each comes from.
type effectiveView struct {
	Account string
	Then    []template.HTML // what it comes to
	Parts   []effectivePart
}

type effectivePart struct {
	Name   string
	Fields []effectiveField
}

type effectiveField struct {
	Name  string // in JSON
	Words []template.HTML
	From  ruleScope // the level that it comes from
}

// effective reads what holds for an account, for its page and its own. group is the account's; "": none.
func (v *visit) effective(jid, group string) (*effectiveView, error) {
	e, err := v.api().GetEffectiveRule(v.ctx, jid)
	if err != nil {
		return nil, err
	}
	t := v.teller()
	_, domain, _ := strings.Cut(jid, "@")
	from := map[client.Level]ruleScope{
		client.LevelAccount: {client.LevelAccount, jid}, client.LevelGroup: {client.LevelGroup, group}, client.LevelDomain: {client.LevelDomain, domain}, client.LevelDefault: defaultScope,
	}
	view := &effectiveView{Account: jid, Then: t.consequence(e.Rule)}
	for _, part := range ruleParts() {
		ep := effectivePart{Name: part}
		for _, f := range ruleFieldTable {
			if f.Part == part {
				ep.Fields = append(ep.Fields, effectiveField{f.Name, t.fieldWords(f.Name, e.Rule), from[e.Origin[f.Name]]})
			}
		}
		view.Parts = append(view.Parts, ep)
	}
	return view, nil
}

type effectivePage struct {
	page
	*effectiveView
	Group   string
	Changes bool // the user may change the account's own rule
}

// effectiveRule shows what holds for an account.
func (d *Dashboard) effectiveRule(v *visit) error {
	defer v.within(pageTimeout)()
	jid := strings.TrimSpace(v.query.Get("jid"))
	if jid == "" {
		return refuse(http.StatusNotFound)
	}
	p := &effectivePage{page: v.page("rules.effective.title"), Changes: v.mayChange(client.LevelAccount)}
	account, err := v.api().GetAccount(v.ctx, jid)
	switch {
	case err == nil:
		jid, p.Group = account.JID, account.Group
	case !isMissing(err):
		return err
	}
	if p.effectiveView, err = v.effective(jid, p.Group); err != nil {
		return err
	}
	p.Live = &liveOf{Types: []string{"rule"}}
	return v.render(http.StatusOK, "rules_effective", p)
}
