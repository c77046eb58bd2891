package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/bindgate/bindgate/api"
)

type session struct {
	ID, Account, Domain, Resource, Platform, State, IP, Client, Link, Identity string
	DeviceID                                                                   *string `json:"device_id"`
	DecisionID                                                                 *string `json:"decision_id"`
	EndReason                                                                  *string `json:"end_reason"`
	StartedAt                                                                  string  `json:"started_at"`
	EndedAt                                                                    *string `json:"ended_at"`
	Generation                                                                 int64
	Secure                                                                     bool
}

type sessions struct {
	Items []session
	Next  *string `json:"next_cursor"`
}

func (s sessions) resources() []string {
	var out []string
	for _, i := range s.Items {
		out = append(out, i.Resource)
	}
	slices.Sort(out)
	return out
}

func TestSessionsAreFiltered(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(
		seeded{account: "ada@example.org", resource: "Phone", generation: 1, device: 7},
		seeded{account: "ada@example.org", resource: "web", platform: "web", generation: 2, state: "hibernating"},
		seeded{account: "ada@example.org", resource: "old", generation: 3, evicting: true},
		seeded{account: "ada@example.org", resource: "gone", generation: 4, ended: true},
		seeded{account: "strasse@example.com", resource: "tab%_", platform: "ios", generation: 1, state: "binding"},
	)
	for query, want := range map[string][]string{
		"":                                        {"Phone", "old", "tab%_", "web"},
		"domain=example.com":                      {"tab%_"},
		"domain=EXAMPLE.com":                      {"tab%_"},
		"domain=nowhere.example":                  nil,
		"account=ada@example.org":                 {"Phone", "old", "web"},
		"account=stra%C3%9Fe%40example.com":       {"tab%_"},
		"account=nobody@example.org":              nil,
		"platform=web":                            {"web"},
		"platform=fridge":                         nil,
		"state=active":                            {"Phone"},
		"state=hibernating":                       {"web"},
		"state=binding":                           {"tab%_"},
		"state=evicting":                          {"old"},
		"state=ended":                             {"gone"},
		"q=ada@example.org/Ph":                    {"Phone"},
		"q=Ada@Example.ORG/":                      {"Phone", "old", "web"},
		"q=da@example.org/ph":                     {"Phone"},
		"q=nobody@example.org/":                   nil,
		"q=Stra%C3%9Fe@example.com/tab":           {"tab%_"},
		"q=ada@example.org/Ph&domain=example.com": nil,
		"q=ada@example.org/Ph&account=strasse@example.com": nil,
		"q=ADA@example.org/ph&account=ada@example.org":     {"Phone"},
		"q=phone": {"Phone"},
		"q=ADA":   {"Phone", "old", "web"},
		"q=%25_":  {"tab%_"},
		"q=_":     {"tab%_"},
		"q=":      {"Phone", "old", "tab%_", "web"},
		"cursor=": {"Phone", "old", "tab%_", "web"},
		"domain=example.org&state=active&q=a&platform=android": {"Phone"},
	} {
		var got sessions
		s.get("/v1/sessions?"+query).ok(http.StatusOK, &got)
		if !slices.Equal(got.resources(), want) || got.Next != nil {
			t.Errorf("?%s: %q, next %v; want %q", query, got.resources(), got.Next, want)
		}
	}
	var own sessions
	s.get("/v1/accounts/ada@example.org/sessions").ok(http.StatusOK, &own)
	if got := own.resources(); !slices.Equal(got, []string{"Phone", "old", "web"}) {
		t.Errorf("of the account: %q", got)
	}
	s.get("/v1/accounts/ada@example.org/sessions?state=ended").ok(http.StatusOK, &own)
	if got := own.resources(); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("ended of the account: %q", got)
	}
	s.get("/v1/accounts/nobody@example.org/sessions").fails(http.StatusNotFound, "not_found", "-")
}

