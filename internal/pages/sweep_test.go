package pages

import (
	"cmp"
	"flag"
	"net/url"
	"path/filepath"
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
	hook := q("id", s.hook)
	return map[string]url.Values{
		"/sessions/kick": q("id", s.session), "/sessions/kicked": q("id", s.session), "/find": q("q", "nobody"),
		"/kicks/job": q("id", s.job), "/links/mode": q("id", "tokyo"),
		"/webhooks/hook": hook, "/webhooks/edit": hook, "/webhooks/rotate": hook, "/webhooks/delete": hook,
	}
}

// TestEveryPage looks at every page of the table of routes: nothing goes wrong in any language, nobody is kept from reading it, light or dark, and it fits a
// phone. With -pictures it shows them.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	browser.NeedsAxe(t)
	s := play(t)
	about := s.queries()
	work := make(chan string)
	var looking sync.WaitGroup
	for range 2 { // as many as there are cores on a small machine
		looking.Go(func() {
			p := s.login(t, "admin", browser.Visitor{})
			for path := range work {
				s.look(p, path, about[path])
			}
		})
	}
	seen := map[string]bool{}
	for _, page := range dashboard.Pages() {
		path := strings.TrimPrefix(page.Path, dashboard.Root)
		seen[path] = true
		if path != "/login" { // who is logged in is led on
			work <- path
		}
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

// visitors are the ways to look at a page.
var visitors = []struct {
	name string
	browser.Visitor
}{
	{"1440-light", browser.Visitor{}},
	{"1440-dark", browser.Visitor{Dark: true}},
	{"390-light", browser.Visitor{Width: 390, Height: 844}},
	{"390-dark", browser.Visitor{Width: 390, Height: 844, Dark: true}},
	{"1440-ja", browser.Visitor{Language: "ja", Zone: "Asia/Tokyo"}},
	{"390-zh", browser.Visitor{Language: "zh-CN", Zone: "Asia/Shanghai", Width: 390, Height: 844}},
}

func (s *scene) look(p *browser.Page, path string, about url.Values) {
	address := dashboard.Root + path
	if len(about) > 0 {
		address += "?" + about.Encode()
	}
	for _, v := range visitors {
		if v.name == "390-dark" && *pictures == "" {
			continue // as dark as the wide one, and as narrow as the light one
		}
		p.Become(v.Visitor)
		if status := p.Go(address); status != 200 {
			s.t.Errorf("%s: %d", address, status)
			return
		}
		p.Until("the page's script has run", `!document.body.dataset.stream || document.getElementById('fresh').classList.contains('on')`)
		if v.Language == "" && v.Width == 0 {
			p.Axe()
		}
		p.Narrow()
		p.Quiet()
		if lang := browser.Eval[string](p, `document.documentElement.lang`); !strings.HasPrefix(v.Language, lang[:2]) && (v.Language != "" || lang != "en") {
			s.t.Errorf("%s: the page is in %q for who reads %q", address, lang, v.Language)
		}
		if *pictures != "" {
			name := cmp.Or(strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), "overview")
			p.Picture(filepath.Join(*pictures, name+"-"+v.name+".png"))
		}
	}
}
