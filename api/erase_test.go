package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

// kept are rows about the account whose key is $1, by table: whatever has an account must be erased with it, and be in its export or have a reason not to be.
// A new table with accounts belongs here, into store/erase.go and into store/export.go.
var kept = map[string]struct {
	insert string // "": seeded by other means
	hidden string // why it is not exported
}{
	"sessions":        {},
	"session_history": {},
	"devices":         {insert: `insert into devices (account, id, identity, resource, first_seen_at, last_seen_at) values ($1, 5, 'probable', 'phone', now(), now())`},
	"decisions": {insert: `insert into decisions (account, at, ask_id, resource, platform, outcome, code, evicted, rule_level, explanation, condition, shadow)
		select $1, now() - n * interval '1 minute', 'a', 'phone', 'ios', 'deny', 'limit', '{}', 'default', '{no}', '', false from generate_series(1, 3) n`},
	"kicks":            {insert: `insert into kicks (account, id, requested_at, requested_by, selector, reason, sids) values ($1, 5, now(), 'x', '{}', 'why', '{s}')`},
	"revocations":      {insert: `insert into revocations (account, kick, domain, generation, others, requested_at, reason) values ($1, 5, 'example.org', 1, false, now(), '')`},
	"loops":            {insert: `insert into loops (account, party, winner, resource, opened_at, until) values ($1, 1, 1, 'phone', now(), now() + interval '1 hour')`},
	"audit":            {insert: `insert into audit (at, via, actor, address, request_id, action, account, jid, domain, target) values (now(), 'owner', 'ada@example.org', '', '', 'session.kick', $1, 'ada@example.org', 'example.org', 'x')`},
	"idempotency_keys": {insert: `insert into idempotency_keys (hash, fingerprint, account, created_at, claim, lease_until) values ('\x01', '', $1, now(), 1, now())`, hidden: "it cannot be read"},
	"erasures":         {hidden: "it is the erasure"},
	"erased_sessions":  {hidden: "it is what an erasure leaves for a day"},
}

// remember puts a row of each kind on record about ada, who has no live session.
func (s *service) remember() {
	s.t.Helper()
	const ada = "ada@example.org"
	s.seed(seeded{account: ada, resource: "phone", generation: 1, ended: true}, seeded{account: "bob@example.org", resource: "x", generation: 1})
	for _, table := range slices.Sorted(maps.Keys(kept)) {
		if sql := kept[table].insert; sql != "" {
			s.exec(sql, store.KeyOf(ada))
		}
	}
	s.do("PUT", adasRule, `{"max_sessions":3}`).ok(201, nil)
	s.do("POST", "/v1/groups/staff/members", `{"add":["ada@example.org","bob@example.org"]}`).ok(200, nil) // one batch of events about both
	s.do("POST", adasGrants, `{"resource":"phone"}`).ok(201, nil)
	s.exec(`insert into jobs (kind, filter, requested_at, requested_by, state, finished_at) values ('apply_rule', '{"level":"account","subject":"ada@example.org"}', now(), 'x', 'done', now())`)
}

