package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const adasGrants = "/v1/accounts/ada@example.org/grants"

func TestGrants(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var g struct {
		ID, Token string
		ExpiresAt time.Time `json:"expires_at"`
	}
	s.do("POST", adasGrants, `{"ttl_seconds":60}`).ok(201, &g) // an account that never logged in
	if !strings.HasPrefix(g.ID, "gra_") || !strings.HasPrefix(g.Token, "grt_") || time.Until(g.ExpiresAt) > 61*time.Second || time.Until(g.ExpiresAt) < 30*time.Second {
		t.Errorf("%+v", g)
	}
	var kept []byte
	if err := s.pool.QueryRow(t.Context(), "select standing from accounts where key = $1", store.KeyOf("ada@example.org")).Scan(&kept); err != nil || strings.Contains(string(kept), g.Token) {
		t.Errorf("the token is kept: %q, %v", kept, err)
	}
	for range 31 {
		s.do("POST", adasGrants, `{}`).ok(201, nil)
	}
	s.do("POST", adasGrants, `{}`).fails(409, "too_many_grants", "-")
	s.exec(`update accounts set standing = null`)
	s.do("POST", adasGrants, `{}`, as(mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeSessionsKick}, Domains: []string{"example.com"}}))).fails(404, "not_found", "-")
	s.do("POST", adasGrants, `{}`, as(mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")
}

func TestBadGrants(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, c := range []struct{ body, code, field string }{
		{`{"ttl_seconds":0}`, "invalid_field", "/ttl_seconds"},
		{`{"ttl_seconds":-5}`, "invalid_field", "/ttl_seconds"},
		{`{"ttl_seconds":86401}`, "invalid_field", "/ttl_seconds"},
		{`{"ttl_seconds":"60"}`, "invalid_field", "/ttl_seconds"},
		{`{"device_id":"dev_x"}`, "invalid_field", "/device_id"},
		{`{"device_id":"` + store.DeviceID(store.KeyOf("bob@example.org"), 7) + `"}`, "invalid_field", "/device_id"},
		{`{"device_id":"` + store.DeviceID(store.KeyOf("ada@example.org"), 7) + `"}`, "invalid_field", "/device_id"}, // nobody's yet
		{`{"resource":""}`, "invalid_field", "/resource"},
		{`{"resource":7}`, "invalid_field", "/resource"},
		{`{"token":"grt_x"}`, "unknown_field", "/token"},
		{`[]`, "invalid_field", ""},
	} {
		s.do("POST", adasGrants, c.body).fails(422, c.code, c.field)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), "select count(*) from accounts").Scan(&n); err != nil || n != 0 {
		t.Errorf("something was written: %d, %v", n, err)
	}
}

type evaluated struct {
	ID                               *string
	Account, Resource, Outcome, Code string
	Platform                         string
	SessionID                        *string `json:"session_id"`
	Evicted, Explanation             []string
	RuleLevel                        string `json:"rule_level"`
	RetryAfter                       *int   `json:"retry_after_seconds"`
	Shadow                           bool
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "ada@example.org", resource: "web", generation: 2, platform: "web"})
	s.do("PUT", "/v1/accounts/ada@example.org/rule", `{"max_sessions":2}`).ok(201, nil)
	s.do("PUT", "/v1/rules/default", `{"require_grant":true}`).ok(200, nil)
	before := s.everything()

	var d evaluated
	s.do("POST", "/v1/decisions/evaluate", `{"account":"ada@example.org","resource":"tablet"}`).ok(200, &d)
	if d.ID != nil || d.SessionID != nil || d.Outcome != "deny" || d.Code != "grant_required" || d.RuleLevel != "default" || len(d.Explanation) < 2 || d.Evicted == nil {
		t.Errorf("%+v", d)
	}
	var g struct{ Token string }
	s.do("POST", adasGrants, `{}`).ok(201, &g)
	before = s.everything()
	for range 2 { // without effect: the grant is not used up
		s.do("POST", "/v1/decisions/evaluate", fmt.Sprintf(`{"account":"ADA@example.org","resource":"tablet","platform":"ios","ip":"2001:db8::1","grant":%q}`, g.Token)).ok(200, &d)
		if d.Outcome != "allow" || d.Code != "takeover" || len(d.Evicted) != 1 || d.Evicted[0] != ids[0] || d.Platform != "ios" || d.Account != "ada@example.org" || d.RuleLevel != "account" {
			t.Errorf("%+v", d)
		}
	}
	// Nobody has heard of this account.
	s.do("POST", "/v1/decisions/evaluate", `{"account":"new@example.org"}`).ok(200, &d)
	if d.Code != "grant_required" {
		t.Errorf("%+v", d)
	}
	if after := s.everything(); after != before {
		t.Errorf("it left something behind:\n%s\n%s", before, after)
	}
	// What would have to be asked counts as alive, and that is said.
	s.do("PUT", "/v1/accounts/ada@example.org/rule", `{"max_sessions":2,"on_excess":"deny","require_grant":false}`).ok(200, nil)
	s.do("POST", "/v1/decisions/evaluate", `{"account":"ada@example.org","resource":"tablet"}`).ok(200, &d)
	if d.Code != "limit" || !strings.Contains(d.Explanation[len(d.Explanation)-1], "count as alive") {
		t.Errorf("%+v", d)
	}
	// That no server asks about a domain is said too, unless a link has not told its domains yet.
	const nobody = "No link serves the domain example.org"
	for _, c := range []struct {
		links string
		said  bool
	}{{"", true}, {`{"domains":[{"domain":"example.com"}]}`, true}, {`{"domains":[{"domain":"example.org"}]}`, false}, {`{}`, false}} {
		s.exec("delete from links")
		if c.links != "" {
			s.exec("insert into links (name, owner_name, expires_at, state) values ('main', 'another', 'infinity', $1)", c.links)
		}
		s.do("POST", "/v1/decisions/evaluate", `{"account":"ada@example.org","resource":"tablet"}`).ok(200, &d)
		if strings.HasPrefix(d.Explanation[0], nobody) != c.said || d.Code != "limit" {
			t.Errorf("links %s: %+v", c.links, d)
		}
	}
	s.do("POST", "/v1/decisions/evaluate", `{"account":"ada@example.org"}`, as(mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeSessionsRead}, Domains: []string{"example.com"}}))).fails(404, "not_found", "/account")
}

