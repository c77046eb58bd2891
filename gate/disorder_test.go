package gate_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// What is lost, doubled, late or out of order leaves the record right.

func TestUnbindBeforeLateBind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask("ann", "s1", "phone")
	bind, unbind := b.made(gate.EventBind, "ann", "s1", "phone"), b.made(gate.EventUnbind, "ann", "s1", "phone")
	b.gate.Event(unbind)
	b.eventually("ann", "")
	b.gate.Event(bind)
	b.ask("ann", "s2", "tablet") // behind the late report in the account's lane
	b.eventually("ann", "s1=active s2=binding")
	// An unbind of a session that was never seen bound is taken for an abandoned bind, so the late bind brings it back; the next list of the server ends it.
	b.ask("ann", "s3", "web", gate.Listed{SID: "s9", Resource: "other", State: "active"})
	b.eventually("ann", "s2=binding s9=active s3=binding")
}

func TestDoubledEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask("ann", "s1", "phone")
	bind := b.made(gate.EventBind, "ann", "s1", "phone")
	unbind := b.made(gate.EventUnbind, "ann", "s1", "phone")
	for range 2 {
		b.gate.Event(bind)
	}
	b.eventually("ann", "s1=active")
	for range 2 {
		b.gate.Event(unbind)
	}
	b.eventually("ann", "")
	b.gate.Event(bind) // once more, long after its end
	b.ask("ann", "s2", "phone")
	b.eventually("ann", "s2=binding")
	if n := b.count("select count(*) from session_history"); n != 1 {
		t.Fatalf("%d ends in history, want 1", n)
	}
}

// An ask's list ends what the server does not have, adds what it has, and leaves alone what newer events spoke of.
func TestAskHealsTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "tablet")
	b.ask("ann", "s3", "web", gate.Listed{SID: "s2", Resource: "tablet", State: "hibernating"}, gate.Listed{SID: "s8", Resource: "tv", State: "active", Age: time.Hour})
	b.eventually("ann", "s2=hibernating s8=active s3=binding")

	old := b.seq
	b.event(gate.EventBind, "ann", "s3", "web")
	b.eventually("ann", "s2=hibernating s8=active s3=active")
	a := gate.Ask{User: "ann", SID: "s4", Resource: "desk", ID: "late", Sessions: []gate.Listed{{SID: "s2", Resource: "tablet", State: "active"}, {SID: "s8", Resource: "tv", State: "active"}}}
	b.seq, old = old, b.seq // this list was made before s3 was bound
	b.send(a)
	b.seq = old
	b.eventually("ann", "s2=active s8=active s3=active s4=binding")
}

// A bind that never comes is given up, and who was to go for it stays.
func TestAbandonedBindWithdrawsItsEvictions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(listing{})
	b.hello(theDomain, gate.ModeEnforce, "snapshot")
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	if a := b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"}); len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=evicting:takeover s2=binding")
	b.event(gate.EventGone, "ann", "s2", "")
	b.eventually("ann", "s1=active")

	b.send(gate.Ask{User: "ann", SID: "s3", Resource: "tablet", ID: "q3", Deadline: 200 * time.Millisecond, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	b.eventually("ann", "s1=evicting:takeover s3=binding")
	b.eventually("ann", "s1=active") // by the deadline alone
}

// B was to replace A and is itself replaced by C before it is bound: A goes for C. If neither comes, A stays.
func TestEvictionsFollowTheNewestWinner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "a", "1")
	list := gate.Listed{SID: "a", Resource: "1", State: "active"}
	b.ask("ann", "b", "2", list)
	if got := b.ask("ann", "c", "3", list); len(got.Kicks) != 2 {
		t.Fatalf("kicks for c: %+v, want a and b", got.Kicks)
	}
	b.eventually("ann", "a=evicting:takeover b=evicting:takeover c=binding")
	b.event(gate.EventGone, "ann", "b", "")
	b.eventually("ann", "a=evicting:takeover c=binding")
	b.event(gate.EventGone, "ann", "c", "")
	b.eventually("ann", "a=active")
}

