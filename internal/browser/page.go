package browser

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A Visitor is who looks at a page. The zero value has a laptop, prefers light colours, reads English, lives in UTC and runs scripts.
type Visitor struct {
	Width, Height int64  // CSS pixels; 0: 1440 × 900. Below 600 it is a phone.
	Dark          bool   // prefers-color-scheme
	Language      string // as in Accept-Language
	Zone          string // as in the time zone database
	NoScript      bool
}

// Page is a tab. What goes wrong in it fails its test, at the latest when the test ends.
type Page struct {
	t       testing.TB
	tab     context.Context // chromedp's handle of the tab
	base    string
	visitor Visitor
	watch   *watch
}

// Open opens a tab for a visitor of the server at base, an URL without a path. It closes when the test ends.
func Open(t testing.TB, base string, v Visitor) *Page {
	t.Helper()
	browser, err := start()
	if errors.Is(err, errMissing) {
		lacking(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{t: t, base: base, watch: newWatch()}
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.watch.event))
	p.tab = tab
	if err := chromedp.Do(tab); err != nil { // opens it; its life must not be bound to a deadline
		closeTab()
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		p.Quiet()
		closeTab()
	})
	p.Become(v)
	return p
}

// Become makes the page's visitor another one; what is loaded already may have to be loaded again.
func (p *Page) Become(v Visitor) {
	p.t.Helper()
	if v.Width == 0 {
		v.Width, v.Height = 1440, 900
	}
	if v.Language == "" {
		v.Language = "en"
	}
	if v.Zone == "" {
		v.Zone = "UTC"
	}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	p.visitor = v
	p.run("set the visitor", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		return errors.Join(
			send(ctx, emulation.SetDeviceMetricsOverride, p.window()),
			send(ctx, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: v.phone()}),
			send(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"}, // nobody measures a colour that is on its way
			}}),
			send(ctx, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{}), // a second one is refused while the first stands
			send(ctx, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: v.Language}),
			send(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: v.Zone}),
			send(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript}),
			send(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": v.Language}}),
		)
	}))
}

func (v Visitor) phone() bool { return v.Width < 600 }

// window is the tab's.
func (p *Page) window() emulation.SetDeviceMetricsOverrideParams {
	return emulation.SetDeviceMetricsOverrideParams{Width: p.visitor.Width, Height: p.visitor.Height, DeviceScaleFactor: 1, Mobile: p.visitor.phone()}
}

func send[P any](ctx context.Context, command cdp.Command[P, cdp.Empty], params P) error {
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// Go loads a path of the server, and returns the status of the answer that was shown in the end. An error status is no failure here: Quiet takes it as said.
func (p *Page) Go(path string) int {
	p.t.Helper()
	return p.loads("load "+path, chromedp.Navigate(p.base+path))
}

// Follow clicks on what the selector finds first, waits until the page that this leads to is loaded and returns its status.
func (p *Page) Follow(selector string) int {
	p.t.Helper()
	p.Wait(selector)
	return p.loads("click on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Enter presses the Enter key, waits until the page that this leads to is loaded and returns its status.
func (p *Page) Enter() int {
	p.t.Helper()
	return p.loads("press Enter", chromedp.KeyEvent("\r"))
}

func (p *Page) loads(what string, action chromedp.Action[chromedp.Void]) int {
	p.t.Helper()
	p.watch.leave()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, action)
	if err != nil {
		p.fatal(what, err)
	}
	if answer == nil {
		p.t.Fatalf("%s: no answer", what)
	}
	p.watch.expect(answer.URL, int(answer.Status))
	return int(answer.Status)
}

// Click clicks with the mouse on what the selector finds first, once it is to be seen.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.run("click on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Hover moves the pointer onto what the selector finds first.
func (p *Page) Hover(selector string) {
	p.t.Helper()
	p.Wait(selector)
	at := Eval[[]float64](p, fmt.Sprintf(`(e => { e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })(document.querySelector(%q))`, selector))
	p.run("point at "+selector, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
}

// ForgetCache has the next page load everything anew.
func (p *Page) ForgetCache() {
	p.t.Helper()
	p.run("forget the cache", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		return send(ctx, network.ClearBrowserCache, cdp.Empty{})
	}))
}

// Type focuses a field, empties it and types a text.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.run("type into "+selector, chromedp.Steps(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text)))
}

// Choose sets the value of a select as a person does, so that the page hears of it.
func (p *Page) Choose(selector, value string) {
	p.t.Helper()
	p.Wait(selector)
	if !Eval[bool](p, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = %q;
		s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true})); return s.value === %q })()`, selector, value, value)) {
		p.t.Fatalf("%s has no option %q", selector, value)
	}
}

// Key presses a key on whatever has the focus: a character, or one of package kb.
func (p *Page) Key(key string, o ...chromedp.KeyOption) {
	p.t.Helper()
	p.run("press a key", chromedp.KeyEvent(key, o...))
}

// Wait waits until the selector finds something that is to be seen.
func (p *Page) Wait(selector string) {
	p.t.Helper()
	p.Until(selector+" is to be seen", fmt.Sprintf(`!!document.querySelector(%q)?.checkVisibility()`, selector))
}

// Until waits for a JavaScript expression to be true, on whatever page the tab shows by then.
func (p *Page) Until(what, expression string) {
	p.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithDeadline(p.tab, deadline)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if ok {
			return
		}
		last = err // a page that is just being left has no answer
	}
	p.t.Fatalf("not within %s: %s (%v)\n%s", patience, what, last, p.glance())
}

// Text returns the text of what the selector finds first, as a person sees it; empty if there is none.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ''`, selector))
}

// Path is where the tab is: path and query.
func (p *Page) Path() string {
	p.t.Helper()
	return Eval[string](p, `location.pathname + location.search`)
}

// Eval returns what a JavaScript expression comes to.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fatal("evaluate "+firstLine(expression), err)
	}
	return v
}

func (p *Page) run(what string, action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		p.fatal(what, err)
	}
}

func (p *Page) fatal(what string, err error) {
	p.t.Helper()
	p.t.Fatalf("%s: %v\n%s", what, err, p.glance())
}

// glance is what a failed test shows of the page: where it is and what it says.
func (p *Page) glance() string {
	ctx, cancel := context.WithTimeout(p.tab, time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + '\n' + document.body.innerText`))
	if err != nil {
		return "the page shows nothing: " + err.Error()
	}
	const most = 4000
	return "the page: " + text[:min(len(text), most)]
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
