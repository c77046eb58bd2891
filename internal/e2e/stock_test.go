package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/httpapi"
)

// newStockWorld is a stock ejabberd with one bindgate.
func newStockWorld(t testing.TB, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	o.Stock = true
	w := dormant(t, on, o)
	w.driver = func(g *gate.Gate, c xmppbridge.Config) func(context.Context) error {
		c.Domains = []string{w.server.Domain()}
		return stock.New(c, httpapi.New(servers.APIURL(w.server)), g).Run
	}
	w.start()
	return w
}

// present logs in as clients do: with presence.
func (w *world) present(user, resource string) *xmppclient.Client {
	w.t.Helper()
	c := w.login(user, resource)
	if err := c.SendPresence(0); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// kickedByAPI wants the stream error of ejabberd's kick_session.
func (w *world) kickedByAPI(c *xmppclient.Client) *xmppclient.StreamError {
	w.t.Helper()
	e := w.evicted(c)
	if e.Condition != "conflict" || e.Text == "" {
		w.t.Errorf("stream error: %s", e.Raw)
	}
	return e
}

// On a stock ejabberd a login is decided just after its bind.
func TestStockOneSession(t *testing.T) { servers.EachOf(t, "ejabberd", testStockOneSession) }

func testStockOneSession(t *testing.T, on *servers.Kind) {
	w := newStockWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.present("bob", "phone")
	w.recorded("bob", "phone=active")
	second := w.present("bob", "laptop")
	w.kickedByAPI(first)
	w.recorded("bob", "laptop=active")
	w.stays(second)

	// The displaced comes back by itself, and goes each time; the newest login of a person stays.
	for range 5 {
		again := w.present("bob", "phone")
		w.kickedByAPI(again)
	}
	w.stays(second)
	w.recorded("bob", "laptop=active")

	w.rule(`{"max_sessions": 1, "on_excess": "deny", "text": {"limit": {"en": "One device only."}, "rule": {"en": "The rules."}}}`)
	third := w.present("bob", "tablet")
	if e := w.kickedByAPI(third); !strings.Contains(e.Text, "One device only.") {
		t.Errorf("a denied login reads %s", e.Raw)
	}
	w.stays(second)
}

// Without presence a login is met when all sessions are listed; a kick by REST is proven by the list.
func TestStockPoll(t *testing.T) { servers.EachOf(t, "ejabberd", testStockPoll) }

func testStockPoll(t *testing.T, on *servers.Kind) {
	w := newStockWorld(t, on, servers.Options{Blind: true})
	first := w.loginWith("amy", "phone", xmppclient.Options{Lang: "ja"})
	w.recorded("amy", "phone=active")
	second := w.login("amy", "431648325853181514599") // as ejabberd makes them
	w.recorded("amy", "431648325853181514599=active phone=active")

	var told shownKick
	w.rest().do("POST", "/v1/accounts/"+w.jid("amy")+"/kick", `{"session_ids": ["`+w.idOf("amy", "phone")+`"], "text": {"ja": "終わり", "en": "over <&é"}}`, &told, 200)
	if told.outcomes() != "phone=kicked" {
		t.Errorf("a kick came to %s", told.outcomes())
	}
	if e := w.kickedByAPI(first); e.Text != "over <&é" || e.Lang != "en" { // its language is not told
		t.Errorf("stream error: %s", e.Raw)
	}
	w.stays(second)
	w.recorded("amy", "431648325853181514599=active")

	// Who takes a session's resource between two lists is another session.
	before := w.sessions("amy")[0]
	third := w.login("amy", before.Resource)
	w.evicted(second) // by ejabberd itself
	w.until("the session is a new one", func() string {
		if now := w.sessions("amy"); len(now) != 1 || now[0].SID == before.SID {
			return w.record("amy")
		}
		return ""
	})
	w.stays(third)
}

// idOf is the public id of a session on record.
func (w *world) idOf(user, resource string) string {
	w.t.Helper()
	var shown shownSessions
	w.rest().do("GET", "/v1/accounts/"+w.jid(user)+"/sessions", "", &shown, 200)
	for _, s := range shown.Items {
		if s.Resource == resource {
			return s.ID
		}
	}
	w.t.Fatalf("%s has no session %s", user, resource)
	return ""
}

// Whoever restarts, record and server agree afterwards and no session is counted twice.
func TestStockRestarts(t *testing.T) { servers.EachOf(t, "ejabberd", testStockRestarts) }

func testStockRestarts(t *testing.T, on *servers.Kind) {
	w := newStockWorld(t, on, servers.Options{Own: true})
	w.rule(`{"max_sessions": 1}`)
	stays := w.present("ann", "phone")
	w.present("bob", "phone")
	w.recorded("ann", "phone=active")
	w.recorded("bob", "phone=active")
	before := w.sessions("ann")

	// A bindgate that comes back knows the sessions by the names that they had; what has changed meanwhile is decided then.
	w.running.stop()
	late := w.present("bob", "laptop")
	w.start()
	w.recorded("bob", "laptop=active")
	w.stays(late)
	w.stays(stays)
	if after := w.sessions("ann"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("ann's session was %+v and is %+v", before, after)
	}

	// With the server the sessions go.
	w.server.Kill()
	w.until("the link is down", func() string {
		if l := w.link(); l.State != "down" || l.LastError == "" {
			return l.State
		}
		return ""
	})
	if err := w.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := w.present("ann", "tablet")
	w.until("the link is up", func() string { return strings.TrimPrefix(w.link().State, "up") })
	w.recorded("ann", "tablet=active")
	w.recorded("bob", "")
	w.stays(again)
}

// An API that is away, while the component connection is not, is a link that is down, with the reason; what happened meanwhile is decided when it is back.
func TestStockAPIAway(t *testing.T) {
	servers.EachOf(t, "ejabberd", func(t *testing.T, on *servers.Kind) {
		w := dormant(t, on, servers.Options{Stock: true})
		target, err := url.Parse(strings.TrimSuffix(servers.APIURL(w.server), "/api"))
		if err != nil {
			t.Fatal(err)
		}
		var away atomic.Bool
		through := httputil.NewSingleHostReverseProxy(target)
		front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if away.Load() {
				http.Error(rw, "<html>the proxy knows of no server</html>", http.StatusBadGateway)
				return
			}
			through.ServeHTTP(rw, r)
		}))
		t.Cleanup(front.Close)
		w.driver = func(g *gate.Gate, c xmppbridge.Config) func(context.Context) error {
			c.Domains = []string{w.server.Domain()}
			return stock.New(c, httpapi.New(front.URL+"/api"), g).Run
		}
		w.start()
		w.rule(`{"max_sessions": 1}`)
		first := w.present("ann", "phone")
		w.recorded("ann", "phone=active")
		away.Store(true)
		w.until("the link is down and says why", func() string {
			if l := w.link(); l.State != "down" || !strings.Contains(l.LastError, "502") {
				return l.State + ": " + l.LastError
			}
			return ""
		})
		second := w.present("ann", "laptop")
		away.Store(false)
		w.kickedByAPI(first)
		w.recorded("ann", "laptop=active")
		w.stays(second)
	})
}