func TestEverythingAboutAnAccountIsKnownHere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	rows, err := s.pool.Query(t.Context(), `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where a.attname = 'account' and a.atttypid = 'uuid'::regtype and c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		n++
		if _, ok := kept[table]; !ok {
			t.Errorf("the table %s is about accounts: teach store/erase.go, store/export.go and this test", table)
		}
	}
	if n != len(kept) {
		t.Errorf("%d tables, and %d are known here", n, len(kept))
	}
}

func TestExportHasEverything(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.get("/v1/accounts/ada@example.org/export").fails(404, "not_found", "-")
	head := func() *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.url+"/v1/accounts/ada@example.org/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if r := head(); r.StatusCode != http.StatusNotFound {
		t.Errorf("HEAD of nobody: %d", r.StatusCode)
	}
	s.remember()
	if r := head(); r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %d %v", r.StatusCode, r.Header)
	}
	s.seed(seeded{account: "ada@example.org", resource: "tablet", generation: 2})
	var doc map[string][]map[string]any
	r := s.get("/v1/accounts/ada@example.org/export").ok(200, &doc)
	for table, k := range kept {
		if k.hidden == "" && len(doc[table]) == 0 {
			t.Errorf("%s is empty", table)
		}
	}
	for _, section := range []string{"account", "rule", "grants", "jobs", "events"} {
		if len(doc[section]) == 0 {
			t.Errorf("%s is empty", section)
		}
	}
	if len(doc["decisions"]) != 3 || doc["grants"][0]["resource"] != "phone" || doc["session_history"][0]["ip"] != "192.0.2.1" {
		t.Errorf("%s", r.body)
	}
	for _, others := range []string{"bob@example.org", "hash", "grt_"} {
		if strings.Contains(string(r.body), others) {
			t.Errorf("the export holds %s", others)
		}
	}
	elsewhere := mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.com"}})
	s.get("/v1/accounts/ada@example.org/export", as(elsewhere)).fails(404, "not_found", "-")
	s.do("DELETE", "/v1/accounts/ada@example.org", "", as(elsewhere)).fails(404, "not_found", "-")
	s.do("DELETE", "/v1/accounts/ada", "").fails(422, "invalid_jid", "jid")
}

func TestErasureLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.remember()
	var e struct {
		ID    string `json:"erasure_id"`
		State string
	}
	if r := s.do("DELETE", "/v1/accounts/ada@example.org", ""); r.status == 202 { // on a slow machine
		s.wait("the erasure", func() bool { return s.do("DELETE", "/v1/accounts/ada@example.org", "").status == 404 })
	} else if r.ok(200, &e); e.State != "done" {
		t.Errorf("%+v", e)
	}
	for table := range kept {
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from `+table+` where account = $1`, store.KeyOf("ada@example.org")).Scan(&n); err != nil || n != 0 && table != "erased_sessions" {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
	rows, err := s.pool.Query(t.Context(), `select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	for _, table := range tables {
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from `+table+` x where strpos(x::text, 'ada@example.org') > 0`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s names the account in %d rows, %v", table, n, err)
		}
	}
	s.do("DELETE", "/v1/accounts/ada@example.org", "").fails(404, "not_found", "-")
	s.get("/v1/accounts/ada@example.org").fails(404, "not_found", "-")
	s.get("/v1/accounts/ada@example.org/export").fails(404, "not_found", "-")
	var bob json.RawMessage
	s.get("/v1/accounts/bob@example.org").ok(200, &bob)
	if !strings.Contains(string(bob), `"group":"staff"`) {
		t.Errorf("bob: %s", bob)
	}
	if got := s.events("rule.changed"); !slices.ContainsFunc(got, func(e event) bool { return e.Account == "bob@example.org" }) {
		t.Errorf("bob's events: %+v", got)
	}
	var list entries
	s.get("/v1/audit").ok(200, &list)
	actions := map[store.Action]int{}
	for _, x := range list.Items {
		actions[x.Action]++
		if x.Action != store.GroupMembers && (x.Account != nil || text(x.Target) != e.ID) {
			t.Errorf("%+v", x)
		}
	}
	want := map[store.Action]int{store.AccountErased: 1, store.AccountErase: 1, store.GrantCreate: 1, store.GroupMembers: 2, store.RulePut: 1, store.SessionKick: 1}
	if !maps.Equal(actions, want) {
		t.Errorf("%v, want %v", actions, want)
	}
}

// With a live session and the link down it is promised, and told so.
func TestErasureWaitsForTheLastSession(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "tablet", generation: 2})
	var first, again struct {
		ID    string `json:"erasure_id"`
		State string
	}
	s.do("DELETE", "/v1/accounts/ada@example.org", "").ok(202, &first)
	s.do("DELETE", "/v1/accounts/ada@example.org", "").ok(202, &again)
	if first.State != "pending" || again != first {
		t.Errorf("%+v, then %+v", first, again)
	}
	var list struct{ Items []session }
	s.get("/v1/accounts/ada@example.org/sessions").ok(200, &list)
	if len(list.Items) != 1 || list.Items[0].State != "evicting" {
		t.Errorf("%+v", list.Items)
	}
}
