package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

type entry struct {
	ID    string
	At    time.Time
	Actor struct {
		Via              string
		Subject, Address *string
	}
	RequestID               *string `json:"request_id"`
	Action                  store.Action
	Account, Domain, Target *string
	Old, New, Outcome       json.RawMessage
}

type entries struct {
	Items []entry
	Next  *string `json:"next_cursor"`
}

func TestAuditShowsWhatWasAndIs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("PUT", adasRule, `{"max_sessions":2,"text":{"kick":{"en":"Bye."}}}`).ok(201, nil)
	s.do("PUT", adasRule, `{"max_sessions":3}`).ok(200, nil)
	s.do("PUT", adasRule, `{"max_sessions":"x"}`).fails(422, "invalid_field", "/max_sessions")
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"a"}`).ok(200, nil)
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"b"}`).ok(200, nil)
	s.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"b"}`).ok(200, nil) // comes to nothing
	s.do("DELETE", adasRule, "").ok(204, nil)
	var list entries
	s.get("/v1/audit").ok(200, &list)
	var got []string
	for _, e := range list.Items {
		got = append(got, fmt.Sprintf("%s %s %s", e.Action, e.Old, e.New))
	}
	want := []string{
		`rule.delete {"max_sessions":3} null`,
		`group.members "a" "b"`,
		`group.members null "a"`,
		`rule.put {"text":{"kick":{"en":"Bye."}},"max_sessions":2} {"max_sessions":3}`,
		`rule.put null {"text":{"kick":{"en":"Bye."}},"max_sessions":2}`,
	}
	for i := range got {
		got[i] = compact(got[i])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// compact drops the spaces that PostgreSQL puts into JSON.
func compact(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == ' ' && i > 0 && (s[i-1] == ':' || s[i-1] == ',') {
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func TestAuditIsFilteredAndReadPageByPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	other := mint(t, api.Claims{Subject: "other", Scopes: []string{api.ScopeAdmin}})
	limited := mint(t, api.Claims{Subject: "limited", Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.com"}})
	for i := range 5 {
		s.do("PUT", fmt.Sprintf("/v1/accounts/u%d@example.org/rule", i), `{}`).ok(201, nil)
		s.do("PUT", fmt.Sprintf("/v1/accounts/u%d@example.com/rule", i), `{}`, as(other)).ok(201, nil)
	}
	s.do("PUT", "/v1/domains/example.com/rule", `{}`, as(limited)).ok(201, nil)
	s.do("PUT", "/v1/rules/default", `{}`).ok(200, nil)
	for query, want := range map[string]int{
		"":                                  12,
		"actor=other":                       5,
		"actor=nobody":                      0,
		"action=rule.put":                   12,
		"action=rule.delete":                0,
		"account=U0@example.org":            1,
		"account=u9@example.org":            0,
		"domain=example.com":                6,
		"domain=EXAMPLE.com":                6,
		"since=2099-01-01T00:00:00Z":        0,
		"until=2099-01-01T00:00:00Z":        12,
		"until=2020-01-01T00:00:00%2B09:00": 0,
		"actor=other&domain=example.org":    0,
	} {
		seen, cursor := map[string]bool{}, ""
		var last time.Time
		for {
			var list entries
			s.get("/v1/audit?limit=5&cursor="+url.QueryEscape(cursor)+"&"+query).ok(200, &list)
			for _, e := range list.Items {
				if seen[e.ID] || !last.IsZero() && e.At.After(last) {
					t.Errorf("%s: %s is there again, or too late", query, e.ID)
				}
				seen[e.ID], last = true, e.At
			}
			if list.Next == nil {
				break
			}
			cursor = *list.Next
			s.get("/v1/audit?actor=x&cursor="+url.QueryEscape(cursor)).fails(422, "invalid_field", "cursor")
		}
		if len(seen) != want {
			t.Errorf("%s: %d entries, want %d", query, len(seen), want)
		}
	}
	var list entries
	s.get("/v1/audit", as(limited)).ok(200, &list)
	for _, e := range list.Items {
		if text(e.Domain) != "example.com" {
			t.Errorf("a token of another domain sees %+v", e)
		}
	}
	if len(list.Items) != 6 {
		t.Errorf("%d entries, want 6", len(list.Items))
	}
	s.get("/v1/audit?domain=example.org", as(limited)).ok(200, &list)
	if len(list.Items) != 0 {
		t.Errorf("%+v", list.Items)
	}
	for query, field := range map[string]string{
		"action=rule": "action", "since=yesterday": "since", "until=2030-01-31": "until", "since=0000-13-01T00:00:00Z": "since", "domain=%00": "domain",
		"limit=0": "limit", "cursor=x": "cursor",
	} {
		s.get("/v1/audit?"+query).fails(422, "invalid_field", field)
	}
	s.get("/v1/audit?domain=a@b").fails(422, "invalid_jid", "domain")
	for _, at := range []string{"0000-01-01T00:00:00%2B23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"} {
		s.get("/v1/audit?since="+at).ok(200, nil)
		s.get("/v1/audit?until="+at).ok(200, nil)
	}
	s.get("/v1/audit?account=%2F").fails(422, "invalid_jid", "account")
}
