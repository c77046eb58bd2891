package api_test

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
)

// Who may ask for something may follow it, and take it back.
func TestJobsAreFollowedByWhoAskedForThem(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1})
	var kick shownJob
	s.do("POST", "/v1/kicks", `{"filter":{"platform":"web"}}`).ok(202, &kick)
	location := s.do("PUT", "/v1/domains/example.org/rule?apply=now", `{"max_sessions":4}`).ok(201, nil).header.Get("Location")
	rule := strings.TrimPrefix(location, "/v1/kicks/")
	for scope, may := range map[string]struct {
		listed           int // 0: no list
		kick, rule       bool
		endKick, endRule bool
	}{
		api.ScopeSessionsKick: {2, true, true, true, true},
		api.ScopeSessionsRead: {2, true, true, false, false},
		api.ScopeRulesRead:    {1, false, true, false, false},
		api.ScopeRulesWrite:   {0, false, false, false, true},
		api.ScopeDevicesWrite: {},
	} {
		token := as(mint(t, api.Claims{Scopes: []string{scope}}))
		for _, c := range []struct {
			method, id string
			may        bool
		}{{"GET", kick.ID, may.kick}, {"GET", rule, may.rule}, {"DELETE", kick.ID, may.endKick}, {"DELETE", rule, may.endRule}} {
			if r := s.do(c.method, "/v1/kicks/"+c.id, "", token); c.may {
				r.ok(200, nil)
			} else {
				r.fails(403, "insufficient_scope", "-")
			}
		}
		var p shownJobs
		if r := s.get("/v1/kicks", token); may.listed == 0 {
			r.fails(403, "insufficient_scope", "-")
		} else if r.ok(200, &p); len(p.Items) != may.listed {
			t.Errorf("%s sees %d kicks, want %d", scope, len(p.Items), may.listed)
		}
	}
}
