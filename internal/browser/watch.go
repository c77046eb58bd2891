package browser

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// watch notes what goes wrong in a tab, and what it loads.
type watch struct {
	mu       sync.Mutex
	faults   []fault
	asked    map[network.RequestID]string // URLs
	received float64                      // bytes, since the page was left for another
	lossy    bool                         // requests may fail
}

// fault is something that went wrong. A request's has its URL, so that an answer that a test wants can be taken out again.
type fault struct {
	text, url string
	status    int
}

func newWatch() *watch { return &watch{asked: map[network.RequestID]string{}} }

// event takes an event of the tab. It runs where the tab's messages are read.
func (w *watch) event(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, strings.Trim(string(a.Value), `"`)+a.Description)
			}
			w.fault("console.%s: %s", e.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		d := e.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		w.fault("uncaught: %s (%s line %d)", text, d.URL, d.LineNumber+1)
	case *log.EventEntryAdded: // a violated security policy is one
		if l := e.Entry; (l.Level == log.EntryLevelError || l.Level == log.EntryLevelWarning) && l.Source != log.EntrySourceNetwork { // the network's have their own events
			w.fault("%s %s: %s (%s)", l.Source, l.Level, l.Text, l.URL)
		}
	case *network.EventRequestWillBeSent:
		w.asked[e.RequestID] = e.Request.URL
		if !local(e.Request.URL) {
			w.fault("a request to another host: %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			w.faults = append(w.faults, fault{url: e.Response.URL, status: int(e.Response.Status), text: fmt.Sprintf("%s was answered with %d", e.Response.URL, e.Response.Status)})
		}
	case *network.EventLoadingFinished:
		w.received += e.EncodedDataLength
	case *network.EventLoadingFailed:
		if !e.Canceled && !w.lossy { // cancelled by the page's end, or by its script
			w.fault("%s failed: %s %s", w.asked[e.RequestID], e.ErrorText, e.BlockedReason)
		}
	}
}

func (w *watch) fault(format string, args ...any) {
	w.faults = append(w.faults, fault{text: fmt.Sprintf(format, args...)})
}

// leave begins to count for another page.
func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = 0
}

// expect takes an answer that a test has looked at as no fault.
func (w *watch) expect(url string, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = slices.DeleteFunc(w.faults, func(f fault) bool { return f.status == status && f.url == url })
}

// take returns what went wrong since the last call.
func (w *watch) take() []fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	faults := w.faults
	w.faults = nil
	return faults
}

// local reports whether an URL is one of this machine, or needs no host.
func local(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "data", "blob", "about":
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Quiet fails the test for whatever went wrong in the tab since the last call.
func (p *Page) Quiet() {
	p.t.Helper()
	for _, f := range p.watch.take() {
		p.t.Errorf("the browser: %s", f.text)
	}
}

// ServerGoes says that the server is to go away: from now on a request that is not answered is no fault.
func (p *Page) ServerGoes() {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.lossy = true
}

// Received returns how many bytes came over the wire, headers included, since the page was asked for: what is loaded without it being in a cache.
func (p *Page) Received() int {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	return int(p.watch.received)
}