func TestSessionIsShown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(
		seeded{account: "ada@example.org", resource: "phone", generation: 1, device: 7},
		seeded{account: "ada@example.org", resource: "old", generation: 2, evicting: true},
		seeded{account: "ada@example.org", resource: "gone", generation: 3, ended: true},
	)
	var live, old, gone session
	s.get("/v1/sessions/"+ids[0]).ok(http.StatusOK, &live)
	if live.ID != ids[0] || live.Account != "ada@example.org" || live.Domain != "example.org" || live.State != "active" || live.Generation != 1 || live.DeviceID == nil ||
		live.DecisionID == nil || live.EndedAt != nil || live.EndReason != nil || !live.Secure || live.Identity != "certain" || live.StartedAt[len(live.StartedAt)-1] != 'Z' {
		t.Errorf("live: %+v", live)
	}
	if s.get("/v1/sessions/"+ids[1]).ok(http.StatusOK, &old); old.State != "evicting" || old.DeviceID != nil {
		t.Errorf("evicting: %+v", old)
	}
	if s.get("/v1/sessions/"+ids[2]).ok(http.StatusOK, &gone); gone.State != "ended" || gone.EndedAt == nil || *gone.EndReason != "logout" {
		t.Errorf("ended: %+v", gone)
	}
	for _, id := range []string{"ses_", "x", ids[0] + "0", "ses_" + ids[0][5:], "dev_" + ids[0][4:], "%00"} {
		s.get("/v1/sessions/"+id).fails(http.StatusNotFound, "not_found", "-")
	}
}

func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	want := map[string]bool{}
	for i := range 23 {
		for _, ended := range []bool{false, true} {
			g := int64(2 * i)
			if ended {
				g++
			}
			id := s.seed(seeded{account: fmt.Sprintf("u%d@example.org", i%5), resource: "r", generation: g + 1, ended: ended})
			want[id[0]] = ended
		}
	}
	for _, ended := range []bool{false, true} {
		path := "/v1/sessions?limit=4"
		if ended {
			path += "&state=ended"
		}
		seen := map[string]int{}
		cursor, pages := "", 0
		for {
			var p sessions
			s.get(path+"&cursor="+url.QueryEscape(cursor)).ok(http.StatusOK, &p)
			for _, i := range p.Items {
				seen[i.ID]++
			}
			pages++
			// Others come and go meanwhile.
			s.seed(seeded{account: fmt.Sprintf("new%d@example.org", pages), resource: "new", generation: 100, ended: ended})
			if p.Next == nil {
				break
			}
			cursor = *p.Next
			if pages > 40 {
				t.Fatal("the list does not end")
			}
		}
		for id, e := range want {
			if n := seen[id]; e == ended && n != 1 {
				t.Errorf("ended %v: %s was seen %d times", ended, id, n)
			}
		}
	}
}

func TestCursorsCannotBeForged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for g := range int64(3) {
		s.seed(seeded{account: "ada@example.org", resource: "r", generation: g + 1})
	}
	var p sessions
	s.get("/v1/sessions?limit=1").ok(http.StatusOK, &p)
	good := *p.Next
	s.get("/v1/sessions?limit=2&cursor="+good).ok(http.StatusOK, &p)
	flipped := []byte(good)
	flipped[len(flipped)-5] ^= 1
	for _, path := range []string{
		"/v1/sessions?cursor=x", "/v1/sessions?cursor=" + string(flipped), "/v1/sessions?cursor=" + good + "A", "/v1/sessions?cursor=" + good[:20],
		"/v1/sessions?state=ended&cursor=" + good, "/v1/sessions?domain=example.org&cursor=" + good, "/v1/accounts/ada@example.org/sessions?cursor=" + good,
		"/v1/accounts/ada@example.org/decisions?cursor=" + good,
	} {
		s.get(path).fails(http.StatusUnprocessableEntity, "invalid_field", "cursor")
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for query, want := range map[string]struct {
		status      int
		code, field string
	}{
		"limit=0":                    {422, "invalid_field", "limit"},
		"limit=-1":                   {422, "invalid_field", "limit"},
		"limit=501":                  {422, "invalid_field", "limit"},
		"limit=99999999999999999999": {422, "invalid_field", "limit"},
		"limit=ten":                  {422, "invalid_field", "limit"},
		"limit=1.5":                  {422, "invalid_field", "limit"},
		"limit=":                     {422, "invalid_field", "limit"},
		"limit=1&limit=2":            {422, "invalid_field", "limit"},
		"state=sleeping":             {422, "invalid_field", "state"},
		"state=":                     {422, "invalid_field", "state"},
		"account=a%20b@example.org":  {422, "invalid_jid", "account"},
		"account=ada@example.org/x":  {422, "invalid_jid", "account"},
		"account=example.org":        {422, "invalid_jid", "account"},
		"domain=a%20b":               {422, "invalid_jid", "domain"},
		"domain=a@b":                 {422, "invalid_jid", "domain"},
		"q=%00":                      {422, "invalid_field", "q"},
		"q=%ff":                      {422, "invalid_field", "q"},
		"platform=%00":               {422, "invalid_field", "platform"},
		"colour=red":                 {422, "unknown_field", "colour"},
		"q=%zz":                      {400, "malformed_request", "-"},
		"q=a;b":                      {400, "malformed_request", "-"},
	} {
		s.get("/v1/sessions?"+query).fails(want.status, want.code, want.field)
	}
	s.get("/v1/links?x=1").fails(422, "unknown_field", "x")
	s.get("/v1/accounts/ada@example.org/rule?apply=now").fails(422, "unknown_field", "apply")
}

