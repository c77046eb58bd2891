package e2e

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/selftest"
	"github.com/bindgate/bindgate/internal/servers"
)

// A link with our module holds the trial's login, and its kick says all there is to say. A rule that keeps the account out is told, and is no failure of a kick.
func TestSelfTest(t *testing.T) { servers.Each(t, testSelfTest) }

func testSelfTest(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	clients, _ := w.server.Addresses()
	cfg := selftest.Config{User: "tester", Domain: w.server.Domain(), Password: "pw", Addr: clients, Encryption: selftest.None}
	for range 2 { // a trial leaves nothing that another one would stumble over
		got := selftest.Run(w.ctx(), cfg, w.running.gate, w.store)
		if !got.OK || got.Held == nil || !*got.Held || len(got.Findings) > 0 || got.Account != w.jid("tester") || got.At.IsZero() {
			t.Fatalf("%+v", got)
		}
		if k := got.Kick; k == nil || k.Outcome != "kicked" || k.Condition != "conflict" || k.Text == "" || k.Lang != "en" || k.Ended != "kick" {
			t.Fatalf("kick %+v", got.Kick)
		}
	}
	w.rule(`{"condition": "false"}`)
	got := selftest.Run(w.ctx(), cfg, w.running.gate, w.store)
	if got.OK || got.Kick != nil || len(got.Findings) != 1 || !strings.Contains(got.Findings[0], "is not let in") {
		t.Errorf("kept out by a rule: %+v", got)
	}
}
