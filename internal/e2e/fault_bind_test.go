package e2e

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// A client that leaves while its bind is held: nobody goes for it, and nothing stays behind.
func TestClientGoneWhileHeld(t *testing.T) { servers.Each(t, testClientGoneWhileHeld) }

func testClientGoneWhileHeld(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	ways := map[string]xmppclient.Transport{"ann": xmppclient.TCP, "bob": xmppclient.WebSocket}
	olds, news := map[string]*xmppclient.Client{}, map[string]*xmppclient.Client{}
	for user := range ways {
		olds[user] = w.login(user, "phone")
		w.recorded(user, "phone=active")
	}
	release := w.lock("ann", "bob")
	for user, way := range ways {
		news[user] = w.dial(user, xmppclient.Options{Transport: way})
		w.binding(news[user], "laptop")
	}
	w.lockAwaited(len(ways))
	for _, c := range news {
		c.Cut()
	}
	release()
	w.settled("ann", "phone", "bob", "phone")
	for user, old := range olds {
		w.stays(old)
		w.recorded(user, "phone=active")
	}

	// The whole table is locked, as by a database that hangs.
	release = w.lock()
	late := w.dial("ann", xmppclient.Options{})
	w.binding(late, "tablet")
	w.lockAwaited(1)
	late.Cut()
	release()
	w.settled("ann", "phone", "bob", "phone")
	w.stays(olds["ann"])
	w.agreed(1)
}

// settled waits until the operations that were under way are done and the server has just the given sessions, user and resource by turns.
func (w *world) settled(sessions ...string) {
	w.t.Helper()
	g := w.running.gate
	w.until("nothing is under way", func() string {
		if g.Waiting() > 0 {
			return "operations wait"
		}
		record, err := w.recordSessions()
		if err != nil {
			return err.Error()
		}
		if strings.Contains(record, "binding") || strings.Contains(record, "evicting") {
			return record
		}
		return ""
	})
	for i := 0; i < len(sessions); i += 2 {
		if got := w.onServer(sessions[i]); got != sessions[i+1] {
			w.t.Fatalf("sessions of %s on the server: %q, want %q", sessions[i], got, sessions[i+1])
		}
	}
}

// An answer that comes after the module's patience, because it was decided late or because it travelled long: the failure policy decides, and
// the record follows.
func TestLateAnswer(t *testing.T) { servers.Each(t, testLateAnswer) }

func testLateAnswer(t *testing.T, on *servers.Kind) {
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := dormant(t, on, servers.Options{Timeout: 1500 * time.Millisecond, OnFailure: policy})
			p := w.proxied()
			w.start()
			w.rule(`{"max_sessions": 1}`)
			first, second := w.login("ann", "phone"), w.login("bob", "phone")
			w.recorded("ann", "phone=active")
			w.recorded("bob", "phone=active")

			release := w.lock("ann") // decided late
			held := w.binding(w.dial("ann", xmppclient.Options{}), "laptop")
			w.lockAwaited(1)
			w.answered(policy, held)
			release()

			answer, open := p.hold("<allow") // travels long
			held = w.binding(w.dial("bob", xmppclient.Options{}), "laptop")
			<-answer
			w.answered(policy, held)
			open()

			if policy == "allow" {
				w.takenOver(first)
				w.takenOver(second)
				w.recorded("ann", "laptop=active")
				w.recorded("bob", "laptop=active")
			} else {
				w.settled("ann", "phone", "bob", "phone")
				w.stays(first)
				w.stays(second)
				w.recorded("ann", "phone=active")
				w.recorded("bob", "phone=active")
			}
			w.agreed(1)
		})
	}
}

// answered waits for what the failure policy makes of a bind.
func (w *world) answered(policy string, held <-chan outcome) outcome {
	w.t.Helper()
	if policy == "allow" {
		return w.bound(held)
	}
	return w.unavailable(held)
}

// hold stops what bindgate sends, from the first stanza on that contains mark, until open is called. held is closed when it is there.
func (p *proxy) hold(mark string) (held <-chan struct{}, open func()) {
	there, gate := make(chan struct{}), make(chan struct{})
	found := false
	p.filter(nil, func(stanza []byte) [][]byte {
		if !found && bytes.Contains(stanza, []byte(mark)) {
			found = true
			close(there)
			<-gate
		}
		return [][]byte{stanza}
	})
	p.t.Cleanup(func() {
		select {
		case <-gate:
		default:
			close(gate)
		}
	})
	return there, func() {
		p.filter(nil, nil)
		close(gate)
	}
}

// The link is cut between ask and answer, before or after the decision: the bind goes on at once, by the failure policy, and the record is right
// when the link is back.
func TestLinkCutMidBind(t *testing.T) { servers.Each(t, testLinkCutMidBind) }

func testLinkCutMidBind(t *testing.T, on *servers.Kind) {
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := dormant(t, on, servers.Options{OnFailure: policy})
			p := w.proxied()
			w.start()
			w.rule(`{"max_sessions": 1}`)
			undecided, decided := w.login("ann", "phone"), w.login("bob", "phone")
			w.recorded("ann", "phone=active")
			w.recorded("bob", "phone=active")

			release := w.lock("ann")
			answer, open := p.hold("<allow")
			one := w.binding(w.dial("ann", xmppclient.Options{}), "laptop")
			two := w.binding(w.dial("bob", xmppclient.Options{}), "laptop")
			w.lockAwaited(1)
			<-answer
			cut := time.Now()
			p.cut()
			for _, held := range []<-chan outcome{one, two} {
				if o := w.answered(policy, held); o.at.Sub(cut) > soon {
					t.Errorf("the bind went on %s after the cut", o.at.Sub(cut))
				}
			}
			open()
			release()
			w.linked()
			stays := "phone"
			if policy == "allow" {
				stays = "laptop"
				w.takenOver(undecided)
				w.takenOver(decided)
			}
			w.agreed(1)
			for _, user := range []string{"ann", "bob"} {
				w.recorded(user, stays+"=active")
				if got := w.onServer(user); got != stays {
					t.Errorf("sessions of %s: %q, want %q", user, got, stays)
				}
			}
		})
	}
}

// A bind that another module of the server refuses after we let it in: who was to go for it stays.
func TestRefusedByAnotherModule(t *testing.T) { servers.Each(t, testRefusedByAnotherModule) }

func testRefusedByAnotherModule(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Late: true})
	w.rule(`{"max_sessions": 1}`)
	old := w.login("ann", "phone")
	w.recorded("ann", "phone=active")
	c := w.dial("ann", xmppclient.Options{})
	_, err := c.Bind(w.ctx(), "refused")
	var e *xmppclient.StanzaError
	if !errors.As(err, &e) || e.Condition != "not-allowed" || e.Denied != nil {
		t.Fatalf("bind: %v, want the other module's not-allowed", err)
	}
	w.recorded("ann", "phone=active")
	w.stays(old)
	if _, err := c.Bind(w.ctx(), "laptop"); err != nil {
		t.Fatalf("another try on the same stream: %v", err)
	}
	w.takenOver(old)
	w.recorded("ann", "laptop=active")

	// One that is held by the other module and goes meanwhile.
	old = w.login("cat", "phone")
	w.recorded("cat", "phone=active")
	gone := w.dial("cat", xmppclient.Options{})
	w.binding(gone, "slow-refused")
	servers.AwaitHeld(t, w.server)
	w.recorded("cat", "phone=evicting slow-refused=binding")
	gone.Cut()
	if err := w.server.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.recorded("cat", "phone=active")
	w.stays(old)
	w.agreed(1)
}