// stand changes what an account's takeovers left behind.
func (s *service) stand(account string, change func(*store.Standing, time.Time)) {
	s.t.Helper()
	want := []store.Want{{Key: store.KeyOf(account), JID: account}}
	if _, err := store.FromPool(s.pool).Batch(s.t.Context(), store.Fence{}, store.WaitBusy, want, func(_ int, r *store.Record) {
		change(&r.Standing, r.Now)
		r.StandingChanged()
	}); err != nil {
		s.t.Fatal(err)
	}
}

// everything is what accounts have on record.
func (s *service) everything() (text string) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), `select (select json_agg(a order by key)::text from accounts a) || (select json_agg(s order by generation)::text from sessions s)
		|| (select count(*) from decisions) || ' ' || (select count(*) from devices)`).Scan(&text); err != nil {
		s.t.Fatal(err)
	}
	return text
}

func TestBadEvaluations(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1})
	var used struct{ Token string }
	s.do("POST", adasGrants, `{"resource":"tablet"}`).ok(201, &used)
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", "/account"},
		{`{"account":"ada"}`, "invalid_jid", "/account"},
		{`{"account":"ada@example.org/phone"}`, "invalid_jid", "/account"},
		{`{"account":7}`, "invalid_field", "/account"},
		{`{"account":"ada@example.org","resource":""}`, "invalid_field", "/resource"},
		{`{"account":"ada@example.org","platform":""}`, "invalid_field", "/platform"},
		{`{"account":"ada@example.org","platform":" ios"}`, "invalid_field", "/platform"},
		{`{"account":"ada@example.org","ip":"here"}`, "invalid_field", "/ip"},
		{`{"account":"ada@example.org","ip":"fe80::1%eth0"}`, "invalid_field", "/ip"},
		{`{"account":"ada@example.org","device_id":"dev_1"}`, "invalid_field", "/device_id"},
		{`{"account":"ada@example.org","device_id":"` + store.DeviceID(store.KeyOf("ada@example.org"), 9) + `"}`, "invalid_field", "/device_id"},
		{`{"account":"ada@example.org","grant":"nonsense"}`, "invalid_field", "/grant"},
		{`{"account":"bob@example.org","resource":"tablet","grant":"` + used.Token + `"}`, "invalid_field", "/grant"},
		{`{"account":"ada@example.org","resource":"phone","grant":"` + used.Token + `"}`, "invalid_field", "/grant"},
		{`{"account":"ada@example.org","grant":"tko_AAAA"}`, "invalid_field", "/grant"},
		{`{"account":"ada@example.org","session":"x"}`, "unknown_field", "/session"},
	} {
		s.do("POST", "/v1/decisions/evaluate", c.body).fails(422, c.code, c.field)
	}
}

