package gate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// An account that another transaction is making holds up nobody else, and its own ask is decided when that one is through.
func TestAccountThatIsBeingMade(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	begin := func(user string) (commit func()) {
		tx, err := b.store.Pool().Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		jid := user + "@" + theDomain
		if _, err := tx.Exec(t.Context(), "insert into accounts (key, jid, domain) values ($1, $2, $3)", store.KeyOf(jid), jid, theDomain); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Commit(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	commits := []func(){begin("ann"), begin("bob")}
	out := b.askAll("ann", "bob", "cid", "dan", "eve")
	committed := make(chan struct{})
	time.AfterFunc(1500*time.Millisecond, func() {
		defer close(committed)
		for _, commit := range commits {
			commit()
		}
	})
	defer func() { <-committed }()
	deadline := time.After(8 * time.Second)
	for range 5 {
		select {
		case a := <-out:
			if a.Outcome != gate.Allow {
				t.Errorf("%+v", a)
			}
		case <-deadline:
			t.Fatal("an ask got no answer")
		}
	}
	if a := b.ask("ann", "again", "tablet"); a.Outcome != gate.Allow { // the lane goes on
		t.Errorf("%+v", a)
	}
}

// askAll asks for several users at once.
func (b *bench) askAll(users ...string) <-chan gate.Answer {
	b.t.Helper()
	out := make(chan gate.Answer, len(users))
	for _, u := range users {
		b.gate.Ask(gate.Ask{Source: b.source(), Received: time.Now(), Deadline: 10 * time.Second, User: u, SID: "s-" + u, Resource: "phone", ID: "ask-" + u, More: true, Epoch: "e1"},
			func(a gate.Answer) { out <- a })
	}
	return out
}

// One account's asks do not fill the queue for the others.
func TestHotAccountLeavesRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	tx, err := b.store.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	b.ask("ann", "s0", "phone")
	if _, err := tx.Exec(t.Context(), "select from accounts where key = $1 for update", store.KeyOf("ann@"+theDomain)); err != nil {
		t.Fatal(err)
	}
	const many = 70000
	out := make(chan gate.Answer, many)
	for i := range many {
		b.gate.Ask(gate.Ask{Source: b.source(), Received: time.Now(), Deadline: 5 * time.Second, User: "ann", SID: fmt.Sprint("s", i), Resource: "phone", ID: fmt.Sprint("q", i), More: true, Epoch: "e1"},
			func(a gate.Answer) { out <- a })
	}
	if a := b.ask("bob", "t1", "phone"); a.Outcome != gate.Allow {
		t.Errorf("another account while one is hot: %+v", a)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "ann@" + theDomain, By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0); err != nil {
		t.Errorf("a kick of the hot account: %v", err)
	}
}
