package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
)

// dormantAdmin is a stock server, and a bindgate that does not run yet, with driver admin.
func dormantAdmin(t testing.TB, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	o.Stock = true
	w := dormant(t, on, o)
	w.named = xmppbridge.DriverAdmin
	w.driver = func(g *gate.Gate, c xmppbridge.Config) func(context.Context) error {
		c.Domains = []string{w.server.Domain()}
		return stock.New(c, adhoc.New(c.Component), g).Run
	}
	return w
}

// newAdminWorld is a stock server that a bindgate administers.
func newAdminWorld(t testing.TB, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	o.Administered = true
	w := dormantAdmin(t, on, o)
	w.start()
	return w
}

// ended waits for a kicked client's stream to end, as the server ends it.
func (w *world) ended(c *xmppclient.Client) {
	w.t.Helper()
	e, err := c.WaitClosed(w.ctx())
	switch {
	case err != nil:
		w.t.Fatalf("%s was to be kicked: %v\n%s", c.JID(), err, tail(w.server.Log(), 30))
	case !w.on.Able(servers.StreamError) && e != nil:
		w.t.Errorf("%s: stream error %s, where the server is said to have none", c.JID(), e.Raw)
	case w.on.Able(servers.StreamError) && (e == nil || e.Condition != "policy-violation"):
		w.t.Errorf("%s: stream error %v, want policy-violation", c.JID(), e)
	}
}

// On a server that bindgate administers by ad-hoc commands a login is decided just after its bind.
func TestAdminOneSession(t *testing.T) { servers.EachStock(t, testAdminOneSession) }

func testAdminOneSession(t *testing.T, on *servers.Kind) {
	w := newAdminWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.present("bob", "phone")
	w.recorded("bob", "phone=active")
	second := w.present("bob", "laptop")
	w.ended(first)
	w.recorded("bob", "laptop=active")
	w.stays(second)

	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	third := w.present("bob", "tablet")
	w.ended(third)
	w.recorded("bob", "laptop=active")
	w.stays(second)
	if on := w.onServer("bob"); on != "laptop" {
		t.Errorf("on the server: %s", on)
	}
}

// Who was displaced and comes back by itself goes each time; the newest login of a person stays.
func TestAdminWar(t *testing.T) { servers.EachStock(t, testAdminWar) }

func testAdminWar(t *testing.T, on *servers.Kind) {
	w := newAdminWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.present("eve", "phone")
	w.recorded("eve", "phone=active")
	second := w.present("eve", "laptop")
	w.ended(first)
	for range 3 {
		w.ended(w.present("eve", "phone"))
		w.stays(second)
	}
	w.recorded("eve", "laptop=active")
}

// The answer to a kick is what has been seen to happen on the server.
func TestAdminKickOverREST(t *testing.T) { servers.EachStock(t, testAdminKickOverREST) }

func testAdminKickOverREST(t *testing.T, on *servers.Kind) {
	w := newAdminWorld(t, on, servers.Options{})
	goes, stays := w.present("ada", "a/b @c"), w.present("ada", "desk")
	w.recorded("ada", "a/b @c=active desk=active")
	var got shownKick
	w.rest().do("POST", "/v1/accounts/"+w.jid("ada")+"/kick", `{"session_ids": ["`+w.ids("ada")["a/b @c"]+`"], "reason": "test"}`, &got, 200)
	if got.outcomes() != "a/b @c=kicked" {
		t.Errorf("%+v", got)
	}
	if on := w.onServer("ada"); on != "desk" {
		t.Errorf("on the server when the answer came: %s", on)
	}
	w.ended(goes)
	w.stays(stays)
	w.recorded("ada", "desk=active")
}

// A server that was restarted is found again, and what was on it has ended.
func TestAdminServerRestarts(t *testing.T) { servers.EachStock(t, testAdminServerRestarts) }

func testAdminServerRestarts(t *testing.T, on *servers.Kind) {
	w := newAdminWorld(t, on, servers.Options{Own: true})
	w.rule(`{"max_sessions": 1}`)
	w.present("ada", "phone")
	w.present("bob", "phone")
	w.recorded("ada", "phone=active")
	w.recorded("bob", "phone=active")
	w.server.Kill()
	if err := w.server.Restart(w.ctx()); err != nil {
		t.Fatal(err)
	}
	ada := w.present("ada", "tablet")
	w.recorded("ada", "tablet=active")
	w.recorded("bob", "")
	second := w.present("ada", "phone")
	w.ended(ada)
	w.recorded("ada", "phone=active")
	w.stays(second)
}

// A server that does not let the component administer it, or cannot be administered, is a link that is down and says what to do.
func TestAdminWithoutRight(t *testing.T) { servers.EachStock(t, testAdminWithoutRight) }

func testAdminWithoutRight(t *testing.T, on *servers.Kind) {
	w := dormantAdmin(t, on, servers.Options{})
	w.running = w.launch("first")
	want := map[string]string{"Prosody": `admins = { "` + w.server.ComponentJID() + `" }`, "ejabberd": "mod_adhoc and mod_configure"}[on.Software]
	w.until("the link says what to do", func() string {
		links, err := w.running.gate.Links(t.Context())
		if err == nil && len(links) == 1 && links[0].State == "down" && strings.Contains(links[0].LastError, want) {
			return ""
		}
		return fmt.Sprintf("%s is not in %+v, %v", want, links, err)
	})
}

// What the link can do and cannot is said in words.
func TestAdminAbilities(t *testing.T) { servers.EachStock(t, testAdminAbilities) }

func testAdminAbilities(t *testing.T, on *servers.Kind) {
	w := newAdminWorld(t, on, servers.Options{})
	link := w.link()
	for name, words := range map[string]string{"kick": "end-user-session", "conflict": on.Software, "text": "no reason", "ask": "no gate module"} {
		i := slices.IndexFunc(link.Abilities, func(a gate.Ability) bool { return a.Name == name })
		if i < 0 || link.Abilities[i].Can != (name == "kick") || !strings.Contains(link.Abilities[i].Why, words) {
			t.Errorf("%s: %+v", name, link.Abilities)
		}
	}
}
