package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
)

type shownJob struct {
	ID, Kind, State, Reason string
	RequestedBy             string `json:"requested_by"`
	Level, Subject          *string
	Total                   *int
	Done                    int
	Sessions                struct {
		Kicked, Pending int
		StillPresent    int `json:"still_present"`
	}
	FinishedAt *time.Time `json:"finished_at"`
}

type shownPreview struct {
	Accounts, Sessions, Considered int
	Complete                       bool
	Example                        *struct {
		Account     string
		Sessions    []struct{ ID, Account, Resource string }
		Explanation []string
	}
}

// Every way to change a rule takes apply=now and names its kick. There is no link here, so those with sessions go on.
func TestApplyNow(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(
		seeded{account: "ada@example.org", resource: "a", generation: 1}, seeded{account: "ada@example.org", resource: "b", generation: 2},
		seeded{account: "bob@example.com", resource: "a", generation: 1},
	)
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"staff"}`).ok(200, nil)
	for _, c := range []struct {
		path, level, subject string
		total                int
		status               int
	}{
		{"/v1/rules/default", "default", "", 2, 200},
		{"/v1/domains/example.org/rule", "domain", "example.org", 1, 201},
		{"/v1/groups/staff/rule", "group", "staff", 1, 201},
		{"/v1/accounts/ada@example.org/rule", "account", "ada@example.org", 1, 201},
		{"/v1/accounts/eve@example.org/rule", "account", "eve@example.org", 0, 201},
	} {
		if at := s.do("PUT", c.path, `{}`).header.Get("Location"); at != "" {
			t.Errorf("PUT %s without apply: Location %s", c.path, at)
		}
		if c.level != "default" {
			s.do("DELETE", c.path, "").ok(204, nil)
		}
		for _, method := range []string{"PUT", "DELETE"} {
			body, status := `{"max_sessions":3}`, c.status
			if method == "DELETE" {
				body, status = "", 204
			}
			at := s.do(method, c.path+"?apply=now", body).ok(status, nil).header.Get("Location")
			if !strings.HasPrefix(at, "/v1/kicks/kick_") {
				t.Fatalf("%s %s: Location %q", method, c.path, at)
			}
			var j shownJob
			eventually(t, "the kick has begun", func() bool {
				s.get(at).ok(200, &j)
				return j.Total != nil && (c.total > 0 || j.State == "done")
			})
			if j.Kind != "apply_rule" || "/v1/kicks/"+j.ID != at || *j.Level != c.level || (j.Subject == nil) != (c.subject == "") || j.Subject != nil && *j.Subject != c.subject ||
				*j.Total != c.total || j.Done != 0 || j.RequestedBy != "tester" || (j.State == "running") != (c.total > 0) || (j.FinishedAt == nil) != (c.total > 0) {
				t.Errorf("%s %s: %+v", method, c.path, j)
			}
			want := map[bool]string{true: "cancelled", false: "done"}[c.total > 0]
			if s.do("DELETE", at, "").ok(200, &j); j.State != want || j.FinishedAt == nil {
				t.Errorf("cancelled: %+v", j)
			}
			if s.do("DELETE", at, "").ok(200, &j); j.State != want {
				t.Errorf("cancelled twice: %+v", j)
			}
		}
	}
	if e := s.events("rule.changed"); !strings.HasPrefix(fmt.Sprint(e[len(e)-1].Data["kick_id"]), "kick_") {
		t.Errorf("the event does not name the kick: %+v", e[len(e)-1])
	}
	// A refused change accepts nothing.
	s.do("PUT", "/v1/rules/default?apply=now", `{}`, header("If-Match", `"1"`)).fails(412, "precondition_failed", "If-Match")
	s.do("DELETE", "/v1/groups/staff/rule?apply=now", "").fails(404, "not_found", "-")
	var n int
	if err := s.pool.QueryRow(t.Context(), "select count(*) from jobs").Scan(&n); err != nil || n != 10 {
		t.Errorf("%d jobs, %v; want 10", n, err)
	}
}

func TestWhoSeesAKick(t *testing.T) {
	t.Parallel()
	s := newService(t)
	kick := func(path string) string {
		return s.do("PUT", path+"?apply=now", `{"max_sessions":3}`).header.Get("Location")
	}
	all, ours, hers, theirs := kick("/v1/rules/default"), kick("/v1/domains/example.org/rule"), kick("/v1/accounts/ada@example.org/rule"), kick("/v1/accounts/bob@example.com/rule")
	limited := as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: []string{api.ScopeSessionsRead, api.ScopeSessionsKick}}))
	for at, seen := range map[string]bool{all: false, ours: true, hers: true, theirs: false} {
		for _, method := range []string{"GET", "DELETE"} {
			if r := s.do(method, at, "", limited); seen {
				r.ok(200, nil)
			} else {
				r.fails(404, "not_found", "-")
			}
		}
	}
	s.do("DELETE", ours, "", as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")
	for _, id := range []string{"x", "kick_", "kick_000000000000000000000000000000000000zzz", strings.TrimPrefix(all, "/v1/kicks/") + "0", "ses_" + strings.TrimPrefix(all, "/v1/kicks/kick_")} {
		s.get("/v1/kicks/"+id).fails(404, "not_found", "-")
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var list []seeded
	for _, account := range []string{"ada@example.org", "bob@example.org", "cid@example.com"} {
		for n := range int64(3) {
			list = append(list, seeded{account: account, resource: fmt.Sprint("r", n), generation: n + 1})
		}
	}
	list = append(list, seeded{account: "dan@example.org", resource: "r", generation: 1}, seeded{account: "eve@example.org", resource: "r", generation: 1, evicting: true})
	s.seed(list...)
	s.do("PUT", "/v1/accounts/bob@example.org/group", `{"group":"staff"}`).ok(200, nil)
	s.do("PUT", "/v1/domains/example.com/rule", `{"max_sessions":5}`).ok(201, nil)
	s.do("PUT", "/v1/accounts/ada@example.org/rule", `{"max_sessions":2}`).ok(201, nil)

	for _, c := range []struct {
		body                           string
		accounts, sessions, considered int
	}{
		{`{"level":"default","rule":{"max_sessions":1}}`, 2, 3, 4}, // ada may have 2, example.com 5
		{`{"level":"default","rule":null}`, 1, 1, 4},
		{`{"level":"domain","subject":"EXAMPLE.com","rule":{"max_sessions":1}}`, 1, 2, 1},
		{`{"level":"domain","subject":"example.com","rule":null}`, 0, 0, 1},
		{`{"level":"group","subject":"staff","rule":{"max_sessions":1}}`, 1, 2, 1},
		{`{"level":"group","subject":"staff","rule":{"max_sessions":1,"enforce":false}}`, 1, 0, 1},
		{`{"level":"group","subject":"nobody","rule":{"max_sessions":1}}`, 0, 0, 0},
		{`{"level":"account","subject":"ada@example.org","rule":{"max_sessions":1}}`, 1, 2, 1},
		{`{"level":"account","subject":"ada@example.org","rule":null}`, 0, 0, 1},
		{`{"level":"account","subject":"eve@example.org","rule":{"max_sessions":1}}`, 0, 0, 0},
	} {
		var p shownPreview
		s.do("POST", "/v1/rules/preview", c.body).ok(200, &p)
		if p.Accounts != c.accounts || p.Sessions != c.sessions || p.Considered != c.considered || !p.Complete || (p.Example == nil) != (c.accounts == 0) {
			t.Errorf("%s: %+v", c.body, p)
		}
	}
	var p shownPreview
	s.do("POST", "/v1/rules/preview", `{"level":"account","subject":"ada@example.org","rule":{"max_sessions":2,"on_excess":"deny"}}`).ok(200, &p)
	if e := p.Example; e == nil || e.Account != "ada@example.org" || len(e.Sessions) != 1 || e.Sessions[0].Resource != "r2" || e.Sessions[0].Account != e.Account || len(e.Explanation) < 2 {
		t.Errorf("%+v", e)
	}
	limited := as(mint(t, api.Claims{Domains: []string{"example.com"}, Scopes: []string{api.ScopeRulesRead}}))
	if s.do("POST", "/v1/rules/preview", `{"level":"default","rule":{"max_sessions":1}}`, limited).ok(200, &p); p.Considered != 1 || p.Accounts != 0 {
		t.Errorf("with a limited token: %+v", p)
	}
	for _, body := range []string{
		`{"level":"domain","subject":"example.org","rule":{}}`, `{"level":"group","subject":"staff","rule":{}}`, `{"level":"account","subject":"ada@example.org","rule":{}}`,
	} {
		s.do("POST", "/v1/rules/preview", body, limited).fails(404, "not_found", "/subject")
	}
	for body, wrong := range map[string][2]string{
		`{"level":"default"}`:                                                {"invalid_field", "/rule"},
		`{"level":"default","rule":{"max_sessions":0}}`:                      {"invalid_field", "/rule/max_sessions"},
		`{"level":"default","rule":{"max":0}}`:                               {"unknown_field", "/rule/max"},
		`{"level":"default","rule":7}`:                                       {"invalid_field", "/rule"},
		`{"level":"default","subject":"x","rule":{}}`:                        {"invalid_field", "/subject"},
		`{"level":"domain","rule":{}}`:                                       {"invalid_field", "/subject"},
		`{"level":"all","rule":{}}`:                                          {"invalid_field", "/level"},
		`{"rule":{}}`:                                                        {"invalid_field", "/level"},
		`{"level":"account","subject":"@","rule":{}}`:                        {"invalid_jid", "/subject"},
		`{"level":"group","subject":" x","rule":{}}`:                         {"invalid_field", "/subject"},
		`{"level":"default","rule":{},"apply":"now"}`:                        {"unknown_field", "/apply"},
		`{"level":"domain","subject":"a b","rule":{}}`:                       {"invalid_jid", "/subject"},
		`{"level":"account","subject":"ada@example.org","rule":{"text":{}}}`: {"", ""},
	} {
		if r := s.do("POST", "/v1/rules/preview", body); wrong[0] == "" {
			r.ok(200, nil)
		} else {
			r.fails(422, wrong[0], wrong[1])
		}
	}
	s.do("POST", "/v1/rules/preview", `{"level":"default","rule":{}}`, as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")
	if len(s.events("rule.changed")) != 3 {
		t.Errorf("a preview changed something: %+v", s.events("rule.changed"))
	}
}
