package api_test

import (
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/api"
)

type shownStats struct {
	CountedAt *string `json:"counted_at"`
	Sessions  struct {
		Total      int
		ByState    struct{ Binding, Active, Hibernating, Evicting int } `json:"by_state"`
		ByPlatform map[string]int                                       `json:"by_platform"`
	}
	Accounts struct {
		Total, Online int
		Several       int `json:"with_several_sessions"`
	}
	Domains []struct {
		Domain             string
		Accounts, Sessions int
	}
	Evictions, Denials struct {
		Minute map[string]int `json:"last_minute"`
		Hour   map[string]int `json:"last_hour"`
	}
	Loops      int `json:"open_loops"`
	Unverified struct {
		Pending int
		Still   int `json:"still_present"`
	} `json:"unverified_kicks"`
	EventsWait int `json:"events_waiting_seconds"`
}

func (v shownStats) String() string {
	return fmt.Sprint(v.Sessions, v.Accounts, v.Domains, v.Evictions, v.Denials, v.Loops, v.Unverified)
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(
		seeded{account: "ada@example.org", resource: "a", platform: "ios", generation: 1}, seeded{account: "ada@example.org", resource: "b", platform: "web", generation: 2, state: "hibernating"},
		seeded{account: "bob@example.org", resource: "a", platform: "web", generation: 1}, seeded{account: "eve@example.com", resource: "a", platform: "web", generation: 1, state: "binding"},
		seeded{account: "dan@example.com", resource: "a", generation: 1, ended: true},
	)
	s.exec(`insert into loops (account, party, winner, resource, opened_at, until) select key, 1, 1, 'a', now(), now() + interval '1 hour' from accounts where jid = 'eve@example.com'`)
	eventually(t, "the first census", func() bool { return s.count("select count(*) from census where position is not null") == 1 })
	s.do("POST", "/v1/accounts/bob@example.org/kick", `{"all":true}`).ok(202, nil)
	s.exec(`with b as (insert into event_batches (at, types, accounts, data) values (clock_timestamp() - interval '2 minutes', '{login.denied,session.ended,session.ended}',
			'{eve@example.com,ada@example.org,ada@example.org}', array['{"code":"cooldown"}', '{"session":{"end_reason":"takeover"}}', '{"session":{"end_reason":"logout"}}']) returning id, at)
		insert into event_queue select id, at, 3 from b`)
	s.exec(`with b as (insert into event_batches (at, types, accounts, data) values (clock_timestamp(), '{login.denied}', '{ada@example.org}', array['{"code":"limit"}']) returning id, at)
		insert into event_queue select id, at, 1 from b`)
	const all = `{4 {1 1 1 1} map[ios:1 web:3]} {4 2 1} [{example.org 2 3} {example.com 2 1}] {map[] map[takeover:1]} {map[limit:1] map[cooldown:1 limit:1]} 1 {1 0}`
	const some = `{3 {0 1 1 1} map[ios:1 web:2]} {2 1 1} [{example.org 2 3}] {map[] map[takeover:1]} {map[limit:1] map[limit:1]} 0 {1 0}`
	var v shownStats
	eventually(t, "a census that is complete", func() bool {
		s.get("/v1/stats").ok(200, &v)
		return v.Denials.Minute["limit"] == 1 && v.Unverified.Pending == 1
	})
	if v.Accounts.Online != 2 { // eve's is binding: live, and may stay
		t.Errorf("%d accounts are online", v.Accounts.Online)
	}
	if v.String() != all || v.CountedAt == nil {
		t.Errorf("got %s\nwant %s", v, all)
	}
	if v.EventsWait != 0 {
		t.Errorf("an event has waited for %d s", v.EventsWait)
	}
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "select from event_head for update"); err != nil { // the log stands still
		t.Fatal(err)
	}
	s.exec(`with b as (insert into event_batches (at, types, accounts, data) values (clock_timestamp() - interval '70 seconds', '{link.up}', '{""}', array['{}']) returning id, at)
		insert into event_queue select id, at, 1 from b`)
	if s.get("/v1/stats").ok(200, &v); v.EventsWait < 70 || v.EventsWait > 120 {
		t.Errorf("an event has waited for %d s, want 70 or a few more", v.EventsWait)
	}
	v = shownStats{}
	if s.get("/v1/stats", as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: []string{api.ScopeSessionsRead}}))).ok(200, &v); v.String() != some {
		t.Errorf("limited: got %s\nwant %s", v, some)
	}
}