func TestProtection(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("GET", "/v1/accounts/ada@example.org/protection", "").fails(404, "not_found", "-")
	s.do("DELETE", "/v1/accounts/ada@example.org/protection", "").fails(404, "not_found", "-")
	ids := s.seed(seeded{account: "ada@example.org", resource: "web", generation: 2})
	s.stand("ada@example.org", func(st *store.Standing, now time.Time) {
		st.Displaced = []rules.Displacement{
			{Party: 7, Device: 7, Resource: "phone", Winner: 2, WinnerParty: 8, At: now, SilentSince: now, Attempts: 3},
			{Party: 9, Resource: "tablet", Winner: 2, WinnerParty: 8, At: now, SilentSince: now, FrozenUntil: now.Add(200 * time.Second)},
			{Party: 10, Resource: "gone", Winner: 1, WinnerParty: 8, At: now, SilentSince: now, Turns: []time.Time{now}},
		}
		st.Waits = []rules.Wait{{Party: 11, Resource: "kicked", Until: now.Add(50 * time.Second)}}
	})
	s.exec(`insert into loops values ($1, 9, 2, null, 'tablet', now(), now() + interval '200 s')`, store.KeyOf("ada@example.org"))
	var p struct {
		Cooldowns []struct {
			DeviceID   *string `json:"device_id"`
			Resource   string
			Reason     string
			Winner     *string `json:"winner_session_id"`
			Attempts   int
			RetryAfter int `json:"retry_after_seconds"`
		}
		Freezes []struct {
			Resource   string
			Winner     string `json:"winner_session_id"`
			RetryAfter int    `json:"retry_after_seconds"`
		}
	}
	s.get("/v1/accounts/ada@example.org/protection").ok(200, &p)
	if len(p.Cooldowns) != 2 || len(p.Freezes) != 1 {
		t.Fatalf("%+v", p)
	}
	if c := p.Cooldowns[0]; c.DeviceID == nil || c.Resource != "phone" || c.Reason != "takeover" || *c.Winner != ids[0] || c.Attempts != 3 || c.RetryAfter < 20 || c.RetryAfter > 30 {
		t.Errorf("%+v", c)
	}
	if c := p.Cooldowns[1]; c.Resource != "kicked" || c.Reason != "kick" || c.Winner != nil || c.RetryAfter < 40 || c.RetryAfter > 50 {
		t.Errorf("%+v", c)
	}
	if f := p.Freezes[0]; f.Resource != "tablet" || f.Winner != ids[0] || f.RetryAfter < 190 || f.RetryAfter > 200 {
		t.Errorf("%+v", f)
	}
	var loops struct {
		Items []struct {
			Account string
			Winner  string `json:"winner_session_id"`
		}
		NextCursor *string `json:"next_cursor"`
	}
	s.get("/v1/loops?limit=1").ok(200, &loops)
	if len(loops.Items) != 1 || loops.Items[0].Account != "ada@example.org" || loops.Items[0].Winner != ids[0] || loops.NextCursor != nil {
		t.Errorf("%+v", loops)
	}
	s.get("/v1/loops?account=Ada@Example.org").ok(200, &loops)
	if len(loops.Items) != 1 {
		t.Errorf("of the account: %+v", loops)
	}
	for _, other := range []string{"bob@example.org", "nobody@example.com"} {
		if s.get("/v1/loops?account="+other).ok(200, &loops); len(loops.Items) != 0 {
			t.Errorf("of %s: %+v", other, loops)
		}
	}
	s.get("/v1/loops?account=a@b@c").fails(422, "invalid_jid", "account")
	stranger := as(mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeSessionsRead, api.ScopeSessionsKick}, Domains: []string{"example.com"}}))
	for _, path := range []string{"/v1/loops", "/v1/loops?account=ada@example.org"} {
		if s.get(path, stranger).ok(200, &loops); len(loops.Items) != 0 {
			t.Errorf("%s: %+v", path, loops)
		}
	}
	s.get("/v1/accounts/ada@example.org/protection", stranger).fails(404, "not_found", "-")
	s.do("DELETE", "/v1/accounts/ada@example.org/protection", "", stranger).fails(404, "not_found", "-")
	s.get("/v1/loops?cursor=AAAA").fails(422, "invalid_field", "cursor")

	s.do("DELETE", "/v1/accounts/ada@example.org/protection", "").ok(204, nil)
	s.get("/v1/accounts/ada@example.org/protection").ok(200, &p)
	s.get("/v1/loops").ok(200, &loops)
	if len(p.Cooldowns) != 0 || len(p.Freezes) != 0 || len(loops.Items) != 0 {
		t.Errorf("%+v, %+v", p, loops)
	}
}
