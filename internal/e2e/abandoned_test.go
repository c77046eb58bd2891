package e2e

import (
	"errors"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// A takeover that never came about takes no protection away: who was displaced before waits for the one that stands again.
func TestProtectionOutlivesABindThatNeverCame(t *testing.T) {
	servers.OneOrEach(t, testProtectionOutlivesABindThatNeverCame)
}

func testProtectionOutlivesABindThatNeverCame(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Late: true})
	w.rule(`{"max_sessions": 1}`)
	one := w.login("abe", "one")
	two := w.login("abe", "two")
	w.takenOver(one)
	w.recorded("abe", "two=active")
	_, err := w.dial("abe", xmppclient.Options{}).Bind(w.ctx(), "refused") // by another module, after our allow
	var e *xmppclient.StanzaError
	if !errors.As(err, &e) || e.Denied != nil {
		t.Fatalf("bind: %v, want the other module's refusal", err)
	}
	w.recorded("abe", "two=active")
	w.wantDenied(w.denied(w.dial("abe", xmppclient.Options{}), "one"), "cooldown", "")
	w.stays(two)
	back := w.login("abe", "two") // it was never displaced: its client, or who cannot be told from it, may
	w.stays(back)
}
