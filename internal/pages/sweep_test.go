package pages

import (
	"cmp"
	"flag"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/browser"
)

var pictures = flag.String("pictures", "", "a directory, to write every page into, at 1440 and 390 pixels, light and dark")

// queries say what a page is about. A page that is not named here needs nothing, or says what it lacks.
func (s *scene) queries() map[string]url.Values {
	q := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	hook, user := q("id", s.hook), q("name", "support")
	account, device := q("jid", s.account), q("jid", s.account, "id", s.known)
	domain := q("level", "domain", "subject", "example.net")
	return map[string]url.Values{
		"/sessions/kick": q("id", s.session), "/sessions/kicked": q("id", s.session), "/find": q("q", "nobody"),
		"/kicks/job": q("id", s.job), "/links/mode": q("id", "tokyo"),
		"/account": account, "/account/kick": account, "/account/release": q("jid", s.loop.Account), "/account/erase": account,
		"/account/device": device, "/account/device/block": device, "/account/device/forget": device,
		"/loops/block": q("jid", s.loop.Account, "device", s.loop.DeviceID, "resource", s.loop.Resource),
		"/rules/edit":  q("level", "default", "all", "1"), "/rules/delete": domain, "/rules/effective": q("jid", s.account), "/rules/domain": q("name", "example.net"), "/rules/group": q("name", "bots"),
		"/rules/platform": q("n", "1"), "/try": q("account", s.account),
		"/users/user": user, "/users/reset": user, "/users/remove": user,
		"/webhooks/hook": hook, "/webhooks/edit": hook, "/webhooks/rotate": hook, "/webhooks/delete": hook,
	}
}

// TestEveryPage looks at every page of the table of routes: nothing goes wrong in any language, nobody is kept from reading it, light or dark, and it fits a
// phone. With -pictures and -readme it shows them.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	browser.NeedsAxe(t)
	s := play(t)
	if *readme != "" {
		s.readmePictures()
	}
	about := s.queries()
	work := make(chan func(*browser.Page))
	var looking sync.WaitGroup
	for range 2 { // as many as there are cores on a small machine
		looking.Go(func() {
			p := s.login(t, "admin", browser.Visitor{})
			for look := range work {
				look(p)
			}
		})
	}
	seen := map[string]bool{}
	for _, page := range dashboard.Pages() {
		path := strings.TrimPrefix(page.Path, dashboard.Root)
		seen[path] = true
		if !slices.Contains([]string{"/login", "/login/provider", "/login/callback", "/account/export"}, path) { // who is logged in is led on, there is no provider, a file is no page
			work <- func(p *browser.Page) { s.look(p, path, about[path]) }
		}
	}
	for name := range answers {
		work <- func(p *browser.Page) { s.answer(p, name) }
	}
	close(work)
	looking.Wait()
	nobody := s.open(t, browser.Visitor{})
	s.look(nobody, "/login", nil)
	for path := range about {
		if !seen[path] {
			t.Errorf("there is no page %s any more", path)
		}
	}
}

// way is a way to look at a page.
type way struct {
	name string
	browser.Visitor
}

// ways are those in one language. A page that is there follows its reader's light and the width of the window.
var ways = []way{
	{"1440-light", browser.Visitor{}},
	{"1440-dark", browser.Visitor{Dark: true}},
	{"390-light", browser.Visitor{Width: 390, Height: 844}},
	{"390-dark", browser.Visitor{Width: 390, Height: 844, Dark: true}},
}

// readers are the others: a page is loaded for each.
var readers = []way{
	{"1440-ja", browser.Visitor{Language: "ja", Zone: "Asia/Tokyo"}},
	{"390-zh", browser.Visitor{Language: "zh-CN", Zone: "Asia/Shanghai", Width: 390, Height: 844}},
}

// look loads a page and looks at it in every way.
func (s *scene) look(p *browser.Page, path string, about url.Values) {
	address := dashboard.Root + path
	if len(about) > 0 {
		address += "?" + about.Encode()
	}
	load := func(v browser.Visitor) bool {
		p.Become(v)
		if status := p.Go(address); status != 200 {
			s.t.Errorf("%s: %d", address, status)
			return false
		}
		p.Until("the page's script has run", `!document.body.dataset.stream || document.getElementById('fresh').classList.contains('on')`)
		if lang := browser.Eval[string](p, `document.documentElement.lang`); lang[:2] != cmp.Or(v.Language, "en")[:2] {
			s.t.Errorf("%s: the page is in %q for who reads %q", address, lang, v.Language)
		}
		return true
	}
	name := cmp.Or(strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), "overview")
	if !load(browser.Visitor{}) {
		return
	}
	s.judgeAll(p, name)
	for _, r := range readers {
		if load(r.Visitor) {
			s.judge(p, name, r)
		}
	}
}