func TestDomainsLimitWhatIsSeen(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(
		seeded{account: "ada@example.org", resource: "here", generation: 1},
		seeded{account: "eve@example.com", resource: "there", generation: 1},
		seeded{account: "eve@example.com", resource: "was-there", generation: 2, ended: true},
	)
	s.exec(`insert into links (name, driver, component, expires_at, state) values ('main', 'gate', 'bindgate.example.org', 'infinity',
		'{"up":true,"domains":[{"domain":"example.org"},{"domain":"example.com"}]}'), ('other', 'gate', 'bindgate.example.com', 'infinity', '{"up":true,"domains":[{"domain":"example.com"}]}')`)
	limited := as(mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.org"}}))
	var p sessions
	if s.get("/v1/sessions", limited).ok(200, &p); !slices.Equal(p.resources(), []string{"here"}) {
		t.Errorf("list: %q", p.resources())
	}
	for _, q := range []string{"domain=example.com", "account=eve@example.com", "state=ended", "q=eve"} {
		if s.get("/v1/sessions?"+q, limited).ok(200, &p); len(p.Items) != 0 {
			t.Errorf("?%s: %q", q, p.resources())
		}
	}
	const eve = "/v1/accounts/eve@example.com"
	nobody := s.get("/v1/accounts/nobody@example.org", limited).fails(404, "not_found", "-")
	for _, r := range []*reply{
		s.get("/v1/sessions/"+ids[1], limited), s.get("/v1/sessions/"+ids[2], limited), s.do("DELETE", "/v1/sessions/"+ids[1], "", limited), s.get(eve, limited),
		s.get(eve+"/sessions", limited), s.get(eve+"/decisions", limited), s.get(eve+"/rule", limited), s.get(eve+"/rule/effective", limited),
		s.do("PUT", eve+"/rule", `{}`, limited), s.do("DELETE", eve+"/rule", "", limited), s.do("POST", eve+"/kick", `{"all":true}`, limited),
		s.do("POST", eve+"/verify", `{"resource":"there"}`, limited),
	} {
		if p := r.fails(404, "not_found", "-"); p.Title != nobody.Title { // that the words are those of what is not there: TestDomainsAreIsolated
			t.Errorf("%s: differs from an account that is not there: %s", r.what, p.Title)
		}
	}
	s.do("PUT", "/v1/rules/default", `{}`, limited).fails(403, "insufficient_scope", "-")
	s.get("/v1/rules/default", limited).ok(200, nil)
	var links struct {
		Items []struct {
			ID      string
			Domains []struct{ Domain string }
		}
	}
	s.get("/v1/links", limited).ok(200, &links)
	if len(links.Items) != 1 || links.Items[0].ID != "main" || len(links.Items[0].Domains) != 1 || links.Items[0].Domains[0].Domain != "example.org" {
		t.Errorf("links: %+v", links)
	}
	if s.get("/v1/links").ok(200, &links); len(links.Items) != 2 {
		t.Errorf("links without a limit: %+v", links)
	}
	none := as(mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, Domains: []string{}}))
	if s.get("/v1/sessions", none).ok(200, &p); len(p.Items) != 0 {
		t.Errorf("no domains: %q", p.resources())
	}
}
