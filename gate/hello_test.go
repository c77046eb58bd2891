package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// absent is a server that answers nothing.
type absent struct{}

var errAbsent = errors.New("absent")

func (absent) Kick(context.Context, gate.Source, gate.Kick) (gate.KickResult, error) {
	return "", errAbsent
}

func (absent) Probe(context.Context, gate.Source, string, []string, time.Duration) (map[string]gate.Verdict, error) {
	return nil, errAbsent
}

func (absent) Snapshot(context.Context, gate.Source, int, int, string) (gate.Part, error) {
	return gate.Part{}, errAbsent
}

func (absent) Software(context.Context, gate.Source, string, string) (gate.Software, error) {
	return gate.Software{}, errAbsent
}

func (absent) Revoke(context.Context, gate.Source, string, []string, bool) (gate.Revocation, error) {
	return gate.Revocation{}, errAbsent
}

func (absent) Notify(context.Context, gate.Source, gate.Notice) error { return errAbsent }

func (absent) SetMode(context.Context, gate.Source, string) error { return errAbsent }

// own has the bench's gate own the link, with a server that answers nothing.
func (b *bench) own() {
	b.t.Helper()
	b.owns(absent{})
}

// owns has the bench's gate own the link to a server.
func (b *bench) owns(server gate.Link) {
	b.t.Helper()
	up := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- b.gate.Own(ctx, theLink, "gate", "bindgate."+theDomain, func(ctx context.Context) error {
			b.gate.Connected(theLink, server) //nolint:contextcheck // what it starts outlives the connection
			close(up)
			<-ctx.Done()
			return nil
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		<-done
	})
	<-up
}

// A connection that was lost takes its binds with it: those that were let in and were not heard of again are given up soon after the next hello.
func TestHelloEndsTheWaitForEarlierBinds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "a", Deadline: time.Minute, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	if a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.gate.Disconnected(theLink, errAbsent)
	b.gate.Connected(theLink, absent{})
	b.gate.Hello(gate.Hello{Source: b.source(), Epoch: "e1", Seq: b.seq, Abilities: []string{"snapshot"}})
	b.eventually("ann", "s1=active")
}

// An ask whose connection has ended is not decided: the server has gone on without us.
func TestAskOfALostConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	b.login("ann", "s1", "phone")
	if a := b.lateAsk("ann", "s2", func() { b.gate.Disconnected(theLink, errAbsent) }); a.Outcome != gate.Undecided {
		t.Fatalf("%+v", a)
	}
	if got := b.state("ann"); got != "s1=active" {
		t.Fatal(got)
	}
}

// Sessions of the same age are told apart by their order in the server's list.
func TestListsAreInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var list []gate.Listed
	for _, sid := range []string{"s7", "s1", "s9", "s3"} {
		list = append(list, gate.Listed{SID: sid, Resource: "at " + sid, State: "active", Age: time.Second})
	}
	b.ask("ann", "s5", "phone", list...)
	b.eventually("ann", "s7=active s1=active s9=active s3=active s5=binding")
}

// lateAsk has an ask wait while then happens, and returns its answer.
func (b *bench) lateAsk(user, sid string, then func()) gate.Answer {
	b.t.Helper()
	tx, err := b.store.Pool().Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(b.t.Context(), "select from accounts where key = $1 for update", store.KeyOf(user+"@"+theDomain)); err != nil {
		b.t.Fatal(err)
	}
	out := make(chan gate.Answer, 1)
	b.gate.Ask(gate.Ask{Source: b.source(), Received: time.Now(), Deadline: time.Minute, User: user, SID: sid, Resource: "tablet", ID: "ask-" + sid, More: true, Epoch: "e1", Seq: b.seq},
		func(a gate.Answer) { out <- a })
	then()
	if err := tx.Rollback(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return <-out
}

// An ask that the server gave up before it was decided leaves nothing.
func TestAskThatWasGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	if a := b.lateAsk("ann", "s2", func() { b.event(gate.EventGone, "ann", "s2", "") }); a.Outcome != gate.Undecided {
		t.Fatalf("%+v", a)
	}
	b.ask("ann", "s3", "web")
	b.eventually("ann", "s1=active s3=binding")
}

// An ask whose session was bound without us meanwhile, as the failure policy may do, is not decided again.
func TestAskOfABoundSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.eventually("ann", "s1=active s2=active")
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "late", More: true})
	if a.Outcome != gate.Undecided {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=active s2=active")
}
