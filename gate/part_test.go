package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// emptied is a server that has lost its sessions.
type emptied struct{ absent }

func (emptied) Snapshot(_ context.Context, src gate.Source, first, count int, _ string) (gate.Part, error) {
	return gate.Part{Source: src, First: first, Count: count, Epoch: "e2"}, nil
}

// fill puts n sessions of n accounts on record.
func (b *bench) fill(n int, link string) { //nolint:unparam // a test says on which link
	b.t.Helper()
	if _, err := b.store.Pool().Exec(b.t.Context(), `with a as (insert into accounts (key, jid, domain, generation, revision)
			select substr(encode(sha256(convert_to('u' || n || '@' || $2, 'UTF8')), 'hex'), 1, 32)::uuid, 'u' || n || '@' || $2, $2, 1, 1 from generate_series(1, $1) n returning key)
		insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
		select key, 's' || left(key::text, 13), 1, $3, 'phone', 'active', 'unknown', 'unknown', '', true, 'tcp', '', '', '', '', now(), now(), now() from a`, n, theDomain, link); err != nil {
		b.t.Fatal(err)
	}
}

// A server that was restarted is compared piece by piece, so that logins find room between.
func TestRestartedServerDoesNotFloodTheQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(8000, theLink)
	if _, err := b.store.Pool().Exec(t.Context(), "update sessions set link = 'before' where sid < 's1'"); err != nil { // it had another name
		t.Fatal(err)
	}
	b.owns(emptied{})
	b.gate.Hello(gate.Hello{Source: b.source(), Epoch: "e2", Abilities: []string{"snapshot"}})
	most := 0
	deadline := time.Now().Add(30 * time.Second)
	for b.count("select count(*) from sessions") > 0 {
		for range 50 {
			most = max(most, b.gate.Waiting())
			time.Sleep(200 * time.Microsecond)
		}
		if time.Now().After(deadline) {
			t.Fatal("the record still has sessions")
		}
	}
	if most > 1500 {
		t.Errorf("%d operations waited at once", most)
	}
}

// An account that cannot be healed leaves the others no worse, and so does one whose ask has what no text of the record can hold.
func TestOneBadAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(2500, theLink)
	if _, err := b.store.Pool().Exec(t.Context(), `insert into rules
		select 'account', jid, '{"max_sessions": "two"}', nextval('rule_version'), null, now(), '' from accounts order by key limit 1`); err != nil {
		t.Fatal(err)
	}
	b.owns(emptied{})
	b.gate.Hello(gate.Hello{Source: b.source(), Epoch: "e2", Abilities: []string{"snapshot"}})
	deadline := time.Now().Add(20 * time.Second)
	for b.count("select count(*) from sessions") != 1 {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are left, want 1", b.count("select count(*) from sessions"))
		}
		time.Sleep(5 * time.Millisecond)
	}
	out := b.askAll("ann", "b\x00b", "cid", "d\xffn", "eve")
	allowed := 0
	for range 5 {
		if a := <-out; a.Outcome == gate.Allow {
			allowed++
		}
	}
	if allowed != 3 {
		t.Errorf("%d logins were let in, want 3", allowed)
	}
}
