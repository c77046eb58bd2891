package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const domain, group = "/v1/domains/Example.ORG/rule", "/v1/groups/vip%20staff/rule"
	s.get(domain).fails(404, "not_found", "-")
	s.get(group).fails(404, "not_found", "-")
	s.do("DELETE", domain, "").fails(404, "not_found", "-")
	s.do("PUT", "/v1/rules/default", `{"max_sessions":1,"on_excess":"deny","same_resource":"deny","ghost_after_seconds":3}`).ok(200, nil)
	made := s.do("PUT", domain, `{"max_sessions":2,"on_excess":"evict_idle","same_resource":"replace"}`, header("If-None-Match", "*")).ok(201, nil)
	s.do("PUT", group, `{"max_sessions":3,"on_excess":"evict_oldest"}`).ok(201, nil)
	s.do("PUT", adasRule, `{"max_sessions":4}`).ok(201, nil)

	var e struct {
		Rule   map[string]any
		Origin map[string]string
	}
	origins := func(account string) string {
		t.Helper()
		s.get("/v1/accounts/"+account+"/rule/effective").ok(200, &e)
		return fmt.Sprint(e.Rule["max_sessions"], " ", e.Origin["max_sessions"], " ", e.Origin["on_excess"], " ", e.Origin["same_resource"], " ", e.Origin["ghost_after_seconds"])
	}
	if got := origins("ada@example.org"); got != "4 account domain domain default" {
		t.Error(got)
	}
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"vip staff"}`).ok(200, nil)
	if got := origins("ada@example.org"); got != "4 account group domain default" {
		t.Error(got)
	}
	s.do("DELETE", adasRule, "").ok(204, nil)
	if got := origins("ada@example.org"); got != "3 group group domain default" {
		t.Error(got)
	}
	if got := origins("ada@example.com"); got != "1 default default default default" {
		t.Error(got)
	}
	var acc struct {
		Group *string
		Rule  struct {
			MaxSessions int `json:"max_sessions"`
		}
	}
	if s.get("/v1/accounts/ada@example.org").ok(200, &acc); acc.Group == nil || *acc.Group != "vip staff" || acc.Rule.MaxSessions != 3 {
		t.Errorf("account: %+v", acc)
	}

	// ETags and preconditions as everywhere.
	etag := made.header.Get("ETag")
	if got := s.get(domain).ok(200, nil).header.Get("ETag"); got != etag {
		t.Errorf("ETag %s, want %s", got, etag)
	}
	s.do("PUT", domain, `{}`, header("If-Match", `"0"`)).fails(412, "precondition_failed", "If-Match")
	s.do("DELETE", group, "", header("If-Match", `"0"`)).fails(412, "precondition_failed", "If-Match")
	s.do("PUT", domain, `{"max_sessions":0}`).fails(422, "invalid_field", "/max_sessions")
	s.do("PUT", domain, `{"expires_at":null}`).fails(422, "unknown_field", "/expires_at")
	s.do("PUT", group+"?apply=later", `{}`).fails(422, "invalid_field", "apply")
	s.do("PUT", "/v1/domains/a%20b/rule", `{}`).fails(422, "invalid_jid", "domain")
	s.do("PUT", "/v1/groups/%20a/rule", `{}`).fails(422, "invalid_field", "group")
	s.do("PUT", "/v1/groups/"+strings.Repeat("x", 65)+"/rule", `{}`).fails(422, "invalid_field", "group")
	s.do("PUT", domain, `{}`, header("If-Match", etag)).ok(200, nil)
	s.do("DELETE", group, "").ok(204, nil)
	s.do("DELETE", domain, "").ok(204, nil)
	if got := origins("ada@example.org"); got != "1 default default default default" {
		t.Error(got)
	}
	told := s.events("rule.changed")
	if len(told) != 9 || told[1].Data["domain"] != "example.org" || told[1].Account != "" || told[2].Data["group"] != "vip staff" || told[4].Account != "ada@example.org" || told[4].Data["group"] != "vip staff" {
		t.Errorf("events: %+v", told)
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	members := func(body string) (out struct{ Added, Removed int }) {
		t.Helper()
		s.do("POST", "/v1/groups/staff/members", body).ok(200, &out)
		return out
	}
	if got := members(`{"add":["ada@example.org","Bob@example.org","cid@example.com"]}`); got.Added != 3 {
		t.Errorf("%+v", got)
	}
	if got := members(`{"add":["ada@example.org","dan@example.org"],"remove":["bob@example.org","nobody@example.org"]}`); got.Added != 1 || got.Removed != 1 {
		t.Errorf("%+v", got)
	}
	if s.revision("ada@example.org") != 1 || s.revision("bob@example.org") != 2 || s.revision("nobody@example.org") != -1 {
		t.Error("revisions")
	}
	// An account is in one group; it is not removed from one that it is not in.
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"boss"}`).ok(200, nil)
	if got := members(`{"remove":["ada@example.org"]}`); got.Removed != 0 {
		t.Errorf("%+v", got)
	}
	s.do("PUT", "/v1/accounts/cid@example.com/group", `{"group":null}`).ok(200, nil)
	s.do("PUT", "/v1/accounts/nobody@example.org/group", `{"group":null}`).fails(404, "not_found", "-")
	s.do("PUT", "/v1/groups/empty/rule", `{}`).ok(201, nil)

	type page struct {
		Items []struct {
			Group   string
			Members int
			Rule    bool
		}
		Next *string `json:"next_cursor"`
	}
	var all []string
	for path := "/v1/groups?limit=1"; path != ""; {
		var p page
		s.get(path).ok(200, &p)
		for _, g := range p.Items {
			all = append(all, fmt.Sprint(g.Group, g.Members, g.Rule))
		}
		if path = ""; p.Next != nil {
			path = "/v1/groups?limit=1&cursor=" + url.QueryEscape(*p.Next)
		}
	}
	if d := cmp.Diff([]string{"boss1 false", "empty0 true", "staff1 false"}, all); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", ""},
		{`{"add":"ada@example.org"}`, "invalid_field", "/add"},
		{`{"add":[1]}`, "invalid_field", "/add/0"},
		{`{"add":["ada@example.org","x@"]}`, "invalid_jid", "/add/1"},
		{`{"add":["ada@example.org"],"remove":["ADA@example.org"]}`, "invalid_field", "/remove/0"},
		{`{"members":[]}`, "unknown_field", "/members"},
		{`{"add":[` + strings.TrimSuffix(strings.Repeat(`"a@b",`, 501), ",") + `]}`, "invalid_field", "/add"},
	} {
		s.do("POST", "/v1/groups/staff/members", c.body).fails(422, c.code, c.field)
	}
	var most []string
	for i := range 500 {
		most = append(most, fmt.Sprintf(`"u%d@example.net"`, i))
	}
	if got := members(`{"add":[` + strings.Join(most, ",") + `]}`); got.Added != 500 {
		t.Errorf("%+v", got)
	}
	s.do("POST", "/v1/groups/staff/members", `{"add":[`+strings.Join(most, ",")+`],"remove":["ada@example.org"]}`).fails(422, "invalid_field", "")
	for _, body := range []string{`{}`, `{"group":""}`, `{"group":1}`, `{"group":" a"}`, `{"group":"a\u0007"}`} {
		s.do("PUT", "/v1/accounts/ada@example.org/group", body).fails(422, "invalid_field", "/group")
	}
}

