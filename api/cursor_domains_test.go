package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"

	"github.com/bindgate/bindgate/api"
)

// A cursor is good for the list, the filters and the domains that it was made for, and for nothing else.
func TestCursorsAreBound(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for i := range 4 {
		s.seed(seeded{account: fmt.Sprintf("u%d@example.org", i), resource: "a", generation: 1}, seeded{account: fmt.Sprintf("u%d@example.com", i), resource: "a", generation: 1})
		s.exec(`insert into decisions (account, at, ask_id, resource, platform, outcome, code, evicted, rule_level, explanation, condition, shadow)
			select key, clock_timestamp() - make_interval(mins => $1), '', 'a', 'web', 'allow', 'ok', '{}', 'default', '{}', '', false from accounts where jid like $2`, i, fmt.Sprintf("u%d@%%", i))
		s.do("PUT", fmt.Sprintf("/v1/groups/g%d/rule", i), `{}`).ok(201, nil)
		s.do("PUT", fmt.Sprintf("/v1/accounts/u%d@example.org/group", i), fmt.Sprintf(`{"group":"g%d"}`, i)).ok(200, nil)
		s.do("POST", "/v1/kicks", `{"filter":{"domain":"example.org","state":"binding"}}`).ok(202, nil)
	}
	scopes := []string{api.ScopeSessionsRead, api.ScopeRulesRead}
	one := as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: scopes}))
	two := as(mint(t, api.Claims{Domains: []string{"example.net", "example.org"}, Scopes: scopes}))
	likewise := as(mint(t, api.Claims{Domains: []string{"example.org", "example.net", "example.org"}, Scopes: scopes}))
	for _, path := range []string{"/v1/sessions?limit=1", "/v1/sessions?limit=1&q=u", "/v1/groups?limit=1", "/v1/rules?limit=1", "/v1/kicks?limit=1", "/v1/decisions?limit=1"} {
		var p struct {
			Next *string `json:"next_cursor"`
		}
		if s.get(path, one).ok(200, &p); p.Next == nil {
			t.Fatalf("%s has one page", path)
		}
		at := "&cursor=" + url.QueryEscape(*p.Next)
		s.get(path+at, one).ok(200, nil)
		s.get(path+at).fails(422, "invalid_field", "cursor")
		s.get(path+at, as(mint(t, api.Claims{Domains: []string{"example.com"}, Scopes: scopes}))).fails(422, "invalid_field", "cursor")
		s.get("/v1/sessions?limit=1&state=active"+at, one).fails(422, "invalid_field", "cursor")
		s.get(path, two).ok(200, &p)
		s.get(path+"&cursor="+url.QueryEscape(*p.Next), likewise).ok(200, nil)
	}
}

// A page ends behind what was looked at, which may be another domain's. The cursor does not tell.
func TestCursorsTellNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.exec(`insert into accounts (key, jid, domain) select encode(substr(sha256(j::bytea), 1, 16), 'hex')::uuid, j, 'example.com' from (select 'a' || n || '@example.com' as j from generate_series(1, 2001) n) a`)
	var p sessions
	s.get("/v1/sessions?q=a", as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: []string{api.ScopeSessionsRead}}))).ok(200, &p)
	if p.Next == nil {
		t.Fatal("there is one page")
	}
	place, err := base64.RawURLEncoding.DecodeString(*p.Next)
	if err != nil || bytes.Contains(place, []byte("example")) {
		t.Errorf("the cursor holds %q (%v)", place, err)
	}
}
