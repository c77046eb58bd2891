package e2e

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/store"
)

// Reports that are lost, doubled or out of order on the link: the record is right soon, at the latest by the comparison that a missing number starts.
func TestDisorderedEvents(t *testing.T) { servers.OneOrEach(t, testDisorderedEvents) }

func testDisorderedEvents(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{})
	p := w.proxied()
	w.start()

	// lost loses the next event of a kind about a user, and returns when it is lost.
	lost := func(kind, user string, cause func()) {
		t.Helper()
		gone := make(chan struct{})
		done := false
		p.filter(func(stanza []byte) [][]byte {
			if !done && is(stanza, kind, user) {
				done = true
				close(gone)
				return nil
			}
			return [][]byte{stanza}
		}, nil)
		cause()
		<-gone
		p.filter(nil, nil)
	}
	ann := w.login("ann", "phone")
	w.recorded("ann", "phone=active")
	lost("unbind", "ann", ann.Close)
	w.login("bob", "phone") // its numbers show what is missing
	w.recorded("ann", "")

	lost("bind", "cat", func() { w.login("cat", "phone") })
	w.login("hal", "phone")
	w.recorded("cat", "phone=active")

	// The proof of a kick is lost: the server is asked again.
	dan := w.login("dan", "phone")
	w.recorded("dan", "phone=active")
	lost("unbind", "dan", func() {
		report, err := w.running.gate.Kick(t.Context(), gate.KickRequest{Account: w.jid("dan"), By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0)
		if err != nil || len(report.Results) != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
	})
	w.kicked(dan)
	w.recorded("dan", "")

	// Doubled.
	p.filter(func(stanza []byte) [][]byte { return [][]byte{stanza, stanza} }, nil)
	eve := w.login("eve", "phone")
	w.login("eve", "laptop")
	eve.Close()
	w.recorded("eve", "laptop=active")
	p.filter(nil, nil)

	// Out of order: the end of the first session and the begin of the second on one resource change places.
	fay := w.login("fay", "phone")
	w.recorded("fay", "phone=active")
	var kept []byte
	p.filter(func(stanza []byte) [][]byte {
		switch {
		case is(stanza, "unbind", "fay"):
			kept = slices.Clone(stanza)
			return nil
		case kept != nil && is(stanza, "bind", "fay"):
			return [][]byte{stanza, kept}
		}
		return [][]byte{stanza}
	}, nil)
	fay.Close()
	w.login("fay", "phone")
	w.recorded("fay", "phone=active")
	p.filter(nil, nil)
	w.agreed(1)

	// A short session whose end is heard before its begin.
	kept = nil
	var begin []byte
	p.filter(func(stanza []byte) [][]byte {
		switch {
		case is(stanza, "bind", "gus"):
			begin = slices.Clone(stanza)
			return nil
		case is(stanza, "unbind", "gus"):
			return [][]byte{stanza, begin}
		}
		return [][]byte{stanza}
	}, nil)
	gus := w.login("gus", "phone")
	gus.Close()
	w.login("bob", "laptop")
	w.recorded("gus", "")
	w.agreed(2)
}

// is reports whether a stanza is an event of that kind about that user.
func is(stanza []byte, kind, user string) bool {
	return bytes.Contains(stanza, []byte("<event ")) && attr(stanza, "kind", kind) && attr(stanza, "user", user)
}

func attr(stanza []byte, name, value string) bool {
	return bytes.Contains(stanza, []byte(" "+name+"='"+value+"'")) || bytes.Contains(stanza, []byte(" "+name+`="`+value+`"`))
}
