package dashboard

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

type platformEditPage struct {
	page
	ETag    string
	N       int // which matcher it is, from 1; 0: a new one
	Place   int // where it is to stand, from 1
	Most    int // the last place
	Matcher client.PlatformMatcher
	Names   []string // of platforms, to choose from
	Wrong   map[string]*formProblem
	Words   template.HTML // of the matcher, in a preview
	Preview *platformPreview
	Changed bool // the platforms are others by now
	Delete  bool // it is to go
}

// Cells are the names of the matcher's patterns, in their order.
func (*platformEditPage) Cells() []string {
	return []string{"resource", "client", "identity", "account", "group", "device_id", "cidr"}
}

// Value is that of a pattern.
func (p *platformEditPage) Value(cell string) string {
	if f := patternOf(&p.Matcher, cell); f != nil {
		return *f
	}
	return ""
}

func patternOf(m *client.PlatformMatcher, cell string) *string {
	switch cell {
	case "resource":
		return &m.Resource
	case "client":
		return &m.Client
	case "identity":
		return &m.Identity
	case "account":
		return &m.Account
	case "group":
		return &m.Group
	case "device_id":
		return &m.DeviceID
	case "cidr":
		return &m.CIDR
	}
	return nil
}

// platformPreview is what changed matchers would tell of some of the sessions that live now.
type platformPreview struct {
	Looked   int
	Moved    int // of those looked at, the ones that would be on another platform
	Examples []platformMove
}

type platformMove struct {
	client.Session
	To string
}

const (
	previewSessions = 500 // are looked at
	previewExamples = 8   // are shown
)

// editPlatform shows a matcher, or the form for a new one.
func (d *Dashboard) editPlatform(v *visit) error {
	defer v.within(pageTimeout)()
	current, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return err
	}
	p := v.platformEditPage(current)
	if text := v.query.Get("n"); text != "" {
		n, ok := index(text, len(current.Matchers)+1)
		if !ok || n == 0 {
			return refuse(http.StatusNotFound)
		}
		p.N, p.Place, p.Matcher = n, n, current.Matchers[n-1]
	}
	if p.Delete = v.query.Get("delete") != "" && p.N > 0; p.Delete {
		if err := v.previewMatchers(p, current); err != nil {
			return err
		}
	}
	return v.render(http.StatusOK, "platform_edit", p)
}

func (v *visit) platformEditPage(current *client.Platforms) *platformEditPage {
	return &platformEditPage{
		page: v.page("platforms.edit.title"), ETag: current.ETag, Place: 1, Most: len(current.Matchers) + 1, Names: namesOf(current), Wrong: map[string]*formProblem{},
	}
}

// changePlatform previews or saves a matcher, or takes it away.
func (d *Dashboard) changePlatform(v *visit) error {
	defer v.within(pageTimeout)()
	current, err := v.api().GetPlatforms(v.ctx)
	if err != nil {
		return err
	}
	p := v.platformEditPage(current)
	in := v.r.PostForm
	n, ok := index(in.Get("n"), len(current.Matchers)+1)
	if !ok {
		return refuse(http.StatusBadRequest)
	}
	p.N, p.Delete = n, in.Get("delete") != ""
	if p.Delete && n == 0 {
		return refuse(http.StatusBadRequest)
	}
	p.read(in)
	if p.Delete {
		p.Matcher = current.Matchers[n-1]
	}
	if p.Changed = in.Get("etag") != current.ETag; p.Changed {
		return v.render(http.StatusConflict, "platform_edit", p)
	}
	changed, ok := p.apply(*current)
	if !ok {
		p.Wrong["place"] = &formProblem{Key: "rules.wrong.number"}
		return v.render(http.StatusUnprocessableEntity, "platform_edit", p)
	}
	if in.Get("do") != "save" {
		if err := p.check(); err != nil {
			return v.render(http.StatusUnprocessableEntity, "platform_edit", p)
		}
		if err := v.previewMatchers(p, current); err != nil {
			return err
		}
		return v.render(http.StatusOK, "platform_edit", p)
	}
	_, err = v.api().PutPlatforms(v.once(), changed, client.RuleOptions{IfMatch: current.ETag})
	switch {
	case isConflict(err):
		p.Changed = true
		return v.render(http.StatusConflict, "platform_edit", p)
	case problemOf(err) != nil:
		p.refuse(said(err))
		return v.render(http.StatusUnprocessableEntity, "platform_edit", p)
	case err != nil:
		return err
	case p.Delete:
		v.done("platforms.done.deleted", p.Matcher.Platform)
	default:
		v.done("platforms.done.saved", p.Matcher.Platform)
	}
	return v.redirect(Root + "/rules/platforms")
}

