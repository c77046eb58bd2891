package api_test

import (
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
	}
}
