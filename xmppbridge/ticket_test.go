package xmppbridge

import (
	"strings"
	"testing"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	a, b := newTickets(), newTickets()
	id := a.issue(nodeSignOut, "alice@example.org/x", since)
	if id == a.issue(nodeSignOut, "alice@example.org/x", since) {
		t.Error("two tickets are the same")
	}
	for _, tt := range []struct {
		name, id, node, jid string
		by                  *tickets
		ours                bool
	}{
		{"as issued", id, nodeSignOut, "alice@example.org/x", a, true},
		{"another process", id, nodeSignOut, "alice@example.org/x", b, false},
		{"another command", id, nodeSignOutOthers, "alice@example.org/x", a, false},
		{"another session", id, nodeSignOut, "alice@example.org/y", a, false},
		{"none", "", nodeSignOut, "alice@example.org/x", a, false},
		{"changed", "B" + id[1:], nodeSignOut, "alice@example.org/x", a, false},
		{"longer", id + "A", nodeSignOut, "alice@example.org/x", a, false},
		{"no base64", strings.Repeat("♥", len(id)/3) + id[:len(id)%3], nodeSignOut, "alice@example.org/x", a, false},
	} {
		if ours, expired := tt.by.check(tt.id, tt.node, tt.jid, since.Add(ticketLife-1)); ours != tt.ours || expired {
			t.Errorf("%s: ours %v, expired %v", tt.name, ours, expired)
		}
	}
	if ours, expired := a.check(id, nodeSignOut, "alice@example.org/x", since.Add(ticketLife)); !ours || !expired {
		t.Errorf("afterwards: ours %v, expired %v", ours, expired)
	}
}
