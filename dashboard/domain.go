package dashboard

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/client"
)

type domainPage struct {
	page
	Name     string
	Domain   client.Domain   // zero: nothing is on record of it
	Set      bool            // it has a rule
	Words    []template.HTML // of it
	Then     []template.HTML // what applies there
	Changes  bool            // the user may change it
	Typed    string          // the language, as it was typed
	Wrong    *formProblem
	Accounts string // address of its sessions
}

// domain shows a domain: its rule, and the language of what its accounts are told.
func (d *Dashboard) domain(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.domainPage(strings.TrimSpace(v.query.Get("name")))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "rules_domain", p)
}

func (v *visit) domainPage(name string) (*domainPage, error) {
	if name == "" {
		return nil, refuse(http.StatusNotFound)
	}
	p := &domainPage{page: v.page("rules.domain.title"), Name: name, Changes: v.mayChange(client.LevelDomain)}
	p.Live = &liveOf{Types: []string{"rule"}}
	scope := ruleScope{client.LevelDomain, name}
	stored, err := v.storedRule(scope)
	if err != nil {
		return nil, err
	}
	under, err := v.under(scope)
	if err != nil {
		return nil, err
	}
	e, err := mergeRules(append([]levelRule{{scope.Level, stored.Rule}}, under...)...)
	if err != nil {
		return nil, err
	}
	t := v.teller()
	p.Set, p.Words, p.Then = stored.ETag != "", t.ruleWords(stored.Rule), t.consequence(e.Rule)
	for one, err := range v.api().ListDomains(v.ctx, client.ListOptions{PageSize: 500}) {
		if err != nil {
			return nil, err
		}
		if one.Name == name {
			p.Domain, p.Typed = one, one.Lang
			break
		}
	}
	return p, nil
}

// changeDomain sets the language of texts to a domain's accounts.
func (d *Dashboard) changeDomain(v *visit) error {
	defer v.within(pageTimeout)()
	name, lang := v.form("name"), v.form("lang")
	if name == "" {
		return refuse(http.StatusNotFound)
	}
	_, err := v.api().ChangeDomain(v.once(), name, lang)
	if problemOf(err) != nil {
		p, again := v.domainPage(name)
		if again != nil {
			return again
		}
		p.Typed, p.Wrong = lang, &formProblem{Detail: said(err).Detail}
		return v.render(http.StatusUnprocessableEntity, "rules_domain", p)
	} else if err != nil {
		return err
	}
	if lang == "" {
		v.done("rules.domain.lang.unset", name)
	} else {
		v.done("rules.domain.lang.set", name, lang)
	}
	return v.redirect(link("/rules/domain", "name", name))
}
