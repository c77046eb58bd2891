package dashboard

import (
	"errors"
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
	states := []string{""}
	for _, s := range kickableStates {
		states = append(states, string(s))
	}
	v.chosen("state", states...)
	v.chosen("age", append([]string{""}, ages...)...)
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

// request is the kick for the API, which judges it; field is the key of the name of the one in the form that is no number.
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
	k.Filter.OlderThan, k.Cooldown = seconds("filter.age", f.Age), seconds("cooldown", f.Cooldown)
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
	Asked    int64 // how many it was when it was asked before, and is not any more; 0: it was not asked, or is the same
	Back     string
	Problem  *problem
}

// askBulkKick counts what a filter finds and asks whether that is meant.
func (d *Dashboard) askBulkKick(v *visit) error {
	defer v.within(pageTimeout)()
	form, k, wrong := v.bulkKick()
	if wrong != nil {
		return v.renderNewKick(http.StatusUnprocessableEntity, form, wrong)
	}
	return v.bulkKickQuestion(http.StatusOK, form, k, func(*askBulkKickPage) {})
}

// bulkKick reads a posted form, and says what is wrong with it; nil: nothing so far.
func (v *visit) bulkKick() (kickForm, client.BulkKickRequest, *problem) {
	form := readKickForm(v.r.PostForm)
	k, field := form.request()
	switch {
	case field != "":
		return form, k, &problem{What: "number", Label: "kicks." + field}
	case k.Filter == (client.KickFilter{}): // the API's answer is about JSON
		return form, k, &problem{What: "filter"}
	}
	return form, k, nil
}

// bulkKickQuestion counts what a form's filter finds now, and writes the question, with what change adds to it.
func (v *visit) bulkKickQuestion(status int, form kickForm, k client.BulkKickRequest, change func(*askBulkKickPage)) error {
	count, err := v.api().CountKick(v.ctx, k.Filter)
	if said := kickProblem(err); said != nil {
		return v.renderNewKick(http.StatusUnprocessableEntity, form, said)
	} else if err != nil {
		return err
	}
	p := &askBulkKickPage{page: v.page("kicks.ask.title"), Filter: k.Filter, Form: form, Hidden: form.values(), Count: count, Typed: mustType(form, count.Sessions)}
	var back []string
	for _, c := range p.Hidden {
		back = append(back, c.Value, c.Label)
	}
	p.Back = link("/kicks/new", back...)
	change(p)
	return v.render(status, "kicks_ask", p)
}

func mustType(form kickForm, sessions int64) bool { return form.All || sessions >= typedFrom }

// kickFields are the names that the form has for the fields of the API.
var kickFields = map[string]string{
	"/filter/domain": "kicks.filter.domain", "/filter/group": "kicks.filter.group", "/filter/platform": "kicks.filter.platform", "/filter/state": "kicks.filter.state",
	"/filter/resource": "kicks.filter.resource", "/filter/older_than_seconds": "kicks.filter.age", "/filter/all": "kicks.filter.all",
	"/reason": "kicks.reason", "/cooldown_seconds": "kicks.cooldown", "/text": "kicks.texts",
}

// kickProblem is problemOf for a bulk kick. A domain or a group that is not there is one of its kind.
func kickProblem(err error) *problem {
	said := problemOf(err)
	var e *client.Error
	if said == nil && errors.As(err, &e) && e.Status == http.StatusNotFound && e.Field != "" {
		said = &problem{What: "input", Detail: e.Detail, Field: e.Field}
	}
	if said != nil {
		said.Label = kickFields[said.Field]
	}
	return said
}

// kickMany has the sessions that a filter finds end, once it was confirmed, and leads to its progress.
//
// What was confirmed is a number, and sessions come and go meanwhile: the API refuses if there are more now than that and a twentieth, and it is asked again.
// It is the API that looks, so that a form that is sent twice leads to the kick that the first one made, whose sessions are gone by then.
func (d *Dashboard) kickMany(v *visit) error {
	defer v.within(pageTimeout)()
	form, k, wrong := v.bulkKick()
	if wrong != nil {
		return v.renderNewKick(http.StatusUnprocessableEntity, form, wrong)
	}
	counted, err := strconv.ParseInt(v.form("counted"), 10, 64)
	if err != nil || counted < 1 || counted > maxCounted || mustType(form, counted) && v.form("confirm") != v.form("counted") {
		return v.bulkKickQuestion(http.StatusUnprocessableEntity, form, k, func(p *askBulkKickPage) { p.Mistyped = true })
	}
	k.AtMost = counted + counted/20
	job, err := v.api().KickMany(v.once(), k)
	var e *client.Error
	if errors.As(err, &e) && e.Code == client.CodeTooManySessions {
		return v.bulkKickQuestion(http.StatusConflict, form, k, func(p *askBulkKickPage) { p.Asked = counted })
	}
	if said := kickProblem(err); said != nil {
		return v.renderNewKick(http.StatusUnprocessableEntity, form, said)
	} else if err != nil {
		return err
	}
	return v.redirect(link("/kicks/job", "id", job.ID))
}

// maxCounted is more sessions than there are, and with a twentieth more still a number for the API.
const maxCounted = 1 << 30
