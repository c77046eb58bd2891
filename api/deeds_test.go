package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

// deed is a request that changes something, and what the audit has to say of it.
type deed struct {
	method, route, path, body string
	headers                   []option
	status                    int
	action                    store.Action
	account, domain           string // "": of none
	target                    string // part of it
	entries                   int    // 0: one
	count                     string // SQL that is 1 when it was done once; "": the entries say enough
}

// deeds are one of each mutating route at least, in the order in which they are to be done. A new route that changes something belongs here.
func deeds(s *service) []deed {
	const ada, bob, eve = "ada@example.org", "bob@example.org", "eve@example.org"
	ids := s.seed(seeded{account: ada, resource: "phone", generation: 1, ended: true}, seeded{account: ada, resource: "tablet", generation: 2}, seeded{account: bob, resource: "x", generation: 1},
		seeded{account: eve, resource: "old", generation: 1, ended: true}, seeded{account: "who@none.example", resource: "old", generation: 1, ended: true})
	s.exec(`insert into links (name) values ('main')`)
	s.exec(`insert into domains (name, lang) values ('none.example', 'en')`) // it has no account
	var job int64
	if err := s.pool.QueryRow(s.t.Context(), `insert into jobs (kind, filter, domains, requested_at, requested_by) values ('apply_rule', '{"level":"domain","subject":"example.org"}', '{example.org}', now(), 'x')
		returning id`).Scan(&job); err != nil {
		s.t.Fatal(err)
	}
	var hook int64
	if err := s.pool.QueryRow(s.t.Context(), `with w as (insert into webhooks (url, enabled, secret, created_at, created_by, position) values ('https://example.org', true, 'x', now(), 'x', 0) returning id)
		insert into webhook_deliveries (webhook, id, state, created_at) select id, 1, 'failed', now() from w returning webhook`).Scan(&hook); err != nil {
		s.t.Fatal(err)
	}
	webhook := "/v1/webhooks/" + store.WebhookID(hook)
	device := "/v1/accounts/ada@example.org/devices/" + store.DeviceID(store.KeyOf(ada), store.DeviceOf("resource", "desk"))
	const put, post, patch, del = http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete
	none := []option{header("If-None-Match", "*")}
	return []deed{
		{method: put, route: "/v1/rules/default", body: `{"max_sessions":7}`, status: 200, action: store.RulePut, target: "default"},
		{method: del, route: "/v1/rules/default", status: 204, action: store.RulePut, target: "default"},
		{method: put, route: "/v1/domains/{domain}/rule", path: "/v1/domains/example.org/rule", body: `{"max_sessions":7}`, headers: none, status: 201, action: store.RulePut, domain: "example.org", target: "domain"},
		{method: del, route: "/v1/domains/{domain}/rule", path: "/v1/domains/example.org/rule?apply=now", status: 204, action: store.RuleDelete, domain: "example.org", target: "domain", count: "select count(*) from jobs where requested_by = 'tester'"},
		{method: put, route: "/v1/groups/{group}/rule", path: "/v1/groups/staff/rule", body: `{}`, headers: none, status: 201, action: store.RulePut, target: "group staff"},
		{method: del, route: "/v1/groups/{group}/rule", path: "/v1/groups/staff/rule", status: 204, action: store.RuleDelete, target: "group staff"},
		{method: put, route: "/v1/accounts/{jid}/rule", path: "/v1/accounts/ada@example.org/rule", body: `{"max_sessions":7,"expires_at":"2099-01-01T00:00:00Z"}`, headers: none, status: 201, action: store.RulePut, account: ada, domain: "example.org", target: "account"},
		{method: del, route: "/v1/accounts/{jid}/rule", path: "/v1/accounts/ada@example.org/rule", status: 204, action: store.RuleDelete, account: ada, domain: "example.org", target: "account"},
		{method: put, route: "/v1/accounts/{jid}/group", path: "/v1/accounts/ada@example.org/group", body: `{"group":"staff"}`, status: 200, action: store.GroupMembers, account: ada, domain: "example.org", target: "staff"},
		{method: post, route: "/v1/groups/{group}/members", path: "/v1/groups/vip/members", body: `{"add":["ada@example.org","bob@example.org"]}`, status: 200, action: store.GroupMembers, domain: "example.org", target: "vip", entries: 2},
		{method: put, route: "/v1/platforms", body: `{"matchers":[]}`, status: 200, action: store.PlatformsPut},
		{method: del, route: "/v1/kicks/{id}", path: "/v1/kicks/" + store.JobID(job), status: 200, action: store.JobCancel, domain: "example.org", target: store.JobID(job)},
		{method: post, route: "/v1/kicks", body: `{"filter":{"domain":"none.example"},"reason":"many"}`, status: 202, action: store.SessionKick, domain: "none.example", target: "kick_", count: "select count(*) from jobs where kind = 'kick'"},
		{method: patch, route: "/v1/domains/{domain}", path: "/v1/domains/example.org", body: `{"lang":"ja"}`, status: 200, action: store.DomainChange, domain: "example.org", target: "example.org"},
		{method: patch, route: "/v1/accounts/{jid}", path: "/v1/accounts/bob@example.org", body: `{"lang":"ja"}`, status: 200, action: store.AccountChange, account: bob, domain: "example.org"},
		{method: post, route: "/v1/accounts/{jid}/devices", path: "/v1/accounts/ada@example.org/devices", body: `{"resource":"desk","name":"Desk"}`, status: 201, action: store.DeviceRegister, account: ada, domain: "example.org", target: "dev_"},
		{method: patch, route: "/v1/accounts/{jid}/devices/{id}", path: device, body: `{"name":"Old desk"}`, status: 200, action: store.DeviceChange, account: ada, domain: "example.org", target: "dev_"},
		{method: patch, route: "/v1/accounts/{jid}/devices/{id}", path: device, body: `{"blocked":true}`, status: 200, action: store.DeviceBlock, account: ada, domain: "example.org", target: "dev_"},
		{method: patch, route: "/v1/accounts/{jid}/devices/{id}", path: device, body: `{"blocked":false}`, status: 200, action: store.DeviceUnblock, account: ada, domain: "example.org", target: "dev_"},
		{method: del, route: "/v1/accounts/{jid}/devices/{id}", path: device, status: 204, action: store.DeviceForget, account: ada, domain: "example.org", target: "dev_"},
		{method: post, route: "/v1/accounts/{jid}/grants", path: "/v1/accounts/ada@example.org/grants", body: `{"ttl_seconds":60}`, status: 201, action: store.GrantCreate, account: ada, domain: "example.org", target: "gra_"},
		{method: post, route: "/v1/accounts/{jid}/kick", path: "/v1/accounts/ada@example.org/kick", body: `{"session_ids":["` + ids[0] + `"],"reason":"why"}`, status: 200, action: store.SessionKick, account: ada, domain: "example.org", target: "kick_", count: "select count(*) from kicks where reason = 'why'"},
		{method: del, route: "/v1/sessions/{id}", path: "/v1/sessions/" + ids[1], status: 202, action: store.SessionKick, account: ada, domain: "example.org", target: "kick_", count: "select count(*) from kicks where reason = ''"},
		{method: del, route: "/v1/accounts/{jid}/protection", path: "/v1/accounts/ada@example.org/protection", status: 204, action: store.ProtectionRelease, account: ada, domain: "example.org"},
		{method: put, route: "/v1/links/{id}/mode", path: "/v1/links/main/mode", body: `{"mode":"observe"}`, status: 202, action: store.LinkMode, target: "main", count: "select mode_change from links"},
		{method: post, route: "/v1/webhooks", body: `{"url":"https://example.org/new","domains":["example.org"]}`, status: 201, action: store.WebhookCreate, domain: "example.org", target: "whk_", count: "select count(*) from webhooks where url like '%new'"},
		{method: patch, route: "/v1/webhooks/{id}", path: webhook, body: `{"description":"mine"}`, status: 200, action: store.WebhookUpdate, target: "whk_"},
		{method: post, route: "/v1/webhooks/{id}/rotate", path: webhook + "/rotate", status: 200, action: store.WebhookRotate, target: "whk_"},
		{method: post, route: "/v1/webhooks/{id}/test", path: webhook + "/test", status: 202, action: store.WebhookTest, target: "whk_", count: "select count(*) from webhook_deliveries where id < 0"},
		{method: post, route: "/v1/webhooks/{id}/deliveries/{delivery}/redeliver", path: webhook + "/deliveries/" + store.DeliveryID(hook, 1) + "/redeliver", status: 202, action: store.WebhookRedeliver, target: "whk_"},
		{method: del, route: "/v1/webhooks/{id}", path: webhook, status: 204, action: store.WebhookDelete, target: "whk_"},
		{method: del, route: "/v1/accounts/{jid}", path: "/v1/accounts/eve@example.org", status: 200, action: store.AccountErase, domain: "example.org", target: "era_"},
	}
}

