package gate_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// bench is a gate on a database of its own, with a server that the test plays.
type bench struct {
	t     testing.TB
	gate  *gate.Gate
	store *store.Store
	seq   int64
}

const (
	theLink   = "test"
	theDomain = "example.org"
)

func newBench(t testing.TB) *bench {
	t.Helper()
	st := store.FromPool(pgtest.New(t))
	g := gate.New(st, gate.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	return &bench{t: t, gate: g, store: st}
}

func (b *bench) source() gate.Source { return gate.Source{Link: theLink, Domain: theDomain} }

func (b *bench) ask(user, sid, resource string, sessions ...gate.Listed) gate.Answer {
	b.t.Helper()
	return b.send(gate.Ask{User: user, SID: sid, Resource: resource, ID: "ask-" + sid, Chosen: true, Sessions: sessions, More: len(sessions) == 0})
}

func (b *bench) send(a gate.Ask) gate.Answer {
	b.t.Helper()
	a.Source, a.Received, a.Epoch, a.Seq = b.source(), time.Now(), "e1", b.seq
	if a.Deadline == 0 {
		a.Deadline = 5 * time.Second
	}
	out := make(chan gate.Answer, 1)
	b.gate.Ask(a, func(x gate.Answer) { out <- x })
	select {
	case x := <-out:
		return x
	case <-time.After(10 * time.Second):
		b.t.Fatalf("ask %s got no answer", a.ID)
		return gate.Answer{}
	}
}

func (b *bench) event(kind gate.EventKind, user, sid, resource string) {
	b.gate.Event(b.made(kind, user, sid, resource))
}

func (b *bench) rule(fields string) {
	b.t.Helper()
	if _, err := b.store.Pool().Exec(b.t.Context(), "update rules set fields = $1 where scope = 'default'", fields); err != nil {
		b.t.Fatal(err)
	}
}

// state renders the account's live sessions as "sid=state …", evicting ones with their code.
func (b *bench) state(user string) string {
	b.t.Helper()
	var out string
	err := b.store.Pool().QueryRow(b.t.Context(), `select coalesce(string_agg(s.sid || '=' || coalesce('evicting:' || s.evict_code, s.state), ' ' order by s.generation), '')
		from sessions s where s.account = $1`, store.KeyOf(user+"@"+theDomain)).Scan(&out)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) eventually(user, want string) {
	b.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		got := b.state(user)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("sessions of %s: %q, want %q", user, got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	if a := b.ask("ann", "s1", "phone"); a.Outcome != gate.Allow || len(a.Kicks) != 0 {
		t.Fatalf("first login: %+v", a)
	}
	b.event(gate.EventBind, "ann", "s1", "phone")
	b.eventually("ann", "s1=active")
	a := b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"})
	if a.Outcome != gate.Allow || len(a.Kicks) != 1 || a.Kicks[0].SID != "s1" || a.Kicks[0].Code != "takeover" || a.Kicks[0].Text == "" {
		t.Fatalf("second login: %+v", a)
	}
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
}

func BenchmarkAdmit(bb *testing.B) {
	b := newBench(bb)
	b.rule(`{"max_sessions": 1}`)
	bb.SetParallelism(32)
	n := make(chan int, 1)
	n <- 0
	bb.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := <-n
			n <- i + 1
			b.ask(fmt.Sprintf("u%d", i%1000), fmt.Sprintf("s%d", i), fmt.Sprintf("r%d", i))
		}
	})
}

// made makes the next event without sending it.
func (b *bench) made(kind gate.EventKind, user, sid, resource string) gate.Event {
	b.seq++
	return gate.Event{Source: b.source(), Epoch: "e1", Seq: b.seq, Kind: kind, User: user, SID: sid, AskID: "ask-" + sid, Resource: resource, Reason: "lost"}
}

// login asks and binds.
func (b *bench) login(user, sid, resource string) {
	b.t.Helper()
	if a := b.send(gate.Ask{User: user, SID: sid, Resource: resource, ID: "ask-" + sid, Chosen: true, More: true}); a.Outcome != gate.Allow {
		b.t.Fatalf("login of %s with %s: %+v", user, resource, a)
	}
	b.event(gate.EventBind, user, sid, resource)
	deadline := time.Now().Add(15 * time.Second)
	for b.count("select count(*) from sessions where state = 'active' and sid = '"+sid+"'") != 1 {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is not active: %s", sid, b.state(user))
		}
	}
}

func (b *bench) count(sql string) (n int) {
	b.t.Helper()
	if err := b.store.Pool().QueryRow(b.t.Context(), sql).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}
