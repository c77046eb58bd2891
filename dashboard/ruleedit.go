package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

// presetCard is a preset as it is offered.
type presetCard struct {
	preset
	Holds bool            // it is what applies now
	Then  []template.HTML // what it comes to, with its number as offered
}

type ruleEditPage struct {
	page
	ruleScope
	ETag      string // of the rule as it was read; "": there was none
	Set       bool   // there is one
	Form      *ruleForm
	Presets   []presetCard
	Then      []template.HTML // what applies now
	Inherited client.EffectiveRule
	Platforms []string // to choose from
	Open      bool     // all settings are shown
	Changed   *changedMeanwhile
	tell      teller
}

// changedMeanwhile says what somebody else has made of a rule while it was edited.
type changedMeanwhile struct {
	Words []template.HTML // the rule as it is now; none: it sets nothing
	Unset bool            // there is none now
}

// Parts are the form's parts.
func (*ruleEditPage) Parts() []string { return ruleParts() }

// Inherits says what holds for a field that is left out.
func (p *ruleEditPage) Inherits(name string) []template.HTML {
	return p.tell.fieldWords(name, p.Inherited.Rule)
}

// From is the level that it comes from.
func (p *ruleEditPage) From(name string) string { return string(p.Inherited.Origin[name]) }

// Wrong are the names of the inputs with a problem, in the order of the form.
func (p *ruleEditPage) Wrong() []string {
	var out []string
	for input := range p.Form.Wrong {
		out = append(out, input)
	}
	place := func(input string) int {
		name, _, _ := strings.Cut(input, ".")
		return slices.IndexFunc(ruleFieldTable, func(f ruleField) bool { return f.Name == name })
	}
	slices.SortFunc(out, func(a, b string) int {
		if x, y := place(a), place(b); x != y {
			return x - y
		}
		return strings.Compare(a, b)
	})
	return out
}

// FieldOf is the field that an input belongs to; "": to none.
func (*ruleEditPage) FieldOf(input string) string {
	name, _, _ := strings.Cut(input, ".")
	if _, ok := fieldNamed(name); ok {
		return name
	}
	return ""
}

// TextCodes are those that clients are told a text for.
func (*ruleEditPage) TextCodes() []string { return rules.TextCodes() }

// Units are those of times, as they are chosen.
func (*ruleEditPage) Units() []string {
	var out []string
	for _, u := range slices.Backward(spanUnits) {
		out = append(out, u.name)
	}
	return out
}

// editRule shows the editor of a scope's rule.
func (d *Dashboard) editRule(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.query)
	if err != nil {
		return err
	}
	stored, err := v.storedRule(scope)
	if problemOf(err) != nil { // what was typed is no domain, group or account
		v.tell("bad", "rules.wrong.subject", said(err).Detail)
		return v.redirect(Root + "/rules")
	} else if err != nil {
		return err
	}
	form, err := formOf(stored.Rule, stored.ExpiresAt)
	if err != nil {
		return err
	}
	p, err := v.ruleEditPage(scope, stored, form)
	if err != nil {
		return err
	}
	p.Open = v.query.Get("all") != ""
	return v.render(http.StatusOK, "rules_edit", p)
}

// ruleEditPage makes the editor: stored is the rule as it is, form as it is edited.
func (v *visit) ruleEditPage(scope ruleScope, stored *client.StoredRule, form *ruleForm) (*ruleEditPage, error) {
	if !v.mayChange(scope.Level) {
		return nil, refuse(http.StatusForbidden)
	}
	under, err := v.under(scope)
	if err != nil {
		return nil, err
	}
	p := &ruleEditPage{page: v.page("rules.edit.title"), ruleScope: scope, ETag: stored.ETag, Set: stored.ETag != "", Form: form, tell: v.teller()}
	if p.Inherited, err = mergeRules(under...); err != nil {
		return nil, err
	}
	now, err := mergeRules(append([]levelRule{{scope.Level, stored.Rule}}, under...)...)
	if err != nil {
		return nil, err
	}
	p.Then = p.tell.consequence(now.Rule)
	held := map[string]bool{} // what the presets that hold come to: of two that are the same, the first says it
	for _, pre := range presets() {
		card := presetCard{preset: pre}
		if n, ok := pre.matches(now.Rule); ok {
			card.Holds, card.N = !held[pre.text(n)], n
			held[pre.text(n)] = true
		}
		made, err := pre.over(now.Rule, card.N)
		if err != nil {
			return nil, err
		}
		card.Then = p.tell.consequence(made)
		p.Presets = append(p.Presets, card)
	}
	p.Platforms = v.platformNames()
	return p, nil
}

// changeRows adds a row to the edited form or takes one away, and shows it again; from the preview, it only shows it again.
func (d *Dashboard) changeRows(v *visit) error {
	defer v.within(pageTimeout)()
	scope, err := scopeOf(v.r.PostForm)
	if err != nil {
		return err
	}
	form := readForm(v.r.PostForm)
	do, what, _ := strings.Cut(v.form("do"), ":")
	name, row, _ := strings.Cut(what, ".")
	ff := form.field(name)
	switch {
	case do == "add" && ff.Listed():
		ff.addRow()
	case do == "remove" && ff.Listed():
		i, err := strconv.Atoi(row)
		if err != nil {
			return refuse(http.StatusBadRequest)
		}
		ff.removeRow(i)
	}
	return v.againRule(http.StatusOK, scope, form, nil)
}

// againRule shows the editor again with what was typed. Who goes on from there still changes the rule that was read first; with changed, the one that is there now.
func (v *visit) againRule(status int, scope ruleScope, form *ruleForm, stored *client.StoredRule) error {
	changed := stored != nil
	if !changed {
		var err error
		if stored, err = v.storedRule(scope); err != nil {
			return err
		}
	}
	p, err := v.ruleEditPage(scope, stored, form)
	if err != nil {
		return err
	}
	p.Open, p.Presets = true, nil // what is being edited comes first
	if changed {
		p.Changed = &changedMeanwhile{p.tell.ruleWords(stored.Rule), stored.ETag == ""}
	} else {
		p.ETag = v.form("etag")
	}
	return v.render(status, "rules_edit", p)
}

// presetForm is the stored rule with the posted preset over it; nil: no preset was posted. A number that is none is noted.
func (v *visit) presetForm(scope ruleScope, in url.Values) (*ruleForm, *client.StoredRule, error) {
	pre, ok := presetNamed(in.Get("preset"))
	if !ok {
		return nil, nil, nil
	}
	stored, err := v.storedRule(scope)
	if err != nil {
		return nil, nil, err
	}
	n, ok := pre.number(strings.TrimSpace(in.Get("n")))
	if !ok {
		n = pre.N
	}
	r, err := pre.over(stored.Rule, n)
	if err != nil {
		return nil, nil, err
	}
	form, err := formOf(r, stored.ExpiresAt)
	if err == nil && !ok {
		form.wrong("", "rules.wrong.preset")
	}
	return form, stored, err
}

// ChoiceKey is a choice's value as it is in the keys of texts.
func (*ruleEditPage) ChoiceKey(value string) string { return choiceKey(value) }

// Nth is the number of a row, for people.
func (*ruleEditPage) Nth(row int) int { return row + 1 }
