package api_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
)

type shownJobs struct {
	Items []shownJob
	Next  *string `json:"next_cursor"`
}

// There is no link here: kicks are accepted and go on.
func TestKickMany(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(
		seeded{account: "ada@example.org", resource: "web-1", platform: "web", generation: 1}, seeded{account: "ada@example.org", resource: "phone", platform: "ios", generation: 2},
		seeded{account: "bob@example.com", resource: "web-2", platform: "web", generation: 1}, seeded{account: "eve@example.org", resource: "tab", generation: 1, state: "hibernating"},
	)
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"staff"}`).ok(200, nil)
	s.exec(`update sessions set started_at = now() - interval '2 days' where resource = 'web-2'`)
	var made []string
	for filter, total := range map[string]int{
		`{"all":true}`:                              3,
		`{"domain":"Example.ORG"}`:                  2,
		`{"group":"staff"}`:                         1,
		`{"platform":"web"}`:                        2,
		`{"platform":"mobile"}`:                     2,
		`{"platform":"fridge"}`:                     0,
		`{"state":"hibernating"}`:                   1,
		`{"resource":"WEB-?"}`:                      2,
		`{"resource":"%"}`:                          0,
		`{"older_than_seconds":86400}`:              1,
		`{"domain":"example.org","platform":"web"}`: 1,
	} {
		var count struct{ Accounts, Sessions int }
		s.do("POST", "/v1/kicks/preview", `{"filter":`+filter+`}`).ok(200, &count)
		if count.Accounts != total || count.Sessions < total || total == 3 && count.Sessions != 4 {
			t.Errorf("%s: counted %+v, want %d accounts", filter, count, total)
		}
		var j shownJob
		at := s.do("POST", "/v1/kicks", `{"filter":`+filter+`,"reason":"drill","text":{"en":"Bye."},"cooldown_seconds":60}`).ok(202, &j).header.Get("Location")
		if at != "/v1/kicks/"+j.ID || j.Kind != "kick" || j.Reason != "drill" || j.RequestedBy != "tester" || j.Level != nil {
			t.Errorf("%s: %q %+v", filter, at, j)
		}
		eventually(t, "the kick has begun", func() bool {
			s.get(at).ok(200, &j)
			return j.Total != nil && (total > 0 || j.State == "done")
		})
		if *j.Total != total {
			t.Errorf("%s: %d accounts, want %d", filter, *j.Total, total)
		}
		made = append(made, j.ID)
	}
	var listed []string
	for path := "/v1/kicks?limit=5"; path != ""; {
		var p shownJobs
		s.get(path).ok(200, &p)
		for _, j := range p.Items {
			listed = append(listed, j.ID)
		}
		path = ""
		if p.Next != nil {
			path = "/v1/kicks?limit=5&cursor=" + url.QueryEscape(*p.Next)
			s.get(path+"&state=done").fails(422, "invalid_field", "cursor")
		}
	}
	slices.Reverse(listed)
	if !slices.Equal(listed, made) {
		t.Errorf("listed, the oldest first: %q, made %q", listed, made)
	}
	var p shownJobs
	if s.get("/v1/kicks?state=done").ok(200, &p); len(p.Items) != 2 {
		t.Errorf("%d are done, want 2", len(p.Items))
	}
}

func TestKickManyRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for body, want := range map[string]struct{ code, field string }{
		`{}`:                                                     {"invalid_field", "/filter"},
		`{"filter":null}`:                                        {"invalid_field", "/filter"},
		`{"filter":[]}`:                                          {"invalid_field", "/filter"},
		`{"filter":{}}`:                                          {"invalid_field", "/filter"},
		`{"filter":{"all":false}}`:                               {"invalid_field", "/filter/all"},
		`{"filter":{"all":true,"state":"x"}}`:                    {"invalid_field", "/filter/all"},
		`{"filter":{"q":"a"}}`:                                   {"unknown_field", "/filter/q"},
		`{"filter":{"domain":""}}`:                               {"invalid_field", "/filter/domain"},
		`{"filter":{"domain":"a b"}}`:                            {"invalid_jid", "/filter/domain"},
		`{"filter":{"domain":5}}`:                                {"invalid_field", "/filter/domain"},
		`{"filter":{"group":" a"}}`:                              {"invalid_field", "/filter/group"},
		`{"filter":{"state":"evicting"}}`:                        {"invalid_field", "/filter/state"},
		`{"filter":{"platform":""}}`:                             {"invalid_field", "/filter/platform"},
		`{"filter":{"resource":"a\u0000"}}`:                      {"invalid_field", "/filter/resource"},
		`{"filter":{"older_than_seconds":0}}`:                    {"invalid_field", "/filter/older_than_seconds"},
		`{"filter":{"older_than_seconds":99999999999999999999}}`: {"invalid_field", "/filter/older_than_seconds"},
		`{"filter":{"all":true},"cooldown_seconds":-1}`:          {"invalid_field", "/cooldown_seconds"},
		`{"filter":{"all":true},"text":{}}`:                      {"invalid_field", "/text"},
		`{"filter":{"all":true},"if_revision":1}`:                {"unknown_field", "/if_revision"},
		`{"filter":{"all":true},"block_devices":1}`:              {"invalid_field", "/block_devices"},
	} {
		p := s.do("POST", "/v1/kicks", body).fails(422, want.code, want.field)
		if strings.HasPrefix(want.field, "/filter") {
			s.do("POST", "/v1/kicks/preview", body).fails(422, want.code, want.field)
		}
		if strings.HasSuffix(want.field, "_seconds") && (!strings.Contains(p.Detail, "from") || !strings.Contains(p.Detail, "to")) {
			t.Errorf("%s: %q names not both ends", body, p.Detail)
		}
	}
	if n := s.count("select count(*) from jobs"); n != 0 {
		t.Errorf("%d kicks were accepted", n)
	}
}

// A name that is misspelled is told of, by its field: nobody is to think that nobody was logged in. To a limited token what is not its own is not there either.
func TestKickManyOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1}, seeded{account: "bob@example.com", resource: "a", generation: 1})
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"staff"}`).ok(200, nil)
	s.do("PUT", "/v1/groups/empty/rule", `{"max_sessions":1}`).ok(201, nil)
	s.do("PUT", "/v1/domains/new.example/rule", `{"max_sessions":1}`).ok(201, nil)
	limited := as(mint(t, api.Claims{Domains: []string{"example.com", "unused.example"}, Scopes: []string{api.ScopeSessionsKick}}))
	all := as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsKick}}))
	for _, c := range []struct {
		token  option
		filter string
		field  string // that is wrong; "": none
	}{
		{all, `{"domain":"example.org"}`, ""},
		{all, `{"domain":"new.example"}`, ""},
		{all, `{"domain":"exampel.org"}`, "/filter/domain"},
		{all, `{"domain":"exampel.org","platform":"web"}`, "/filter/domain"},
		{all, `{"group":"staff"}`, ""},
		{all, `{"group":"empty"}`, ""},
		{all, `{"group":"Staff"}`, "/filter/group"},
		{all, `{"domain":"example.com","group":"staff"}`, ""},
		{limited, `{"domain":"example.com"}`, ""},
		{limited, `{"domain":"example.org"}`, "/filter/domain"},
		{limited, `{"domain":"unused.example"}`, "/filter/domain"},
		{limited, `{"group":"staff"}`, "/filter/group"},
		{limited, `{"group":"empty"}`, "/filter/group"},
		{limited, `{"group":"nobodys"}`, "/filter/group"},
	} {
		body := `{"filter":` + c.filter + `}`
		if c.field == "" {
			s.do("POST", "/v1/kicks/preview", body, c.token).ok(200, nil)
			continue
		}
		s.do("POST", "/v1/kicks/preview", body, c.token).fails(404, "not_found", c.field)
		s.do("POST", "/v1/kicks", body, c.token).fails(404, "not_found", c.field)
	}
	if n := s.count("select count(*) from jobs"); n != 0 {
		t.Errorf("%d kicks were accepted", n)
	}
}

