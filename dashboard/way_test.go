package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/proxy"
)

// What is wrong with the way that passwords come is said in the log, once.
func TestTheWayOfPasswords(t *testing.T) {
	t.Parallel()
	const plain, shared = "has come from another machine without TLS", "share the wait after failed logins"
	for name, c := range map[string]struct {
		peer, passed string
		secure       bool // by the public URL
		trusted      string
		says         []string
	}{
		"this machine":                  {peer: "127.0.0.1:1"},
		"this machine, IPv6":            {peer: "[::1]:1"},
		"another one":                   {peer: "192.0.2.1:1", says: []string{plain}},
		"a proxy with TLS":              {peer: "192.0.2.1:1", secure: true, trusted: "192.0.2.0/24", passed: "198.51.100.1"},
		"a proxy that nobody trusts":    {peer: "192.0.2.1:1", passed: "198.51.100.1", says: []string{plain, shared}},
		"one here":                      {peer: "127.0.0.1:1", passed: "198.51.100.1", says: []string{shared}},
		"one here, by the public URL":   {peer: "127.0.0.1:1", passed: "198.51.100.1", secure: true, says: []string{shared}},
		"one that tells of no one else": {peer: "127.0.0.1:1", trusted: "127.0.0.0/8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKitWith(t, func(_ *kit, cfg *dashboard.Config) {
				var trusted proxy.Trusted
				if c.trusted != "" {
					trusted = proxy.Trusted{netip.MustParsePrefix(c.trusted)}
				}
				cfg.Address = trusted.Client
				cfg.Secure = func(*http.Request) bool { return c.secure }
			})
			for range 2 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/dashboard/login", strings.NewReader(url.Values{"username": {"ada"}, "password": {"wrong"}}.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.RemoteAddr = c.peer
				if c.passed != "" {
					r.Header.Set("X-Forwarded-For", c.passed)
				}
				k.dash.ServeHTTP(httptest.NewRecorder(), r)
			}
			for _, what := range []string{plain, shared} {
				want := 0
				for _, s := range c.says {
					if s == what {
						want = 1
					}
				}
				if n := strings.Count(k.logs.String(), what); n != want {
					t.Errorf("%q is said %d times, want %d: %s", what, n, want, k.logs)
				}
			}
		})
	}
}
