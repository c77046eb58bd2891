package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// shownMode is the answer to a change of mode.
type shownMode struct {
	ID, Mode, State string
	Applied         bool
	Domains         []struct{ Domain, Mode string }
}

// mode pulls or releases the brake and wants the server's module to confirm it.
func (w *world) mode(mode string) {
	w.t.Helper()
	var got shownMode
	w.restAs(api.ScopeAdmin).do("PUT", "/v1/links/default/mode", `{"mode": "`+mode+`"}`, &got, http.StatusOK)
	if got.ID != "default" || got.Mode != mode || !got.Applied || got.State != "up" || len(got.Domains) != 1 || got.Domains[0].Domain != w.server.Domain() || got.Domains[0].Mode != mode {
		w.t.Errorf("%+v", got)
	}
	w.onModule(mode)
	if l := w.link(); l.Mode != mode || l.Domains[0].Mode != mode {
		w.t.Errorf("shown: %+v", l)
	}
}

// moduleMode is the mode that the server's module keeps on its disk.
func (w *world) moduleMode() string {
	w.t.Helper()
	mode, err := w.server.Mode()
	if err != nil {
		w.t.Fatal(err)
	}
	return mode
}

func (w *world) onModule(mode string) {
	w.t.Helper()
	w.until("the module is in mode "+mode, func() string {
		if got := w.moduleMode(); got != mode {
			return "it is in " + got
		}
		return ""
	})
}

// asks is how many logins bindgate was asked about.
func (w *world) asks() int64 { return w.running.gate.Stats().Asks.Load() }

// Under observe everybody is let in and it is recorded what would have been; under off nobody is asked; under enforce the rules hold again, from the next
// login on.
func TestBrake(t *testing.T) { servers.OneOrEach(t, testBrake) }

func testBrake(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	w.ruleOf("bob", `{"max_sessions": 1, "on_excess": "deny"}`)
	phone := w.login("ann", "phone")
	tablet := w.login("ann", "tablet")
	w.takenOver(phone)
	bob := w.login("bob", "phone")
	w.denied(w.dial("bob", xmppclient.Options{}), "tablet")

	w.mode(gate.ModeObserve)
	asked := w.asks()
	web := w.login("ann", "web")
	bob2 := w.login("bob", "tablet")
	w.recorded("ann", "tablet=active web=active")
	w.recorded("bob", "phone=active tablet=active")
	if n := w.asks() - asked; n != 2 {
		t.Errorf("asked %d times under observe, want 2", n)
	}
	w.wantDecided("ann", "phone allow/ok 1 []", "tablet allow/takeover 2 [1]", "web allow/takeover 3 [] shadow")
	w.wantDecided("bob", "phone allow/ok 1 []", "tablet deny/limit 0 []", "tablet deny/limit 2 [] shadow")
	// What an operator asks for by name is done.
	var got shownKick
	w.rest().do("POST", "/v1/accounts/"+w.jid("bob")+"/kick", `{"session_ids": ["`+w.ids("bob")["phone"]+`"]}`, &got, http.StatusOK)
	if got.outcomes() != "phone=kicked" {
		t.Errorf("%+v", got)
	}
	w.evicted(bob)
	bob3 := w.login("bob", "phone")

	w.mode(gate.ModeOff)
	asked = w.asks()
	desk := w.login("ann", "desk")
	cat := w.login("cat", "phone")
	w.recorded("ann", "desk=active tablet=active web=active")
	w.recorded("cat", "phone=active")
	cat2 := w.login("cat", "phone") // the server itself has one session a resource
	if e := w.evicted(cat); e.Condition != "conflict" || e.Ended != nil {
		t.Errorf("under off: %s", e.Raw)
	}
	gone := w.login("cat", "gone")
	w.until("cat's three binds are decided", func() string {
		if d := w.decided("cat"); len(d) != 3 {
			return fmt.Sprint(d)
		}
		return ""
	})
	gone.Close()
	w.recorded("cat", "phone=active")
	if n := w.asks() - asked; n != 0 {
		t.Errorf("asked %d times under off", n)
	}
	w.until("the unasked bind is decided", func() string {
		if d := w.decided("ann"); len(d) != 4 || d[3] != "desk allow/takeover 4 [] shadow" {
			return fmt.Sprint(d)
		}
		return ""
	})

	w.mode(gate.ModeEnforce)
	w.agreed(3) // nothing is under way
	for _, c := range []*xmppclient.Client{tablet, web, desk, bob2, bob3, cat2} {
		w.stays(c)
	}
	again := w.login("ann", "again")
	for _, c := range []*xmppclient.Client{tablet, web, desk} {
		w.takenOver(c)
	}
	w.recorded("ann", "again=active")
	w.denied(w.dial("bob", xmppclient.Options{}), "more")
	w.stays(again)
}

// The module keeps its mode over a restart of the server while bindgate is gone, whatever the failure policy; what it let in is not judged afterwards.
func TestModeOutlivesRestarts(t *testing.T) { servers.OneOrEach(t, testModeOutlivesRestarts) }

func testModeOutlivesRestarts(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Own: true, OnFailure: "deny"})
	w.rule(`{"max_sessions": 1}`)
	w.mode(gate.ModeObserve)
	w.running.stop()
	w.server.Kill()
	if err := w.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, two := w.login("ann", "one"), w.login("ann", "two")
	w.start()
	w.recorded("ann", "one=active two=active")
	w.until("both are decided", func() string {
		if d := w.decided("ann"); len(d) != 2 {
			return fmt.Sprint(d)
		}
		return ""
	})
	w.onModule(gate.ModeObserve)
	w.mode(gate.ModeEnforce)
	w.agreed(2)
	w.stays(one)
	w.stays(two)
	w.login("ann", "three")
	w.takenOver(one)
	w.takenOver(two)
	w.recorded("ann", "three=active")
}

// A mode that is given while the link is down is kept and told when it is back; a module that comes with another mode is corrected.
func TestModeWithTheLinkDown(t *testing.T) { servers.OneOrEach(t, testModeWithTheLinkDown) }

func testModeWithTheLinkDown(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{Own: true})
	p := w.proxied()
	w.start()
	p.shut()
	w.until("the link is down", func() string {
		if s := w.link().State; s != "down" {
			return s
		}
		return ""
	})
	var got shownMode
	admin := w.restAs(api.ScopeAdmin)
	admin.do("PUT", "/v1/links/default/mode", `{"mode": "off"}`, &got, http.StatusAccepted)
	if got.Applied || got.Mode != gate.ModeOff || got.State != "down" {
		t.Errorf("%+v", got)
	}
	if m := w.moduleMode(); m != gate.ModeEnforce {
		t.Errorf("the module is in %s", m)
	}
	p.open()
	w.onModule(gate.ModeOff)

	// Its file is lost, or is another's.
	w.server.Kill()
	if err := w.server.SetMode(gate.ModeObserve); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.onModule(gate.ModeOff)
}

// A mode that another process than the owner is given is applied all the same.
func TestModeOverAnotherReplica(t *testing.T) { servers.OneOrEach(t, testModeOverAnotherReplica) }

func testModeOverAnotherReplica(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	owner := w.running
	w.running = w.launch("second")
	if l := w.link(); l.Mine {
		t.Fatalf("the second is the owner: %+v", l)
	}
	w.mode(gate.ModeObserve)
	w.mode(gate.ModeEnforce)
	w.running = owner
	if l := w.link(); !l.Mine || l.Mode != gate.ModeEnforce {
		t.Errorf("%+v", l)
	}
}
