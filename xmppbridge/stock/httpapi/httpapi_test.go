package httpapi

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// from makes a driver whose calls come from one of this machine's addresses.
func from(ip, url string) *Driver {
	d := New(url)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	d.client.Transport = &http.Transport{DialContext: dialer.DialContext}
	return d
}

// What an operator can get wrong is said with what would be right. The permissions are by address, so one server has them all.
func TestMistakes(t *testing.T) {
	t.Parallel()
	s := ejabberd.ForTest(t, ejabberd.Config{API: `{
		"good": {from: [mod_http_api], who: {access: {allow: [{ip: 127.0.0.1}]}}, what: [connected_users_info, user_sessions_info, kick_session, registered_vhosts]},
		"half": {from: [mod_http_api], who: {access: {allow: [{ip: 127.0.0.2}]}}, what: [connected_users_info, user_sessions_info]},
		"least": {from: [mod_http_api], who: {access: {allow: [{ip: 127.0.0.4}]}}, what: [connected_users_info, user_sessions_info, kick_session]}}`})
	api := "http://" + s.HTTP + "/api"
	for name, c := range map[string]struct {
		ip, url, domain string
		want            []string // of the error; none: it opens
	}{
		"all is well":          {"127.0.0.1", api, "localhost", nil},
		"a slash at the end":   {"127.0.0.1", api + "/", "localhost", nil},
		"hosts are not told":   {"127.0.0.4", api, "localhost", nil},
		"no kick":              {"127.0.0.2", api, "localhost", []string{"kick_session", "api_permissions:", "what: [connected_users_info"}},
		"no permission at all": {"127.0.0.3", api, "localhost", []string{"connected_users_info", "api_permissions:"}},
		"another domain":       {"127.0.0.1", api, "example.org", []string{"example.org is not among the hosts of this ejabberd, which are localhost", "set domains"}},
		"another path":         {"127.0.0.1", "http://" + s.HTTP + "/", "localhost", []string{"api_url", "mod_http_api"}},
		"a page":               {"127.0.0.1", "http://" + s.HTTP + "/http-bind", "localhost", []string{"api_url"}},
		"the component port":   {"127.0.0.1", "http://" + s.Component + "/api", "localhost", []string{"cannot be reached", "ejabberd_http"}},
		"nobody there":         {"127.0.0.1", "http://127.0.0.1:9/api", "localhost", []string{"cannot be reached", "is ejabberd running"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := from(c.ip, c.url).Open(t.Context(), nil, []string{c.domain})
			if _, right := errors.AsType[*stock.RightError](err); right != slices.Contains(c.want, "api_permissions:") {
				t.Errorf("%v is of a right: %t", err, right)
			}
			if len(c.want) == 0 {
				if err != nil {
					t.Errorf("it did not open: %v", err)
				}
				return
			}
			for _, word := range c.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("%v, want %q in it", err, word)
				}
			}
		})
	}
}

// An answer that is no list is an error, not a server without sessions: these would be taken for ended.
func TestNoList(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"null", " null\n", "", "{}", `"internal_error"`, "[", "0"} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(answer))
		}))
		defer api.Close()
		if all, err := (server{New(api.URL)}).List(t.Context(), []string{"localhost"}); err == nil {
			t.Errorf("%q: %v, want an error", answer, all)
		}
	}
}
