package pages

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Without scripts everything works by forms and links.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	phone := s.device("ada", "phone", xmppclient.Options{})
	p := s.login(t, "admin", browser.Visitor{NoScript: true})
	p.Go("/dashboard/sessions?q=ada")
	p.Follow(`a[href^="/dashboard/sessions/kick?"]`)
	p.Type(`input[name=reason]`, "drill")
	p.Follow(`.ask button.danger`)
	s.sentAway(phone)
	s.until("its end was seen", func() string {
		p.Go(p.Path())
		if text := p.Text("#kicked"); !strings.Contains(text, "ended, verified") {
			return text
		}
		return ""
	})
	p.Click(`.user-button`)
	p.Follow(`.preferences button[name=lang][value=ja]`)
	if lang := browser.Eval[string](p, `document.documentElement.lang`); lang != "ja" {
		t.Errorf("the page is in %q after Japanese was chosen", lang)
	}
}

// Everything can be reached and done by keys alone, and one sees where one is.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	phone := s.device("ada", "phone", xmppclient.Options{})
	s.user("support")
	p := s.open(t, browser.Visitor{})
	p.Go("/dashboard/login")
	to := func(what, selector string) {
		t.Helper()
		for range 60 {
			if browser.Eval[bool](p, `!!document.activeElement?.matches(`+quote(selector)+`)`) {
				if !browser.Eval[bool](p, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' })()`) {
					t.Errorf("%s does not show that it has the focus", what)
				}
				return
			}
			p.Key(kb.Tab)
		}
		t.Fatalf("the Tab key does not lead to %s", what)
	}
	to("the name", `input[name=username]`)
	p.Key("support")
	to("the password", `input[name=password]`)
	p.Key("correct horse battery staple")
	if status := p.Enter(); status != 200 {
		t.Fatalf("login: %d", status)
	}
	p.Key(kb.Tab)
	if !browser.Eval[bool](p, `document.activeElement.matches('.skip')`) {
		t.Error("the first Tab does not lead past the navigation")
	}
	p.Key("/")
	if !browser.Eval[bool](p, `document.activeElement.matches('.search input')`) {
		t.Error("the key / does not lead to the search")
	}
	p.Key("ada@localhost")
	p.Enter()
	p.Go("/dashboard/sessions?q=ada")
	to("the kick", `a[href^="/dashboard/sessions/kick?"]`)
	p.Key("\r")
	p.Wait(`dialog[open] form.ask`)
	p.Key("\r") // as of a key that is held down
	if !browser.Eval[bool](p, `!!document.querySelector('dialog[open] form.ask') && document.activeElement.matches('dialog h1')`) {
		t.Error("the key that asks answers, too")
	}
	p.Key(kb.Escape)
	p.Until("Escape closes the question", `!document.querySelector('dialog')`)
	to("the kick again", `a[href^="/dashboard/sessions/kick?"]`)
	p.Key("\r")
	p.Wait(`dialog[open] form.ask`)
	to("the deed", `dialog button.danger`)
	p.Enter()
	s.sentAway(phone)
	p.Until("its end was seen", `document.querySelector('.outcome-kicked')`)
}

func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }

// The first page is small enough for a bad line, with everything that it loads.
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const most = 100_000
	p := s.open(t, browser.Visitor{})
	p.Go("/dashboard/login")
	if n := p.Received(); n == 0 || n > most {
		t.Errorf("the login has %d bytes over the wire, want %d at most", n, most)
	}
	s.enter(p, "admin")
	cold := s.login(t, "admin", browser.Visitor{})
	cold.ForgetCache()
	cold.Go("/dashboard")
	cold.Until("it is live", `document.getElementById('fresh').classList.contains('on')`)
	if n := cold.Received(); n == 0 || n > most {
		t.Errorf("the first page behind the login has %d bytes over the wire, want %d at most", n, most)
	}
}
