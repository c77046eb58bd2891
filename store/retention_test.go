package store_test

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// What is too old goes, wherever it is; what is not stays.
func TestForget(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	now, err := st.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`insert into event_positions select n, 1, n, now() - (12000 - n) * interval '1 minute' from generate_series(1, 12000) n`,
		`insert into decisions select gen_random_uuid(), now() - n * interval '1 day', '', '', null, '', null, 'allow', 'ok', '{}', '', '{}', '', null, false from generate_series(0, 9) n`,
		`insert into devices (account, id, identity, resource, registered, first_seen_at, last_seen_at)
			select gen_random_uuid(), n, case when n % 2 = 0 then 'probable' else 'certain' end, 'r', n % 4 = 0, now(), now() - n * interval '1 day' from generate_series(1, 10) n`,
		`insert into sessions (account, sid, generation, link, resource, state, device, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at)
			select account, 's', 1, '', '', 'active', id, 'probable', '', '', true, '', '', '', '', '', now(), now() from devices where id = 10`,
		`insert into jobs (kind, filter, state, requested_at, requested_by, finished_at)
			select 'apply_rule', '{}', case when n = 9 then 'running' else 'done' end, now(), '', case when n < 9 then now() - n * interval '1 hour' end from generate_series(0, 9) n`,
		`insert into job_parts (job, link, total) select id, 'main', 1 from jobs`,
		`insert into users (name, role, created_at, created_by) values ('ada', 'admin', now(), '')`,
		`insert into logins (user_id, token, created_at, seen_at, expires_at, address, agent) select id, n::text::bytea, now(), now(), now() - n * interval '40 minutes', '', '' from users, generate_series(0, 3) n`,
		`insert into login_attempts select n::text, 1, now() - n * interval '40 minutes', now() from generate_series(0, 3) n`,
		`insert into kicks select gen_random_uuid(), n, now(), '', '{}', '', '{}' from (select -id from jobs union all select 7) k(n)`,
	} {
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Forget(t.Context(), now, store.Retention{Sessions: 100*time.Minute - 30*time.Second, Decisions: 100*time.Minute - 30*time.Second, Events: 100*time.Minute - 30*time.Second, Devices: 5 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]int{
		`select count(*) from event_positions`: 100,
		`select count(*) from decisions`:       1,
		`select count(*) from jobs`:            3, // of now, of an hour ago, and the one that runs
		`select count(*) from job_parts`:       3,
		`select count(*) from kicks`:           4,
		`select count(*) from logins`:          2,
		`select count(*) from login_attempts`:  2,
		`select count(*) from devices`:         9, // 6 goes, 8 is registered, 10 is logged in
	} {
		var got int
		if err := st.Pool().QueryRow(t.Context(), sql).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", sql, got, err, want)
		}
	}
}

// Each kind of data has a time of its own, and addresses go before the rest of their rows.
func TestForgetByKind(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	now, err := st.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`insert into session_history (account, ended_at, generation, sid, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
			select gen_random_uuid(), now() - n * interval '1 day', 1, 's', '', '', 'unknown', '', '192.0.2.1', true, '', '', now(), now(), '' from generate_series(1, 6000) m, generate_series(1, 9, 4) n`,
		`insert into audit (at, via, actor, address, request_id, action, jid, domain, target) select now() - n * interval '1 day', 'api', '', '192.0.2.1', '', 'rule.put', '', '', '' from generate_series(1, 9) n`,
		`insert into event_batches (at, types, accounts, data) select now() - n * interval '1 day', '{x}', '{}', '{}' from generate_series(9, 1, -1) n`,
		`insert into idempotency_keys select decode(to_hex(n + 16), 'hex'), '', null, now() - n * interval '10 hours', n, now() from generate_series(1, 9) n`,
		`insert into users (name, role, created_at, created_by) values ('ada', 'admin', now(), '')`,
		`insert into logins (user_id, token, created_at, seen_at, expires_at, address, agent) select id, n::text::bytea, now(), now(), now() - n * interval '40 minutes', '', '' from users, generate_series(0, 3) n`,
		`insert into login_attempts select n::text, 1, now() - n * interval '40 minutes', now() from generate_series(0, 3) n`,
		`insert into kicks select gen_random_uuid(), n, now() - n * interval '1 day', '', '{}', '', '{}' from generate_series(1, 9) n`,
		`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at, evict_kick)
			select account, 's', 1, '', '', 'active', 'unknown', '', '192.0.2.1', true, '', '', '', '', '', now(), now(), 9 from kicks where id = 9`,
	} {
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	const day, hour = 24 * time.Hour, time.Hour
	keep := store.Retention{Sessions: 8*day - hour, Audit: 5*day - hour, Events: 7*day - hour, Addresses: 3*day - hour}
	if err := st.Forget(t.Context(), now, keep); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]int{
		`select count(*) from session_history`:                 12000, // of 1 and 5 days ago
		`select count(*) from session_history where ip <> ''`:  6000,
		`select count(*) from audit`:                           4,
		`select count(*) from audit where address <> ''`:       2,
		`select count(*) from event_batches`:                   2, // they hold addresses
		`select count(*) from idempotency_keys`:                2,
		`select count(*) from kicks`:                           8, // 8 goes, 9 still has a session
		`select count(*) from sessions where ip = '192.0.2.1'`: 1,
	} {
		var got int
		if err := st.Pool().QueryRow(t.Context(), sql).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", sql, got, err, want)
		}
	}
}