// judgeAll looks at the page that is there in every light and width.
func (s *scene) judgeAll(p *browser.Page, name string) {
	for _, w := range ways {
		if w.Dark && w.Width != 0 && *pictures == "" {
			continue // as dark as the wide one and as narrow as the light one
		}
		p.Become(w.Visitor)
		s.judge(p, name, w)
	}
}

// judge holds what is true of every page that is shown.
func (s *scene) judge(p *browser.Page, name string, w way) {
	if w.Language == "" && w.Width == 0 { // words and width change little of what axe looks at, and it takes a second
		p.Axe()
	}
	p.Narrow()
	p.Quiet()
	if *pictures != "" {
		p.Picture(filepath.Join(*pictures, name+"-"+w.name+".png"))
	}
}

// answers are pages that are shown in answer to something, and have no address of their own.
var answers = map[string]func(*scene, *browser.Page){
	"missing": func(_ *scene, p *browser.Page) { p.Go("/dashboard/nothing") },
	"webhooks-secret": func(_ *scene, p *browser.Page) {
		p.Go("/dashboard/webhooks/new")
		p.Type(`main input[name=url]`, "http://127.0.0.1:9/new")
		p.Follow(`main form .button.primary`)
		p.Wait(`#secret`)
	},
	"webhooks-problem": func(_ *scene, p *browser.Page) {
		p.Go("/dashboard/webhooks/new")
		p.Type(`main input[name=url]`, "ftp://127.0.0.1/")
		p.Follow(`main form .button.primary`)
	},
	"kicks-ask": func(_ *scene, p *browser.Page) {
		p.Go(at("/kicks/new", "platform", "web", "reason", "web client recalled", "cooldown", "60", "text_en", "Please update your client."))
		p.Follow(`main form .button.primary`)
		p.Wait(`form.ask .danger`)
	},
	"sessions-kick-dialog": func(_ *scene, p *browser.Page) {
		p.Go("/dashboard/sessions?q=alice")
		p.Click(`a[href^="/dashboard/sessions/kick?"]`)
		p.Wait(`dialog[open] form.ask`)
	},
	"account-devices": func(s *scene, p *browser.Page) { p.Go(at("/account", "jid", s.account, "part", "devices")) },
	"account-rule":    func(s *scene, p *browser.Page) { p.Go(at("/account", "jid", s.account, "part", "rule")) },
	"account-history": func(s *scene, p *browser.Page) { p.Go(at("/account", "jid", s.account, "part", "history")) },
	"account-more":    func(s *scene, p *browser.Page) { p.Go(at("/account", "jid", s.account, "part", "more")) },
	"account-frozen":  func(s *scene, p *browser.Page) { p.Go(at("/account", "jid", s.loop.Account)) },
	"overview-week":   func(_ *scene, p *browser.Page) { p.Go(at("/overview", "range", "7d")) },
	"rules-presets":   func(_ *scene, p *browser.Page) { p.Go(at("/rules/edit", "level", "domain", "subject", "example.net")) },
	"rules-review": func(_ *scene, p *browser.Page) {
		p.Go(at("/rules/edit", "level", "default"))
		p.Follow(`form.preset:has([name=preset][value=one_device]) button`)
		p.Wait(`form[action="/dashboard/rules/save"]`)
	},
	"try-verdict": func(s *scene, p *browser.Page) {
		p.Go(at("/try", "account", "grace@example.net"))
		p.Type(`main input[name=resource]`, "web-chrome")
		p.Follow(`main form .button.primary`)
		p.Wait(`.verdict`)
	},
	"menu": func(_ *scene, p *browser.Page) {
		p.Go("/dashboard/sessions")
		p.Click(`.user-button`)
		p.Wait(`#user-menu`)
	},
}

// answer looks at one of them.
func (s *scene) answer(p *browser.Page, name string) {
	p.Become(browser.Visitor{})
	answers[name](s, p)
	s.judgeAll(p, name)
}