// A suspended session (XEP-0198) is listed like any other. Resumed, it is a new one to ejabberd; kicked, it cannot be resumed.
func TestStockResumption(t *testing.T) {
	servers.EachOf(t, "ejabberd", func(t *testing.T, on *servers.Kind) {
		w := newStockWorld(t, on, servers.Options{})
		w.rule(`{"max_sessions": 1}`)
		phone := w.loginWith("ann", "phone", xmppclient.Options{SM: true})
		w.recorded("ann", "phone=active")
		phone.Cut()
		again := w.dial("ann", xmppclient.Options{SM: true})
		if err := again.Resume(w.ctx(), phone.SMID(), phone.Handled()); err != nil {
			t.Fatal(err)
		}
		w.stays(again)
		w.until("ejabberd has told of the resumption", func() string {
			if s := w.sessions("ann"); len(s) != 1 || s[0].Generation != 2 {
				return w.record("ann")
			}
			return ""
		})
		w.stays(again)

		again.Cut()
		laptop := w.present("ann", "laptop")
		w.recorded("ann", "laptop=active")
		late := w.dial("ann", xmppclient.Options{SM: true})
		if err := late.Resume(w.ctx(), again.SMID(), again.Handled()); err == nil {
			t.Error("a session that was kicked while it was suspended could be resumed")
		}
		w.stays(laptop)
	})
}
