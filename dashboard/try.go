package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// tryForm is a login that might be, as it was typed.
type tryForm struct {
	Account, Resource, Platform, DeviceID, IP, Grant string
}

type tryPage struct {
	page
	Form      tryForm
	Wrong     map[string]*formProblem // by the name of the input; "": the whole
	Platforms []string
	Devices   []client.Device // of the account, as far as they fit into a list
	Verdict   *tryVerdict
}

// tryVerdict is what would come of the login.
type tryVerdict struct {
	*client.Decision
	Leaving []client.Session // who would go, or stands in the way
	Words   []template.HTML  // the field that decided; none: no field did
	From    ruleScope        // where it is set
}

const devicesToTry = 50

// try shows the form, filled with what the request names.
func (d *Dashboard) try(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.tryPage(v.query)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "try", p)
}

func (v *visit) tryPage(in url.Values) (*tryPage, error) {
	get := func(name string) string { return strings.TrimSpace(in.Get(name)) }
	p := &tryPage{
		page: v.page("try.title"), Wrong: map[string]*formProblem{}, Platforms: v.platformNames(),
		Form: tryForm{get("account"), in.Get("resource"), get("platform"), get("device_id"), get("ip"), get("grant")},
	}
	if p.Form.Account == "" {
		return p, nil
	}
	next := ""
	devices, err := client.Collect(v.api().ListDevices(v.ctx, p.Form.Account, client.ListOptions{PageSize: devicesToTry, Next: &next}))
	if err != nil && problemOf(err) == nil && !isMissing(err) {
		return nil, err
	}
	p.Devices = devices
	return p, nil
}

// tryLogin evaluates the login. It changes nothing, so that its answer is the page itself; a grant in it has no place in an address.
func (d *Dashboard) tryLogin(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.tryPage(v.r.PostForm)
	if err != nil {
		return err
	}
	f := p.Form
	decision, err := v.api().Evaluate(v.ctx, client.EvaluateRequest{Account: f.Account, Resource: f.Resource, Platform: f.Platform, DeviceID: f.DeviceID, IP: f.IP, Grant: f.Grant})
	e := said(err)
	switch {
	case f.Account == "":
		p.Wrong["account"] = &formProblem{Key: "try.wrong.account"}
	case isMissing(err):
		p.Wrong["account"] = &formProblem{Key: "try.wrong.missing"}
	case problemOf(err) != nil:
		p.Wrong[strings.TrimPrefix(e.Field, "/")] = &formProblem{Detail: e.Detail}
	case err != nil:
		return err
	default:
		if p.Verdict, err = v.verdict(decision); err != nil {
			return err
		}
		return v.render(http.StatusOK, "try", p)
	}
	return v.render(http.StatusUnprocessableEntity, "try", p)
}

// verdict reads what a decision is about.
func (v *visit) verdict(d *client.Decision) (*tryVerdict, error) {
	out := &tryVerdict{Decision: d}
	for _, id := range d.Evicted {
		s, err := v.api().GetSession(v.ctx, id)
		switch {
		case err == nil:
			out.Leaving = append(out.Leaving, *s)
		case !isMissing(err):
			return nil, err
		}
	}
	if d.RuleField == "" {
		return out, nil
	}
	group := ""
	account, err := v.api().GetAccount(v.ctx, d.Account)
	switch {
	case err == nil:
		group = account.Group
	case !isMissing(err):
		return nil, err
	}
	e, err := v.api().GetEffectiveRule(v.ctx, d.Account)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(d.Account, "@")
	out.Words = v.teller().fieldWords(d.RuleField, e.Rule)
	switch d.RuleLevel {
	case client.LevelAccount:
		out.From = ruleScope{client.LevelAccount, d.Account}
	case client.LevelGroup:
		out.From = ruleScope{client.LevelGroup, group}
	case client.LevelDomain:
		out.From = ruleScope{client.LevelDomain, domain}
	case client.LevelDefault:
		out.From = defaultScope
	}
	return out, nil
}