// A token of one domain sees and touches what concerns that one.
func TestLevelsOfALimitedToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	limited := as(mint(t, api.Claims{Subject: "support", Scopes: []string{api.ScopeRulesRead, api.ScopeRulesWrite}, Domains: []string{"example.org"}}))
	s.do("POST", "/v1/groups/ours/members", `{"add":["ada@example.org","eve@example.com"]}`).ok(200, nil)
	s.do("POST", "/v1/groups/theirs/members", `{"add":["bob@example.com"]}`).ok(200, nil)
	for _, path := range []string{"/v1/groups/ours/rule", "/v1/groups/theirs/rule", "/v1/domains/example.org/rule", "/v1/domains/example.com/rule", "/v1/accounts/eve@example.com/rule", adasRule} {
		s.do("PUT", path, `{"max_sessions":1}`).ok(201, nil)
	}
	s.get("/v1/groups/ours/rule", limited).ok(200, nil)
	s.do("PUT", "/v1/groups/ours/rule", `{}`, limited).fails(403, "insufficient_scope", "-")
	s.do("DELETE", "/v1/groups/ours/rule", "", limited).fails(403, "insufficient_scope", "-")
	s.get("/v1/groups/theirs/rule", limited).fails(404, "not_found", "-")
	s.do("PUT", "/v1/groups/theirs/rule", `{}`, limited).fails(404, "not_found", "-")
	s.do("PUT", "/v1/domains/example.org/rule", `{}`, limited).ok(200, nil)
	s.get("/v1/domains/example.com/rule", limited).fails(404, "not_found", "-")
	s.do("PUT", "/v1/domains/example.com/rule", `{}`, limited).fails(404, "not_found", "-")
	s.do("DELETE", "/v1/domains/example.com/rule", "", limited).fails(404, "not_found", "-")
	s.do("PUT", "/v1/accounts/eve@example.com/group", `{"group":"ours"}`, limited).fails(404, "not_found", "-")
	s.do("POST", "/v1/groups/ours/members", `{"add":["dan@example.org","bob@example.com"]}`, limited).fails(404, "not_found", "/add/1")
	if s.revision("dan@example.org") != -1 {
		t.Error("half a change was made")
	}
	list := func(path string, key string) string {
		t.Helper()
		var p struct{ Items []map[string]any }
		s.get(path, limited).ok(200, &p)
		var names []string
		for _, i := range p.Items {
			name := fmt.Sprint(i[key])
			for _, count := range []string{"members", "accounts"} {
				if n, ok := i[count]; ok {
					name += fmt.Sprint(":", n)
				}
			}
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	if got := list("/v1/groups", "group"); got != "ours:1" {
		t.Error(got)
	}
	if got := list("/v1/domains", "domain"); got != "example.org:1" {
		t.Error(got)
	}
	if got := list("/v1/rules", "subject"); got != "ada@example.org <nil> example.org ours" {
		t.Error(got)
	}
}

func TestListRules(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("PUT", adasRule, `{"max_sessions":2,"expires_at":"2090-01-01T00:00:00Z"}`).ok(201, nil)
	etag := s.do("PUT", "/v1/domains/example.org/rule", `{"max_sessions":3}`).ok(201, nil).header.Get("ETag")
	s.do("PUT", "/v1/groups/staff/rule", `{"enforce":false}`).ok(201, nil)
	var got []string
	for path := "/v1/rules?limit=2"; path != ""; {
		var p struct {
			Items []struct {
				Level, ETag string
				Subject     *string
				Rule        map[string]any
				ExpiresAt   *string `json:"expires_at"`
				UpdatedBy   *string `json:"updated_by"`
			}
			Next *string `json:"next_cursor"`
		}
		s.get(path).ok(200, &p)
		for _, r := range p.Items {
			got = append(got, fmt.Sprint(r.Level, r.Rule))
			if r.Level == "domain" && (r.ETag != etag || *r.Subject != "example.org" || r.ExpiresAt != nil || *r.UpdatedBy != "tester") {
				t.Errorf("%+v", r)
			}
		}
		if path = ""; p.Next != nil {
			path = "/v1/rules?limit=2&cursor=" + url.QueryEscape(*p.Next)
		}
	}
	if d := cmp.Diff([]string{"accountmap[max_sessions:2]", "defaultmap[]", "domainmap[max_sessions:3]", "groupmap[enforce:false]"}, got); d != "" {
		t.Error(d)
	}
	s.exec(`update rules set expires_at = now() - interval '1 second' where scope = 'account'`)
	var p struct{ Items []any }
	if s.get("/v1/rules").ok(200, &p); len(p.Items) != 3 {
		t.Errorf("an expired rule is listed: %v", p.Items)
	}
}

func TestListRulesByLevelAndText(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, path := range []string{adasRule, "/v1/accounts/bob%40example.org/rule", "/v1/domains/example.org/rule", "/v1/groups/Example%20staff/rule"} {
		s.do("PUT", path, `{"max_sessions":2}`).ok(201, nil)
	}
	for query, want := range map[string]string{
		"level=account": "ada@example.org bob@example.org", "level=default": "", "level=group": "Example staff", "q=EXAMPLE": "ada@example.org bob@example.org example.org Example staff",
		"q=ada": "ada@example.org", "q=%25": "", "q=example&level=domain": "example.org", "q=": "ada@example.org bob@example.org  example.org Example staff",
	} {
		var got []string
		for path := "/v1/rules?limit=1&" + query; path != ""; {
			var p struct {
				Items []struct{ Subject string }
				Next  *string `json:"next_cursor"`
			}
			s.get(path).ok(200, &p)
			for _, r := range p.Items {
				got = append(got, r.Subject)
			}
			if path = ""; p.Next != nil {
				path = "/v1/rules?limit=1&" + query + "&cursor=" + url.QueryEscape(*p.Next)
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %q, want %q", query, g, want)
		}
	}
	s.get("/v1/rules?level=nonsense").fails(422, "invalid_field", "level")
}

func TestListMembers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("POST", "/v1/groups/staff/members", `{"add":["a@one.example","b@one.example","c@two.example","d@two.example","e@one.example"]}`).ok(200, nil)
	s.do("POST", "/v1/groups/other/members", `{"add":["x@one.example"]}`).ok(200, nil)
	list := func(limit string, o ...option) string {
		var got []string
		for path := "/v1/groups/staff/members?limit=" + limit; path != ""; {
			var p struct {
				Items []struct{ Account string }
				Next  *string `json:"next_cursor"`
			}
			s.get(path, o...).ok(200, &p)
			for _, m := range p.Items {
				got = append(got, m.Account)
			}
			if path = ""; p.Next != nil {
				path = "/v1/groups/staff/members?limit=" + limit + "&cursor=" + url.QueryEscape(*p.Next)
			}
		}
		slices.Sort(got)
		return strings.Join(got, " ")
	}
	for _, limit := range []string{"1", "2", "5", "500"} {
		if got := list(limit); got != "a@one.example b@one.example c@two.example d@two.example e@one.example" {
			t.Errorf("%s at a time: %s", limit, got)
		}
		two := as(mint(t, api.Claims{Subject: "two", Scopes: []string{api.ScopeRulesRead}, Domains: []string{"two.example"}}))
		if got := list(limit, two); got != "c@two.example d@two.example" {
			t.Errorf("%s at a time, of two.example: %s", limit, got)
		}
	}
	var p struct{ Items []any }
	if s.get("/v1/groups/nobody/members").ok(200, &p); len(p.Items) != 0 {
		t.Error(p.Items)
	}
}
