package api_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

func TestListAllDecisions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	for i, account := range []string{"ada@one.example", "bob@one.example", "eve@two.example", "ada@one.example"} {
		s.seed(seeded{account: account, resource: "phone", generation: int64(i + 1)})
		s.exec(`insert into decisions (account, at, ask_id, resource, platform, outcome, code, evicted, rule_level, explanation, condition, shadow)
			values ($1, $2, '', 'phone', $3, $4, $5, '{}', 'default', '{}', '', false)`, store.KeyOf(account), fmt.Sprintf("%sT0%d:00:00Z", yesterday, i+1),
			[]string{"ios", "android", "web", "ios"}[i], []string{"allow", "deny"}[i%2], []string{"ok", "limit", "ok", "cooldown"}[i])
	}
	limited := as(mint(t, api.Claims{Domains: []string{"one.example"}, Scopes: []string{api.ScopeSessionsRead}}))
	for query, want := range map[string]string{
		"": "4 3 2 1", "?outcome=deny": "4 2", "?code=ok": "3 1", "?platform=mobile": "4 2 1", "?platform=web": "3", "?domain=two.example": "3", "?domain=none.example": "",
		"?since=" + yesterday + "T02:00:00Z&until=" + yesterday + "T04:00:00Z": "3 2", "?outcome=deny&platform=ios&domain=one.example": "4",
	} {
		if got := s.decisions("/v1/decisions" + query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := s.decisions("/v1/decisions?until=0001-01-01T00:00:00Z"); got != "" { // Go's zero time is a time like any other
		t.Errorf("before the year 1: %q", got)
	}
	for query, want := range map[string]string{"": "4 2 1", "?domain=two.example": "", "?code=ok": "1"} {
		if got := s.decisions("/v1/decisions"+query, limited); got != want {
			t.Errorf("limited %s: %q, want %q", query, got, want)
		}
	}
	for query, field := range map[string]string{"outcome=maybe": "outcome", "code=nonsense": "code", "since=1": "since", "limit=501": "limit", "cursor=x": "cursor"} {
		s.get("/v1/decisions?"+query).fails(422, "invalid_field", field)
	}
	s.get("/v1/decisions?domain=a%00").fails(422, "invalid_field", "domain")
}

// decisions are the hours of all decisions of a list, read one by one.
func (s *service) decisions(path string, with ...option) (hours string) {
	s.t.Helper()
	u, err := url.Parse(path)
	if err != nil {
		s.t.Fatal(err)
	}
	q := u.Query()
	q.Set("limit", "1")
	for {
		var p struct {
			Items []struct{ At string }
			Next  *string `json:"next_cursor"`
		}
		s.get(u.Path+"?"+q.Encode(), with...).ok(200, &p)
		for _, d := range p.Items {
			if hours != "" {
				hours += " "
			}
			hours += d.At[12:13]
		}
		if p.Next == nil {
			return hours
		}
		q.Set("cursor", *p.Next)
	}
}
