package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// typedFrom is how many sessions a kick has to be for, or more, that its number has to be typed.
const typedFrom = 20

type newKickPage struct {
	page
	Form      kickForm
	Domains   []string
	Platforms []string
	States    []choice
	Ages      []choice
	Words     []choice // a text for each language; Value is the language
	Problem   *problem
}

// kickForm is a kick as it is typed.
type kickForm struct {
	All                               bool
	Domain, Group, Platform, Resource string
	State, Age                        string
	Reason                            string
	Texts                             map[string]string
	Cooldown                          string
	Block, Revoke                     bool
}

// ages are the choices for how long a session has lasted, in seconds.
var ages = []string{"3600", "86400", "604800", "2592000"}

// newKick is the form of a kick of all sessions that a filter finds.
func (d *Dashboard) newKick(v *visit) error {
	defer v.within(pageTimeout)()
	return v.renderNewKick(http.StatusOK, readKickForm(v.query), nil)
}

func (v *visit) renderNewKick(status int, f kickForm, wrong *problem) error {
	stats, err := v.api().GetStats(v.ctx)
	if err != nil {
		return err
	}
	p := &newKickPage{page: v.page("kicks.new.title"), Form: f, Platforms: platformNames(stats), Problem: wrong}
	for _, s := range stats.Domains {
		p.Domains = append(p.Domains, s.Domain)
	}
	slices.Sort(p.Domains)
	for _, s := range kickableStates {
		p.States = append(p.States, choice{string(s), v.d.words.label(v.lang, "state", string(s)), string(s) == f.State})
	}
	for _, a := range ages {
		p.Ages = append(p.Ages, choice{a, v.t("kicks.age." + a), a == f.Age})
	}
	for _, l := range languages {
		p.Words = append(p.Words, choice{Value: l, Label: f.Texts[l]})
	}
	return v.render(status, "kicks_new", p)
}

func readKickForm(q url.Values) kickForm {
	field := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f := kickForm{
		All: q.Get("all") != "", Domain: field("domain"), Group: field("group"), Platform: field("platform"), Resource: q.Get("resource"), State: field("state"), Age: field("age"),
		Reason: field("reason"), Cooldown: field("cooldown"), Block: q.Get("block") != "", Revoke: q.Get("revoke") != "", Texts: map[string]string{},
	}
	for _, l := range languages {
		f.Texts[l] = field("text_" + l)
	}
	return f
}

// values are the form's fields, to be sent again.
func (f kickForm) values() []choice {
	pairs := []choice{
		{Value: "domain", Label: f.Domain}, {Value: "group", Label: f.Group}, {Value: "platform", Label: f.Platform}, {Value: "resource", Label: f.Resource},
		{Value: "state", Label: f.State}, {Value: "age", Label: f.Age}, {Value: "reason", Label: f.Reason}, {Value: "cooldown", Label: f.Cooldown},
	}
	for name, ticked := range map[string]bool{"all": f.All, "block": f.Block, "revoke": f.Revoke} {
		if ticked {
			pairs = append(pairs, choice{Value: name, Label: "1"})
		}
	}
	for _, l := range languages {
		pairs = append(pairs, choice{Value: "text_" + l, Label: f.Texts[l]})
	}
	return slices.DeleteFunc(pairs, func(c choice) bool { return c.Label == "" })
}

// request is the kick for the API, which judges it; field names the one of the form that is no number.
func (f kickForm) request() (k client.BulkKickRequest, field string) {
	k = client.BulkKickRequest{
		Filter: client.KickFilter{All: f.All, Domain: f.Domain, Group: f.Group, Platform: f.Platform, State: client.SessionState(f.State), Resource: f.Resource},
		Reason: f.Reason, BlockDevices: f.Block, RevokeCredentials: f.Revoke,
	}
	seconds := func(name, text string) client.Seconds {
		if text == "" {
			return 0
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			field = name
		}
		return client.Seconds(n)
	}
	k.Filter.OlderThan, k.Cooldown = seconds("age", f.Age), seconds("cooldown", f.Cooldown)
	for l, text := range f.Texts {
		if text != "" {
			if k.Text == nil {
				k.Text = map[string]string{}
			}
			k.Text[l] = text
		}
	}
	return k, field
}

type askBulkKickPage struct {
	page
	Filter   client.KickFilter
	Form     kickForm
	Hidden   []choice
	Count    *client.KickCount
	Typed    bool // the number has to be typed
	Mistyped bool
	Back     string
	Problem  *problem
}

// askBulkKick counts what a filter finds and asks whether that is meant.
func (d *Dashboard) askBulkKick(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.bulkKickQuestion()
	if p == nil || err != nil {
		return err
	}
	return v.render(http.StatusOK, "kicks_ask", p)
}

// bulkKickQuestion makes the question of a posted form. If the form is not in order, it has answered already, and the question is nil.
func (v *visit) bulkKickQuestion() (*askBulkKickPage, error) {
	form := readKickForm(v.r.PostForm)
	k, wrong := form.request()
	if wrong != "" {
		return nil, v.renderNewKick(http.StatusUnprocessableEntity, form, &problem{What: "input", Field: wrong})
	}
	if k.Filter == (client.KickFilter{}) { // the API's answer is about JSON
		return nil, v.renderNewKick(http.StatusUnprocessableEntity, form, &problem{What: "filter"})
	}
	count, err := v.api().CountKick(v.ctx, k.Filter)
	if said := problemOf(err); said != nil {
		return nil, v.renderNewKick(http.StatusUnprocessableEntity, form, said)
	} else if err != nil {
		return nil, err
	}
	p := &askBulkKickPage{page: v.page("kicks.ask.title"), Filter: k.Filter, Form: form, Hidden: form.values(), Count: count, Typed: count.Sessions >= typedFrom || form.All}
	var back []string
	for _, c := range p.Hidden {
		back = append(back, c.Value, c.Label)
	}
	p.Back = link("/kicks/new", back...)
	return p, nil
}

// kickMany has the sessions that a filter finds end, once it was confirmed, and leads to its progress.
func (d *Dashboard) kickMany(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.bulkKickQuestion()
	if p == nil || err != nil {
		return err
	}
	if p.Typed && v.form("confirm") != v.form("counted") {
		p.Mistyped = true
		return v.render(http.StatusUnprocessableEntity, "kicks_ask", p)
	}
	k, _ := p.Form.request()
	job, err := v.api().KickMany(v.once(), k)
	if said := problemOf(err); said != nil {
		return v.renderNewKick(http.StatusUnprocessableEntity, p.Form, said)
	} else if err != nil {
		return err
	}
	return v.redirect(link("/kicks/job", "id", job.ID))
}
