package gate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// traces counts where a JID, or its account's key, is still to be found, table by table.
func (b *bench) traces(jid string) string {
	b.t.Helper()
	key := fmt.Sprintf("'%x'::uuid", store.KeyOf(jid))
	var out []string
	for what, sql := range map[string]string{
		"accounts": "accounts where key = " + key, "sessions": "sessions where account = " + key, "history": "session_history where account = " + key, "devices": "devices where account = " + key,
		"decisions": "decisions where account = " + key, "kicks": "kicks where account = " + key, "rules": "rules where subject = '" + jid + "'", "erasures": "erasures",
		"audit": "audit a where account = " + key + " or a::text like '%" + jid + "%'", "events": "event_batches e where e::text like '%" + jid + "%' or e::text like '%bedroom%'",
	} {
		if n := b.count("select count(*) from " + sql); n > 0 {
			out = append(out, fmt.Sprintf("%s %d", what, n))
		}
	}
	return strings.Join(out, ", ")
}

func (b *bench) gone(jid string) {
	b.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for b.traces(jid) != "" {
		if time.Now().After(deadline) {
			b.t.Fatalf("still there of %s: %s", jid, b.traces(jid))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The end of the last session erases the account, and no late report undoes that.
func TestErasureFollowsTheLastSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ann = "ann@" + theDomain
	b.login("ann", "a1", "bedroom")
	b.login("ann", "a2", "tablet")
	b.login("bob", "b1", "bedside")
	by := store.Actor{Via: store.ViaAPI, Subject: "backend", RequestID: "r1"}
	if _, _, err := b.gate.RegisterDevice(t.Context(), gate.Registration{Account: ann, By: by, Resource: "bedroom"}); err != nil {
		t.Fatal(err)
	}
	first, err := b.gate.Erase(t.Context(), ann, by, 0)
	if err != nil || first.Done || first.ID == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	b.eventually("ann", "a1=evicting:kick a2=evicting:kick")
	late := b.made(gate.EventBind, "ann", "a1", "bedroom")
	b.event(gate.EventUnbind, "ann", "a1", "bedroom")
	b.eventually("ann", "a2=evicting:kick")
	if again, err := b.gate.Erase(t.Context(), ann, by, 0); err != nil || again != first {
		t.Errorf("asked again: %+v, %v, was %+v", again, err, first)
	}
	// Who comes in meanwhile has to go too.
	b.login("ann", "a3", "phone")
	b.eventually("ann", "a2=evicting:kick a3=evicting:kick")
	b.event(gate.EventUnbind, "ann", "a2", "tablet")
	b.event(gate.EventUnbind, "ann", "a3", "phone")
	b.gone(ann)
	b.gate.Event(late)
	b.event(gate.EventHibernate, "ann", "a2", "tablet")
	b.event(gate.EventUnbind, "ann", "a2", "tablet")
	b.event(gate.EventUnbind, "bob", "b1", "bedside") // comes behind them
	b.eventually("bob", "")
	if _, err := b.gate.Erase(t.Context(), ann, by, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("erased, and erased again: %v", err)
	}
	b.gone(ann)
	for deadline := time.Now().Add(15 * time.Second); b.count("select count(*) from event_queue") > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("events wait for their positions")
		}
	}
	for sql, want := range map[string]int{
		"select count(*) from events where account = 'bob@" + theDomain + "'":                                             2,
		"select count(*) from events where type = 'erased'":                                                               -1,
		"select count(*) from session_history":                                                                            1,
		"select count(*) from audit where action = 'account.erase' and actor = 'backend' and target = '" + first.ID + "'": 2,
		"select count(*) from audit where action = 'account.erased' and via = 'bindgate' and target = '" + first.ID + "'": 1,
		"select count(*) from audit where action = 'device.register' and new is null and target = '" + first.ID + "'":     1,
		"select count(*) from audit where domain = '" + theDomain + "'":                                                   4,
		"select count(*) from accounts":                                                                                   1,
		"select coalesce(sum(cardinality(types)), 0)::int - (select position from event_head)::int from event_batches":    0,
	} {
		if got := b.count(sql); got != want && (want >= 0 || got == 0) {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	// A login that comes later is that of an account never met.
	b.login("ann", "a9", "phone")
	if n := b.count("select generation from accounts where jid = '" + ann + "'"); n != 1 {
		t.Errorf("generation %d", n)
	}
}

// An account's owner is an actor too; others are told no more than that it was the owner.
func TestOwnersAreAudited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ann = "ann@" + theDomain
	b.login("ann", "a1", "phone")
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: ann, By: gate.ByOwner(ann), Select: gate.KickSelect{All: true}}, 0); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"select count(*) from audit where via = 'owner' and actor = '" + ann + "' and action = 'session.kick' and jid = actor and outcome -> 'sessions' -> 0 ->> 'outcome' = 'pending'",
		"select count(*) from event_batches b, unnest(b.types, b.data) e(type, d) where e.type = 'kick.requested' and e.d::json ->> 'by' = 'owner'",
		"select count(*) from kicks where requested_by = 'owner'",
	} {
		if n := b.count(sql); n != 1 {
			t.Errorf("%s: %d", sql, n)
		}
	}
}

// Whatever of an erasure is left when a process dies, the next one does.
func TestErasureGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ann = "ann@" + theDomain
	b.login("ann", "a1", "bedroom")
	b.event(gate.EventUnbind, "ann", "a1", "bedroom")
	b.eventually("ann", "")
	// As a process leaves it that dies right behind the transaction.
	for _, sql := range []string{
		"insert into erasures (account, id, jid, erased_at) select key, 7, jid, clock_timestamp() from accounts",
		"delete from accounts", "delete from devices",
	} {
		if _, err := b.store.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b.gone(ann)
}

// In a rolling upgrade the last session may be ended by a process that knows nothing of erasures.
func TestErasureGoesOnBehindAnOlderProcess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const ann = "ann@" + theDomain
	b.login("ann", "a1", "bedroom")
	b.event(gate.EventUnbind, "ann", "a1", "bedroom")
	b.eventually("ann", "")
	if _, err := b.store.Pool().Exec(t.Context(), "update accounts set erasure = 7"); err != nil {
		t.Fatal(err)
	}
	b.gone(ann)
}
