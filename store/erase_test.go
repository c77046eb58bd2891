package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/rules"
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

// Rows that somebody has locked are waited for, not taken for gone.
func TestErasureWaitsForRows(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into session_history (account, sid, generation, ended_at, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
		select md5('ada')::uuid, 's' || n, n, now() - interval '2 hours', 'main', 'r', 'unknown', 'web', '192.0.2.1', true, 'tcp', '', now(), now(), 'logout' from generate_series(1, 3) n`)
	exec(`insert into decisions (account, at, ask_id, resource, platform, outcome, code, evicted, rule_level, explanation, condition, shadow)
		select md5('ada')::uuid, now() - interval '2 hours', 'a', 'phone', 'ios', 'deny', 'limit', '{}', 'default', '{no}', '', false`)
	exec(`insert into erasures (account, id, jid, erased_at) values (md5('ada')::uuid, 1, 'ada@example.org', now() - interval '1 hour')`)
	for _, blank := range []string{`update session_history set ip = ''`, `update decisions set repeats = repeats + 1`} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		if _, err := tx.Exec(t.Context(), blank); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := st.EraseSome(t.Context())
			done <- err
		}()
		for waiting, deadline := 0, time.Now().Add(10*time.Second); waiting == 0; {
			if err := pool.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting); err != nil || time.Now().After(deadline) {
				t.Fatalf("the erasure waits for nobody, %v", err)
			}
		}
		if more, err := st.EraseSome(t.Context()); more || err != nil { // another process: the erasure is being worked on
			t.Errorf("more %t, %v", more, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var left int
	if err := pool.QueryRow(t.Context(), "select (select count(*) from session_history) + (select count(*) from decisions)").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// A change that waits for an account while that is erased begins a new record.
func TestChangeWaitsForAnErasure(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	scope := store.RuleScope{Level: rules.LevelAccount, Subject: "ada@example.org"}
	if _, _, _, err := st.PutRule(t.Context(), change(scope, anyVersion), rules.Rule{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	tx, err := st.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "select from accounts for update"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		_, _, _, err := st.PutRule(t.Context(), change(scope, anyVersion), rules.Rule{}, time.Time{})
		done <- err
	}()
	go func() {
		_, err := st.SetGroups(t.Context(), []store.Membership{{JID: "ada@example.org", Group: "staff"}}, store.Actor{})
		done <- err
	}()
	for waiting, deadline := 0, time.Now().Add(10*time.Second); waiting < 2; {
		if err := st.Pool().QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting); err != nil || time.Now().After(deadline) {
			t.Fatalf("%d changes wait, %v", waiting, err)
		}
	}
	if _, err := tx.Exec(t.Context(), "delete from accounts"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var group string
	if err := st.Pool().QueryRow(t.Context(), "select account_group from accounts").Scan(&group); err != nil || group != "staff" {
		t.Errorf("group %q, %v", group, err)
	}
}
