package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/api/docs"
	"github.com/bindgate/bindgate/internal/browser"
)

func TestMain(m *testing.M) { os.Exit(browser.Main(m)) }

// witness is a test that hears what it would have failed for.
type witness struct {
	testing.TB
	said []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// Each thing that goes wrong in a page is told.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, policy, page, want string }{
		{"console error", "", `<script>console.error('broken', 1)</script>`, "console.error: broken"},
		{"console warning", "", `<script>console.warn('odd')</script>`, "console.warning: odd"},
		{"uncaught exception", "", `<script>null.x</script>`, "uncaught: Uncaught TypeError"},
		{"rejected promise", "", `<script>Promise.reject(new Error('no'))</script>`, "Error: no"},
		{"inline script against the policy", "default-src 'self'", `<script>document.title = 'x'</script>`, "security error: "},
		{"inline style against the policy", "default-src 'self'", `<p style="color:red">x</p>`, "security error: "},
		{"missing image", "", `<img src="/missing.png" alt="">`, "/missing.png was answered with 404"},
		{"another host", "", `<img src="http://192.0.2.1/x.png" alt="">`, "a request to another host: http://192.0.2.1/x.png"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					http.NotFound(w, r)
					return
				}
				if c.policy != "" {
					w.Header().Set("Content-Security-Policy", c.policy)
				}
				fmt.Fprintf(w, `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>t</title><main><h1>t</h1>%s</main>`, c.page)
			}))
			t.Cleanup(srv.Close)
			w := &witness{TB: t}
			p := browser.Open(w, srv.URL, browser.Visitor{})
			p.Go("/")
			for deadline := time.Now().Add(20 * time.Second); len(w.said) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				p.Quiet() // some of them are told a moment after the page is there
			}
			if len(w.said) == 0 || !strings.Contains(w.said[0], c.want) {
				t.Errorf("heard %q, want %q", w.said, c.want)
			}
		})
	}
}

// A page that a person cannot read is told, and one that is too wide for a phone.
func TestLooks(t *testing.T) {
	t.Parallel()
	browser.NeedsAxe(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>t</title>
			<main style="position:absolute;left:0"><h1>t</h1><p style="color:#bbb;background:#fff">pale</p><div style="width:600px">wide</div></main>`)
	}))
	t.Cleanup(srv.Close)
	w := &witness{TB: t}
	p := browser.Open(w, srv.URL, browser.Visitor{Width: 390, Height: 844})
	p.Go("/")
	p.Axe()
	p.Narrow()
	if said := strings.Join(w.said, "\n"); !strings.Contains(said, "color-contrast (serious)") || !strings.Contains(said, "600 px of content in a window of 390 px") {
		t.Errorf("heard %s", said)
	}
}

// The reference page of the API is in order for everyone who looks at it.
func TestReference(t *testing.T) {
	t.Parallel()
	browser.NeedsAxe(t)
	page, err := docs.Render(bindgate.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", page.Policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.HTML)
	}))
	t.Cleanup(srv.Close)
	for name, v := range map[string]browser.Visitor{"light": {}, "dark": {Dark: true}, "phone": {Width: 390, Height: 844}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := browser.Open(t, srv.URL, v)
			p.Go("/docs")
			p.Narrow()
			p.Axe("header", "nav", ".lead", "main > section:nth-of-type(3n) > article:nth-of-type(2)") // the whole page, 100,000 pixels of one template, takes 10 s
		})
	}
}