// read takes the matcher as it was typed: spaces may belong to a pattern.
func (p *platformEditPage) read(in url.Values) {
	p.Matcher.Platform = strings.TrimSpace(in.Get("platform"))
	for _, cell := range p.Cells() {
		*patternOf(&p.Matcher, cell) = in.Get(cell)
	}
	p.Place, _ = strconv.Atoi(strings.TrimSpace(in.Get("place")))
}

// apply makes the changed platforms; false: the place is none.
func (p *platformEditPage) apply(current client.Platforms) (client.Platforms, bool) {
	ms := slices.Clone(current.Matchers)
	if p.N > 0 {
		ms = slices.Delete(ms, p.N-1, p.N)
	}
	if !p.Delete {
		if p.Place < 1 || p.Place > len(ms)+1 {
			return current, false
		}
		ms = slices.Insert(ms, p.Place-1, p.Matcher)
	}
	current.Matchers = ms
	return current, true
}

// check holds the matcher against what the API will say, before there is anything to save.
func (p *platformEditPage) check() error {
	if p.Delete {
		return nil
	}
	b, err := docOfMatcher(p.Matcher)
	if err == nil {
		_, err = rules.ParsePlatforms(b)
	}
	if e, ok := err.(*rules.FieldError); ok { //nolint:errorlint // as Parse returns it
		p.refuse(&client.Error{Field: e.Field, Detail: e.Message})
	}
	return err
}

// refuse notes what the API said about the matcher.
func (p *platformEditPage) refuse(e *client.Error) {
	_, cell, _ := strings.Cut(strings.TrimPrefix(e.Field, "/matchers/"), "/")
	if cell != "platform" && !slices.Contains(p.Cells(), cell) {
		cell = ""
	}
	p.Wrong[cell] = &formProblem{Detail: e.Detail}
}

// previewMatchers says for how many of the sessions that live now the changed matchers tell another platform.
func (v *visit) previewMatchers(p *platformEditPage, current *client.Platforms) error {
	changed, ok := p.apply(*current)
	if !ok {
		return refuse(http.StatusBadRequest)
	}
	before, err := tellersOf(current)
	if err != nil {
		return err
	}
	after, err := tellersOf(&changed)
	if err != nil {
		return err
	}
	next := ""
	list, err := client.Collect(v.api().ListSessions(v.ctx, client.SessionFilter{ListOptions: client.ListOptions{PageSize: previewSessions, Next: &next}}))
	if err != nil {
		return err
	}
	p.Words, p.Preview = v.teller().matcher(p.Matcher), &platformPreview{Looked: len(list)}
	for _, s := range list {
		subject := rules.Subject{Account: s.Account, DeviceID: s.DeviceID, IP: s.IP, Resource: s.Resource, Client: s.Client}
		was, _ := before.tell(subject)
		to, _ := after.tell(subject)
		if was == to {
			continue
		}
		if p.Preview.Moved++; len(p.Preview.Examples) < previewExamples {
			p.Preview.Examples = append(p.Preview.Examples, platformMove{s, to})
		}
	}
	return nil
}

// docOfMatcher is a list of platforms with that matcher alone, as JSON.
func docOfMatcher(m client.PlatformMatcher) ([]byte, error) {
	return json.Marshal(client.Platforms{Matchers: []client.PlatformMatcher{m}})
}