// Whoever agreed to a number is not taken for having agreed to more.
func TestKickManyAtMost(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1}, seeded{account: "bob@example.org", resource: "a", generation: 1})
	if p := s.do("POST", "/v1/kicks", `{"filter":{"all":true},"at_most":1}`).fails(409, "too_many_sessions", "/at_most"); !strings.Contains(p.Detail, "finds 2 sessions") {
		t.Errorf("%q does not say how many", p.Detail)
	}
	for _, most := range []string{"0", "-1", "1.5", "null", `"2"`, "99999999999999999999"} {
		s.do("POST", "/v1/kicks", `{"filter":{"all":true},"at_most":`+most+`}`).fails(422, "invalid_field", "/at_most")
	}
	if n := s.count("select count(*) from jobs"); n != 0 {
		t.Errorf("%d kicks were accepted", n)
	}
	s.do("POST", "/v1/kicks", `{"filter":{"all":true},"at_most":2}`).ok(202, nil)
}

// A limited token kicks in its domains alone, and knows of kicks that are wholly theirs.
func TestKickManyOfALimitedToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1}, seeded{account: "bob@example.com", resource: "a", generation: 1}, seeded{account: "eve@example.net", resource: "a", generation: 1})
	scopes := []string{api.ScopeSessionsKick, api.ScopeSessionsRead}
	one := as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: scopes}))
	two := as(mint(t, api.Claims{Domains: []string{"example.com", "example.org"}, Scopes: scopes}))
	var count struct{ Accounts, Sessions int }
	if s.do("POST", "/v1/kicks/preview", `{"filter":{"all":true}}`, two).ok(200, &count); count.Accounts != 2 || count.Sessions != 2 {
		t.Errorf("counted %+v, want 2 accounts", count)
	}
	var mine, both, everyone shownJob
	s.do("POST", "/v1/kicks", `{"filter":{"all":true}}`, one).ok(202, &mine)
	s.do("POST", "/v1/kicks", `{"filter":{"all":true}}`, two).ok(202, &both)
	s.do("POST", "/v1/kicks", `{"filter":{"all":true}}`).ok(202, &everyone)
	for _, domain := range []string{"example.com", "nowhere.example"} {
		s.do("POST", "/v1/kicks", `{"filter":{"domain":"`+domain+`"}}`, one).fails(404, "not_found", "/filter/domain")
	}
	eventually(t, "the kicks have begun", func() bool { return s.count("select count(*) from jobs where total is null") == 0 })
	for id, total := range map[string]int{mine.ID: 1, both.ID: 2, everyone.ID: 3} {
		var j shownJob
		if s.get("/v1/kicks/"+id).ok(200, &j); *j.Total != total {
			t.Errorf("%d accounts, want %d", *j.Total, total)
		}
	}
	for id, seen := range map[string][2]bool{mine.ID: {true, true}, both.ID: {false, true}, everyone.ID: {false, false}} {
		for i, token := range []option{one, two} {
			if r := s.get("/v1/kicks/"+id, token); seen[i] {
				r.ok(200, nil)
			} else {
				r.fails(404, "not_found", "-")
				s.do("DELETE", "/v1/kicks/"+id, "", token).fails(404, "not_found", "-")
			}
		}
	}
	for token, want := range map[int]int{0: 1, 1: 2} {
		var p shownJobs
		if s.get("/v1/kicks", []option{one, two}[token]).ok(200, &p); len(p.Items) != want {
			t.Errorf("token %d sees %d kicks, want %d", token, len(p.Items), want)
		}
	}
	var j shownJob
	if s.do("DELETE", "/v1/kicks/"+mine.ID, "", two).ok(200, &j); j.State != "cancelled" {
		t.Errorf("cancelled: %+v", j)
	}
	s.do("POST", "/v1/kicks", `{"filter":{"all":true}}`, as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")
}
