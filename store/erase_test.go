package store_test

import (
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// A long log is walked bit by bit; an erasure that comes in the middle gets a walk of its own, and what came after an erasure stays.
func TestErasureWalksTheLog(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	exec := func(sql string) {
		t.Helper()
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	count := func(sql string) (n int) {
		t.Helper()
		if err := st.Pool().QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	some := func() (more bool) {
		t.Helper()
		more, err := st.EraseSome(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return more
	}
	erase := func(name string) {
		t.Helper()
		exec(`insert into erasures (account, id, jid, erased_at) values (md5('` + name + `')::uuid, 1, '` + name + `@example.org', now() - interval '1 hour')`)
	}
	// Each batch is about three accounts; the last hundred are later than the erasures.
	exec(`insert into event_batches (at, types, accounts, data)
		select now() - case when n <= 12000 then interval '2 hours' else interval '0' end, '{a,b,c}', '{ada@example.org,bob@example.org,eve@example.org}', '{"{\"n\":1}","{\"n\":2}","{\"n\":3}"}'
		from generate_series(1, 12100) n`)
	erase("ada")
	for range 2 { // its history, and the first of the log
		if !some() {
			t.Fatal("there is nothing to do")
		}
	}
	if n := count(`select count(*) from event_batches where 'ada@example.org' = any (accounts)`); n != 12100-5000 {
		t.Errorf("ada is in %d batches in the middle of the walk", n)
	}
	erase("bob")
	steps := 0
	for some() {
		if steps++; steps > 20 {
			t.Fatal("no end of it")
		}
	}
	for sql, want := range map[string]int{
		`select count(*) from event_batches where 'ada@example.org' = any (accounts)`:                                                                        100,
		`select count(*) from event_batches where 'bob@example.org' = any (accounts)`:                                                                        100,
		`select count(*) from event_batches where types = '{erased,erased,c}' and accounts = '{"","",eve@example.org}' and data = '{"{}","{}","{\"n\":3}"}'`: 12000,
		`select count(*) from event_batches where types = '{a,b,c}'`:                                                                                         100,
		`select count(*) from erasures`:                              0,
		`select count(*) from audit where action = 'account.erased'`: 2,
	} {
		if got := count(sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}