func (s *service) perform(d deed, options ...option) *reply {
	s.t.Helper()
	path := d.path
	if path == "" {
		path = d.route
	}
	return s.do(d.method, path, d.body, append(slices.Clone(d.headers), options...)...)
}

func TestDeedsAreAllRoutesThatChangeSomething(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, d := range deeds(newService(t)) {
		known[d.method+" "+d.route] = true
	}
	for _, r := range api.Routes() {
		if r.Changes && !known[r.Method+" "+r.Path] {
			t.Errorf("%s %s changes something: put it into deeds, so that its audit and its Idempotency-Key are tested (or into readings, if it changes nothing)", r.Method, r.Path)
		}
	}
}

// progress is what a kick by filter tells otherwise when it has got on.
var progress = regexp.MustCompile(`"(state":"(running|done)|total":(null|\d+)|finished_at":(null|"[^"]*"))`)

// Every change is in the audit; with a key it is made once and answered alike, also if the process dies between the two.
func TestDeeds(t *testing.T) {
	t.Parallel()
	s := newService(t)
	list := deeds(s)
	// A process that dies when it has made its change, and has not kept its answer yet.
	s.exec(`create function die() returns trigger language plpgsql as $$ begin if new.answer is not null then raise exception 'dead'; end if; return new; end $$`)
	s.exec(`create trigger die before update on idempotency_keys for each row execute function die()`)
	for i, d := range list {
		what := d.method + " " + d.route
		id, key := fmt.Sprintf("deed-%d", i), header("Idempotency-Key", fmt.Sprintf("key %d", i))
		s.exec(`alter table idempotency_keys enable trigger die`)
		first := s.perform(d, key, header("X-Request-Id", id)).ok(d.status, nil)
		s.perform(d, key).fails(409, "idempotency_in_progress", "Idempotency-Key")
		s.exec(`alter table idempotency_keys disable trigger die`)
		s.exec(`update idempotency_keys set lease_until = now() where answer is null`) // some seconds later
		for _, replayed := range []string{"", "true"} {
			again := s.perform(d, key)
			if again.status != first.status || !slices.Equal(progress.ReplaceAll(again.body, nil), progress.ReplaceAll(first.body, nil)) || again.header.Get("Idempotency-Replayed") != replayed {
				t.Errorf("%s: %d %s, then %d %s (replayed: %q, want %q)", what, first.status, first.body, again.status, again.body, again.header.Get("Idempotency-Replayed"), replayed)
			}
			for _, name := range []string{"ETag", "Location", "Content-Type"} {
				if a, b := first.header.Get(name), again.header.Get(name); a != b {
					t.Errorf("%s: %s is %q, then %q", what, name, a, b)
				}
			}
		}
		if d.count != "" {
			var n int
			if err := s.pool.QueryRow(t.Context(), d.count).Scan(&n); err != nil || n != 1 {
				t.Errorf("%s: done %d times, %v", what, n, err)
			}
		}
		s.checkEntries(d, id)
	}
	for _, secret := range []string{s.token, "bgg_", "whsec_"} {
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from audit a where strpos(a::text, $1) > 0`, secret).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d entries of the audit hold a secret, %v", n, err)
		}
	}
}

// checkEntries wants the entries of a deed that was done by one request.
func (s *service) checkEntries(d deed, request string) {
	s.t.Helper()
	var list struct{ Items []entry }
	s.get("/v1/audit?actor=tester&limit=500").ok(200, &list)
	n := 0
	for _, e := range list.Items {
		if e.RequestID == nil || *e.RequestID != request {
			continue
		}
		n++
		account := d.account
		if d.entries > 1 {
			account = text(e.Account)
		}
		if e.Action != d.action || text(e.Account) != account || text(e.Domain) != d.domain || !strings.Contains(text(e.Target), d.target) || e.Actor.Via != "api" || text(e.Actor.Subject) != "tester" ||
			text(e.Actor.Address) != "127.0.0.1" || time.Since(e.At) > time.Minute {
			s.t.Errorf("%s %s: %+v", d.method, d.route, e)
		}
	}
	if n != max(d.entries, 1) {
		s.t.Errorf("%s %s: %d entries of the audit, want %d", d.method, d.route, n, max(d.entries, 1))
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
