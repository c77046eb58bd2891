package pages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// row finds the row of the table of sessions with a resource.
func row(resource string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#sessions tbody tr')].find(r => r.querySelector('td[data-name="Resource"]')?.innerText.trim() === %q)`, resource)
}

// A device that logs in appears by itself. It is kicked, its client is told, and the page shows that its end was seen.
func TestDeviceLogsInLiveAndIsKicked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.login(t, "support", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	browser.Eval[bool](p, `window.marked = true`)
	phone := s.device("ada", "android-1", xmppclient.Options{})
	p.Until("the phone is in the table", row("android-1"))
	laptop := s.device("ada", "laptop", xmppclient.Options{})
	p.Until("the laptop is in the table", row("laptop"))
	if !browser.Eval[bool](p, `window.marked === true`) {
		t.Error("the page was loaded anew; it was to change by itself")
	}

	p.Click(`a[href^="/dashboard/sessions/kick?"][aria-label*="android-1"]`)
	p.Wait(`dialog[open] form.ask`)
	p.Type(`dialog[open] input[name=reason]`, "stolen phone")
	p.Follow(`dialog[open] button.danger`)
	e := s.sentAway(phone)
	if e.Ended == nil || e.Ended.Code != "kick" {
		t.Errorf("the phone was told %s", e.Raw)
	}
	p.Until("its end was seen", `document.querySelector('#kicked .outcome-kicked')`)
	if text := p.Text("#kicked"); !strings.Contains(text, "android-1") || !strings.Contains(text, "ended, verified") || strings.Contains(text, "laptop") {
		t.Errorf("what became of it: %s", text)
	}
	s.lives(laptop)
	p.Go("/dashboard/sessions?q=ada")
	p.Until("the laptop alone is left", row("laptop")+` && !`+row("android-1"))
}

// Rows do not come under the pointer: they wait until they are asked for.
func TestNothingMovesUnderThePointer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.device("ada", "phone", xmppclient.Options{})
	p := s.login(t, "support", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	p.Wait(`a[aria-label*="phone"]`)
	const place = `(() => { const b = document.querySelector('a[aria-label*="phone"]').getBoundingClientRect(); return [b.x, b.y] })()`
	before := browser.Eval[[]float64](p, place)
	p.Hover(`a[aria-label*="phone"]`)
	s.device("bob", "laptop", xmppclient.Options{})
	p.Wait(`.more-rows`)
	if after := browser.Eval[[]float64](p, place); before[0] != after[0] || before[1] != after[1] {
		t.Errorf("the button has moved from %v to %v", before, after)
	}
	if text := p.Text(`.more-rows`); text != "1 new" {
		t.Errorf("what waits is called %q", text)
	}
	p.Click(`.more-rows`)
	p.Until("it is there when it is asked for", row("laptop"))
}

// A connection that is lost shows, and so does its return.
func TestLostConnectionShows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.login(t, "viewer", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	p.ServerGoes()
	s.stop()
	p.Wait(`#lost`)
	s.serve(strings.TrimPrefix(s.url, "http://"))
	p.Until("it is live again", `document.getElementById('lost').hidden && document.getElementById('fresh').classList.contains('on')`)
	s.device("ada", "phone", xmppclient.Options{})
	p.Until("what happens then is shown", row("phone"))
}

// A page that nobody looks at keeps no connection, of which a browser has six, and is right again when somebody does.
func TestAHiddenPageRests(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.login(t, "viewer", browser.Visitor{})
	p.Go("/dashboard/sessions")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	const turn = `(() => { Object.defineProperty(document, 'hidden', {value: %t, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); return true })()`
	browser.Eval[bool](p, `(() => { const close = EventSource.prototype.close; EventSource.prototype.close = function () { window.rests = true; close.call(this) }; return true })()`)
	browser.Eval[bool](p, fmt.Sprintf(turn, true))
	p.Until("its stream is closed", `window.rests === true`)
	s.device("ada", "phone", xmppclient.Options{})
	browser.Eval[bool](p, fmt.Sprintf(turn, false))
	p.Until("what has happened is shown", row("phone"))
	s.device("bob", "laptop", xmppclient.Options{})
	p.Until("it is live again", row("laptop"))
}

// A page that was told of a change and could not be fetched is fetched again, though nothing more is told.
func TestAPageThatWasNotFetchedIsFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.login(t, "viewer", browser.Visitor{})
	p.Go("/dashboard/rules")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	browser.Eval[bool](p, `(() => { const real = window.fetch; window.away = true; window.refused = 0; window.fetch = (...a) => window.away ? (window.refused++, Promise.resolve(new Response('', {status: 503}))) : real(...a); return true })()`)
	if _, err := s.api.PutDefaultRule(t.Context(), client.Rule{MaxSessions: client.Set(7)}, client.RuleOptions{}); err != nil { // one event
		t.Fatal(err)
	}
	p.Until("the first attempt is refused", `window.refused > 0`)
	if text := p.Text("#default"); strings.Contains(text, "7 sessions") {
		t.Fatalf("the page shows what it could not fetch: %s", text)
	}
	browser.Eval[bool](p, `(window.away = false) || true`)
	p.Until("a later one is not", `document.getElementById('default').innerText.includes('7 sessions')`)
}
