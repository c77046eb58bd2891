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

// listing is a server that has these sessions, as of the event seq of e1.
type listing struct {
	absent
	seq      int64
	sessions []gate.Listed
}

func (l listing) Snapshot(_ context.Context, src gate.Source, first, count int, _ string) (gate.Part, error) {
	p := gate.Part{Source: src, First: first, Count: count, Total: len(l.sessions), Epoch: "e1", Seq: l.seq}
	for _, s := range l.sessions {
		if bucket := store.KeyOf(s.User + "@" + src.Domain).Bucket(); bucket >= first && bucket < first+count {
			p.Sessions = append(p.Sessions, s)
		}
	}
	return p, nil
}

// swept waits until the sweeper has been round after this moment: it gives up binds that nobody waits for any more.
func (b *bench) swept() {
	b.t.Helper()
	for _, user := range []string{"left", "over"} { // the first may have been met by a round that had begun before
		b.ask(user, "x-"+user, "phone")
		b.exec("update sessions set bind_deadline = now() - interval '61 minutes' where sid = $1", "x-"+user)
		b.eventually(user, "")
	}
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.store.Pool().Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// What was let in while its server can report nothing is waited for: when the server is back, it stands as it was let in.
func TestBindsOfALinkThatIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(listing{})
	b.hello(theDomain, gate.ModeEnforce, "snapshot")
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	token := b.grant(gate.GrantRequest{})
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "a", Chosen: true, Takeover: token, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	if a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.gate.Disconnected(theLink, errAbsent)
	b.swept() // a round that began before is over
	b.exec("update sessions set bind_deadline = now() - interval '59 minutes' where sid = 's2'")
	b.swept()
	b.eventually("ann", "s1=evicting:takeover s2=binding")

	b.gate.Connected(theLink, listing{seq: b.seq + 2, sessions: []gate.Listed{{User: "ann", SID: "s2", Resource: "tablet", State: "active"}}})
	b.swept() // also before it has said what it has
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.seq += 2 // that nobody heard
	b.hello(theDomain, gate.ModeEnforce, "snapshot")
	b.eventually("ann", "s2=active")
	if n := b.count("select count(*) from decisions where resource = 'tablet'"); n != 1 {
		t.Errorf("%d decisions on the login, want 1", n)
	}
	if a := b.send(gate.Ask{User: "ann", SID: "s3", Resource: "web", ID: "b", Chosen: true, More: true, Takeover: token}); a.Outcome != gate.Allow {
		t.Errorf("%+v", a)
	}
	if n := b.count(`select count(*) from decisions where resource = 'web' and array_to_string(explanation, ' ') like '%does not count: "used"%'`); n != 1 {
		t.Error("the grant was not used up by who was let in with it")
	}
}

// A connection that was lost takes its binds with it: those that were let in and were not heard of again are given up soon after the next hello.
func TestHelloEndsTheWaitForEarlierBinds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(listing{})
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "a", Deadline: time.Minute, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	if a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.gate.Disconnected(theLink, errAbsent)
	b.gate.Connected(theLink, listing{seq: b.seq, sessions: []gate.Listed{{User: "ann", SID: "s1", Resource: "phone", State: "active"}}})
	b.hello(theDomain, gate.ModeEnforce, "snapshot")
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
