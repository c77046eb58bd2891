package e2e

import (
	"context"
	"strings"
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
	e := w.kickedByAPI(first)
	t.Logf("%s", e.Raw)
	w.recorded("bob", "laptop=active")
	w.stays(second)

	// The displaced comes back by itself, and goes each time; the newest login of a person stays.
	for range 5 {
		again := w.present("bob", "phone")
		w.kickedByAPI(again)
	}
	w.stays(second)
	w.recorded("bob", "laptop=active")

	w.rule(`{"max_sessions": 1, "on_excess": "deny", "text": {"limit": {"en": "One device only."}, "rule": {"en": "One device only."}}}`)
	third := w.present("bob", "tablet")
	if e := w.kickedByAPI(third); !strings.Contains(e.Text, "One device only.") {
		t.Errorf("a denied login reads %s", e.Raw)
	}
	w.stays(second)
}
