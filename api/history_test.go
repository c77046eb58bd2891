package api_test

import (
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/api"
)

type shownHistory struct {
	Since, Until string
	Step         int `json:"step_seconds"`
	Domain       *string
	Series       []struct {
		Name   string
		Code   *string
		Unit   string
		Values []*float64
	}
}

// values are a series' values as text, "-" for none; "" if there is no such series.
func (h shownHistory) values(name, code string) (out string) {
	for _, s := range h.Series {
		if s.Name != name || code != "" && (s.Code == nil || *s.Code != code) {
			continue
		}
		for _, v := range s.Values {
			if v == nil {
				out += " -"
			} else {
				out += fmt.Sprint(" ", *v)
			}
		}
	}
	return out
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.exec(`insert into tallies (domain, seconds, at, counts, sample) values
		('', 60, '2099-01-01T10:01:00Z', '{"login/ok":5,"denial/limit":2,"took/5":7}', '{"online":3,"several":1,"states":{"active":4},"platforms":{"ios":3,"web":1}}'),
		('one.example', 60, '2099-01-01T10:01:00Z', '{"login/ok":4,"took/5":4}', '{"online":2,"several":1,"states":{"active":3},"platforms":{"ios":3}}'),
		('two.example', 60, '2099-01-01T10:01:00Z', '{"login/ok":1,"denial/limit":2,"took/5":3}', '{"online":1,"several":0,"states":{"active":1},"platforms":{"web":1}}'),
		('', 60, '2099-01-01T10:02:00Z', '{}', null),
		('', 60, '2099-01-01T10:05:00Z', '{"login/ok":6}', null), ('one.example', 60, '2099-01-01T10:05:00Z', '{"login/ok":6}', null)`)
	const minutes = "/v1/stats/history?since=2099-01-01T10:00:30Z&until=2099-01-01T10:06:00Z"
	limited := as(mint(t, api.Claims{Domains: []string{"two.example", "none.example"}, Scopes: []string{api.ScopeSessionsRead}}))
	for what, test := range map[string]struct {
		path string
		with []option
		want map[string]string // name and code → values
	}{
		"by minutes": {minutes, nil, map[string]string{
			"logins ok": " - 5 0 - - 6", "denials limit": " - 2 0 - - 0", "undecided": " - 0 0 - - 0", "sessions_by_platform ios": " - 3 - - - -", "accounts_online": " - 3 - - - -", "decision_latency p50": " - 2.414 - - - -",
		}},
		"by five":      {minutes + "&step_seconds=300", nil, map[string]string{"logins ok": " 5 6", "sessions_by_state active": " 4 -", "accounts_with_several_sessions": " 1 -"}},
		"of a domain":  {minutes + "&domain=ONE.example", nil, map[string]string{"logins ok": " - 4 0 - - 6", "denials limit": "", "sessions_by_platform ios": " - 3 - - - -"}},
		"of another's": {minutes + "&domain=one.example", []option{limited}, map[string]string{"logins ok": "", "undecided": " - 0 0 - - 0", "accounts_online": " - 0 - - - -"}},
		"limited":      {minutes, []option{limited}, map[string]string{"logins ok": " - 1 0 - - 0", "denials limit": " - 2 0 - - 0", "sessions_by_platform web": " - 1 - - - -", "sessions_by_platform ios": ""}},
	} {
		var h shownHistory
		s.get(test.path, test.with...).ok(200, &h)
		for of, want := range test.want {
			var name, code string
			_, _ = fmt.Sscan(of, &name, &code)
			if got := h.values(name, code); got != want {
				t.Errorf("%s: %s is%s, want%s", what, of, got, want)
			}
		}
	}
	var h shownHistory
	if s.get("/v1/stats/history").ok(200, &h); h.Step != 60 || len(h.Series[0].Values) < 60 {
		t.Errorf("by itself: %d steps of %d seconds", len(h.Series[0].Values), h.Step)
	}
	for span, step := range map[string]int{"2098-12-31T10:00:00Z": 300, "2098-12-25T10:00:00Z": 3600, "2098-12-01T10:00:00Z": 21600, "2098-01-01T00:00:00Z": 86400} {
		if s.get("/v1/stats/history?until=2099-01-01T10:00:00Z&since="+span).ok(200, &h); h.Step != step {
			t.Errorf("since %s: steps of %d seconds, want %d", span, h.Step, step)
		}
	}
	for query, field := range map[string]string{
		"since=yesterday": "since", "until=1": "until", "step_seconds=7": "step_seconds", "step_seconds=060": "step_seconds", "step_seconds=99999999999999999999": "step_seconds",
		"since=2099-01-02T00:00:00Z&until=2099-01-01T00:00:00Z": "until", "since=2999-01-01T00:00:00Z": "since", "since=0002-01-01T00:00:00Z": "since",
		"since=2099-01-01T00:00:00Z&until=2099-02-01T00:00:00Z&step_seconds=60": "step_seconds", "domain=a@b": "domain",
		"until=9999-12-31T23:59:59Z": "until", "until=9999-12-31T23:59:59-01:00": "until", "since=0000-01-01T00:00:00%2B01:00&until=0000-01-01T00:00:00Z": "since", "since=0001-01-01T00:00:00Z": "since",
	} {
		code := "invalid_field"
		if field == "domain" {
			code = "invalid_jid"
		}
		s.get("/v1/stats/history?"+query).fails(422, code, field)
	}
}