// A bind that was never asked (fail-open) is decided when it is seen; the newest wins, or under deny the newcomer goes.
func TestUnaskedBindsAreJudged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventBind, "ann", "s3", "web")
	b.eventually("ann", "s1=evicting:takeover s2=evicting:takeover s3=active")

	b.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	b.login("bob", "t1", "phone")
	b.event(gate.EventBind, "bob", "t2", "tablet")
	b.eventually("bob", "t1=active t2=evicting:rule")
}

// An answer that came too late was not carried out by the server: who was to go is kicked as soon as the bind is seen.
func TestLateAnswerIsMadeGood(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"})
	e := b.made(gate.EventBind, "ann", "s2", "tablet")
	e.AskID = ""
	b.gate.Event(e)
	b.eventually("ann", "s1=evicting:takeover s2=active")
	if n := b.count("select count(*) from sessions where evict_next <= clock_timestamp()"); n != 1 {
		t.Fatalf("%d evictions are due, want 1", n)
	}
}

// The same ask twice has one answer and one effect.
func TestRepeatedAsk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	first := b.ask("ann", "s1", "phone")
	again := b.ask("ann", "s1", "phone")
	if first.Outcome != gate.Allow || again.Outcome != gate.Allow {
		t.Fatalf("%+v, then %+v", first, again)
	}
	b.event(gate.EventBind, "ann", "s1", "phone")
	for range 2 {
		if a := b.ask("ann", "s2", "tablet"); a.Outcome != gate.Deny || a.Denial.Condition != "resource-constraint" {
			t.Fatalf("%+v", a)
		}
	}
	if n := b.count("select count(*) from decisions"); n != 2 {
		t.Fatalf("%d decisions, want 2", n)
	}
	if n := b.count("select generation from accounts"); n != 1 {
		t.Fatalf("generation %d, want 1", n)
	}
}

func TestAskPastItsDeadlineIsNotDecided(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if a := b.send(gate.Ask{User: "ann", SID: "s1", Resource: "phone", ID: "q", Deadline: time.Nanosecond}); a.Outcome != gate.Undecided {
		t.Fatalf("%+v", a)
	}
	if n := b.count("select count(*) from decisions"); n != 0 {
		t.Fatalf("%d decisions, want none", n)
	}
}

// A kick of a link that is down is kept.
func TestKickWaitsForTheLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	r, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "ann@" + theDomain, By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 10*time.Millisecond)
	if err != nil || len(r.Results) != 1 || r.Results[0].Outcome != gate.OutcomePending {
		t.Fatalf("%+v, %v", r, err)
	}
	b.eventually("ann", "s1=evicting:kick")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "")
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "nobody@" + theDomain, Select: gate.KickSelect{All: true}}, 0); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("kick of an unknown account: %v", err)
	}
	stale := int64(0)
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "ann@" + theDomain, Select: gate.KickSelect{All: true}, IfRevision: &stale}, 0); !errors.Is(err, store.ErrVersion) {
		t.Fatalf("kick at an old revision: %v", err)
	}
}

// Events of one account keep their order and every one gets one position, without gaps.
func TestEventLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"})
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
	want := "1 session.started 2 session.started 3 takeover 4 session.ended"
	deadline := time.Now().Add(10 * time.Second)
	for {
		var got string
		if err := b.store.Pool().QueryRow(t.Context(), "select coalesce(string_agg(position || ' ' || type, ' ' order by position), '') from events").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("log %q, want %q", got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// That a bind on its resource ends a session is concluded, not seen: a later list that has the session still, and not the other, is right.
func TestConcludedEndIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.event(gate.EventBind, "ann", "s2", "phone") // of one that the server has replaced by s1, told late
	b.eventually("ann", "s2=active")
	b.event(gate.EventUnbind, "ann", "s2", "phone")
	b.eventually("ann", "")
	b.ask("ann", "s3", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"})
	b.eventually("ann", "s1=active s3=binding")
}
