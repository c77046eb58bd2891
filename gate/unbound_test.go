package gate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// These tests are about logins that were let in and never bound: they leave nothing behind.

// by asks for ann by a client that shows a user-agent id.
func (b *bench) by(agent, sid, resource, token string) gate.Answer {
	b.t.Helper()
	return b.send(gate.Ask{User: "ann", SID: sid, Resource: resource, Peer: gate.Peer{ClientID: agent}, ID: "ask-" + sid, Chosen: true, More: true, Takeover: token})
}

func allowed(t *testing.T, a gate.Answer) {
	t.Helper()
	if a.Outcome != gate.Allow {
		t.Fatalf("%+v, want to be let in", a)
	}
}

// replaces binds a login that was let in and ends those who go for it.
func (b *bench) replaces(sid, resource string, gone ...string) {
	b.t.Helper()
	b.event(gate.EventBind, "ann", sid, resource)
	for _, g := range gone {
		b.event(gate.EventUnbind, "ann", g, resource)
	}
	b.eventually("ann", sid+"=active")
}

// loop has two devices of ann displace each other, a and b, each by a grant, until b is in for good, with s3.
func (b *bench) loop() {
	b.t.Helper()
	var last []string
	for i, who := range []string{"a", "b", "a", "b"} {
		sid := fmt.Sprint("s", i)
		if a := b.by("agent "+who, sid, who, b.grant(gate.GrantRequest{})); a.Outcome != gate.Allow {
			b.t.Fatalf("%s: %+v", sid, a)
		}
		b.replaces(sid, who, last...)
		last = []string{sid}
	}
	if n := b.count("select count(*) from loops"); n != 1 {
		b.t.Fatalf("%d loops after three turns", n)
	}
}

// Two who were to go for it are nothing to each other, and the newest stays.
func TestWhoNeverCameSetsNobodyAgainstAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "old")
	b.login("ann", "s2", "new")
	b.rule(`{"max_sessions":1}`)
	if a := b.come("n", "third", ""); a.Outcome != gate.Allow || len(a.Kicks) != 2 {
		t.Fatalf("%+v", a)
	}
	b.event(gate.EventGone, "ann", "n", "third")
	b.eventually("ann", "s1=evicting:takeover s2=active")
	p, err := b.gate.Protection(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Displaced {
		if c.Resource != "old" {
			t.Errorf("%+v", c)
		}
	}
}

// A frozen loser that had a grant is frozen again, and the list of loops says so.
func TestWhoNeverCameIsFrozenAsBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1}`)
	b.loop()
	denied(t, b.by("agent a", "s4", "a", ""), rules.CodeFrozen)
	allowed(t, b.by("agent a", "s5", "a", b.grant(gate.GrantRequest{})))
	b.event(gate.EventGone, "ann", "s5", "a")
	b.eventually("ann", "s3=active")
	denied(t, b.by("agent a", "s6", "a", ""), rules.CodeFrozen)
	if n := b.count("select count(*) from loops where resource = 'a'"); n != 1 {
		t.Errorf("%d loops", n)
	}
	if n := b.count("select count(*) from loops"); n != 1 {
		t.Errorf("%d loops in all", n)
	}
}

// A kick's wait is over when the grant is used up, not when it is tried.
func TestWhoNeverCameWaitsAsBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s0", "phone")
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: ann, Select: gate.KickSelect{All: true}, Cooldown: time.Hour, By: store.Actor{Subject: "test"}}, 0); err != nil {
		t.Fatal(err)
	}
	b.event(gate.EventUnbind, "ann", "s0", "phone")
	b.eventually("ann", "")
	allowed(t, b.come("s1", "phone", b.grant(gate.GrantRequest{})))
	b.event(gate.EventGone, "ann", "s1", "phone")
	b.eventually("ann", "")
	denied(t, b.come("s2", "phone", ""), rules.CodeCooldown)
	allowed(t, b.come("s3", "phone", b.grant(gate.GrantRequest{})))
	b.replaces("s3", "phone")
	b.event(gate.EventUnbind, "ann", "s3", "phone")
	b.eventually("ann", "")
	allowed(t, b.come("s4", "phone", ""))
}

// A grant admits one new device: the one that was bound.
func TestWhoNeverCameIsAsNewAsBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"require_grant":true}`)
	token := b.grant(gate.GrantRequest{})
	allowed(t, b.by("first", "s1", "one", token))
	denied(t, b.by("first", "s2", "one", ""), rules.CodeGrantRequired) // nor while it is not bound
	b.event(gate.EventGone, "ann", "s1", "one")
	b.eventually("ann", "")
	denied(t, b.by("first", "s3", "one", ""), rules.CodeGrantRequired)
	allowed(t, b.by("second", "s4", "two", token))
	b.replaces("s4", "two")
	b.event(gate.EventUnbind, "ann", "s4", "two")
	b.eventually("ann", "")
	allowed(t, b.by("second", "s5", "two", ""))
}
