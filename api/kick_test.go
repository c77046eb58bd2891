package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

const adasKick = "/v1/accounts/ada@example.org/kick"

type kickReport struct {
	Generation, Revision int64
	Results              []kickResult
}

type kickResult struct {
	SessionID string `json:"session_id"`
	Resource  string
	Outcome   string
}

// obey ends sessions of ada's that have to go, as her server would.
func (s *service) obey(generations ...int64) {
	done := make(chan struct{})
	s.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for _, g := range generations {
			eventually(s.t, fmt.Sprintf("generation %d has to go", g), func() bool {
				var n int
				err := s.pool.QueryRow(s.t.Context(), `select count(*) from sessions where evict_code is not null and account = $1 and generation = $2`, store.KeyOf("ada@example.org"), g).Scan(&n)
				return err != nil || n > 0
			})
			if s.t.Context().Err() == nil {
				s.end("ada@example.org", g)
			}
		}
	}()
}

func TestKickSelects(t *testing.T) {
	t.Parallel()
	dev := func(n int64) string { return store.DeviceID(store.KeyOf("ada@example.org"), n) }
	ses := func(n int64) string { return store.SessionID(store.KeyOf("ada@example.org"), n) }
	quoted := func(ids ...string) string { b, _ := json.Marshal(ids); return string(b) }
	for name, c := range map[string]struct {
		body string
		want []int64
	}{
		"all":               {"\t{ \"all\" :\n true , \"reason\": \"" + strings.Repeat("é", 1024) + `" , "text" : { "de" : "Tschüß" } }`, []int64{1, 2, 3}},
		"platform":          {`{"platform":"web"}`, []int64{2}},
		"session_ids":       {`{"session_ids" : ` + quoted(ses(1), ses(3)) + `}`, []int64{1, 3}},
		"device_ids":        {`{"device_ids":` + quoted(dev(7)) + `}`, []int64{1}},
		"except_session_id": {`{"except_session_id":"` + ses(2) + `"}`, []int64{1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.linked()
			s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, device: 7}, seeded{account: "ada@example.org", resource: "web", platform: "web", generation: 2},
				seeded{account: "ada@example.org", resource: "tablet", generation: 3}, seeded{account: "bob@example.org", resource: "phone", generation: 1})
			s.obey(c.want...)
			var got kickReport
			s.do("POST", adasKick, c.body).ok(200, &got)
			var ids []string
			for _, g := range c.want {
				ids = append(ids, ses(g))
			}
			var kicked []string
			for _, r := range got.Results {
				if r.Outcome != "kicked" || r.Resource == "" {
					t.Errorf("%+v", r)
				}
				kicked = append(kicked, r.SessionID)
			}
			if slices.Sort(kicked); !slices.Equal(kicked, ids) || got.Generation != 3 || got.Revision == 0 {
				t.Errorf("%+v, want %q", got, ids)
			}
		})
	}
}

func TestKickIsPendingWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "ada@example.org", resource: "old", generation: 2, ended: true})
	before := s.revision("ada@example.org")
	var got kickReport
	s.do("POST", adasKick, `{"session_ids":["`+ids[0]+`","`+ids[1]+`","`+store.SessionID(store.KeyOf("ada@example.org"), 99)+`"],"reason":"stolen","text":{"ja":"盗難","en":"Reported stolen."}}`).ok(202, &got)
	want := map[string]string{ids[0]: "pending", ids[1]: "gone", store.SessionID(store.KeyOf("ada@example.org"), 99): "gone"}
	have := map[string]string{}
	for _, r := range got.Results {
		have[r.SessionID] = r.Outcome
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
	if got.Revision <= before || got.Revision != s.revision("ada@example.org") {
		t.Errorf("revision %d, was %d", got.Revision, before)
	}
	var live session
	if s.get("/v1/sessions/"+ids[0]).ok(200, &live); live.State != "evicting" {
		t.Errorf("the session is %s", live.State)
	}
	var text map[string]string
	var by, reason string
	if err := s.pool.QueryRow(s.t.Context(), `select s.evict_text, k.requested_by, k.reason from sessions s join kicks k on k.account = s.account and k.id = s.evict_kick`).Scan(&text, &by, &reason); err != nil {
		t.Fatal(err)
	}
	if by != "tester" || reason != "stolen" || text["ja"] != "盗難" {
		t.Errorf("on record: %s %s %v", by, reason, text)
	}
}

func TestDeleteSessionKicks(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.linked()
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "ada@example.org", resource: "old", generation: 2, ended: true},
		seeded{account: "ada@example.org", resource: "stays", generation: 3})
	s.obey(1)
	var got kickReport
	s.do("DELETE", "/v1/sessions/"+ids[0], "").ok(200, &got)
	if d := cmp.Diff([]kickResult{{ids[0], "phone", "kicked"}}, got.Results); d != "" {
		t.Error(d)
	}
	s.do("DELETE", "/v1/sessions/"+ids[1], "").ok(200, &got)
	if d := cmp.Diff([]kickResult{{ids[1], "old", "gone"}}, got.Results); d != "" {
		t.Error(d)
	}
	s.do("DELETE", "/v1/sessions/"+ids[2][:10], "").fails(404, "not_found", "-")
	s.do("DELETE", "/v1/sessions/"+ids[2], `{"reason":"x"}`).fails(400, "malformed_request", "-")
	var live session
	if s.get("/v1/sessions/"+ids[2]).ok(200, &live); live.State != "active" {
		t.Errorf("the other one is %s", live.State)
	}
}

func TestKickOnlyAtARevision(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.linked()
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1})
	now := s.revision("ada@example.org")
	p := s.do("POST", adasKick, fmt.Sprintf(`{"all":true,"if_revision":%d}`, now+1)).fails(409, "revision_mismatch", "/if_revision")
	if p.Detail == "" || s.revision("ada@example.org") != now {
		t.Error("something was written")
	}
	s.obey(1)
	s.do("POST", adasKick, fmt.Sprintf(`{"all":true,"if_revision":%d}`, now)).ok(200, nil)
}

func TestKickOfNobody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("POST", adasKick, `{"all":true}`).fails(404, "not_found", "-")
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, ended: true})
	var got kickReport
	if s.do("POST", adasKick, `{"all":true}`).ok(200, &got); got.Results == nil || len(got.Results) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestBadKicks(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "bob@example.org", resource: "phone", generation: 1})
	before := s.revision("ada@example.org")
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", ""},
		{`{"reason":"x"}`, "invalid_field", ""},
		{`{"all":true,"platform":"web"}`, "invalid_field", "/all"},
		{`{"session_ids":["` + ids[0] + `"],"all":true}`, "invalid_field", "/all"},
		{`{"all":false}`, "invalid_field", "/all"},
		{`{"all":null}`, "invalid_field", "/all"},
		{`{"all":"true"}`, "invalid_field", "/all"},
		{`{"All":true}`, "unknown_field", "/All"},
		{`{"all":true,"cooldown_seconds":-1}`, "invalid_field", "/cooldown_seconds"},
		{`{"all":true,"cooldown_seconds":604801}`, "invalid_field", "/cooldown_seconds"},
		{`{"all":true,"block_devices":"yes"}`, "invalid_field", "/block_devices"},
		{`{"all":true,"block_devices":null}`, "invalid_field", "/block_devices"},
		{`{"all":true,"revoke_credentials":"yes"}`, "invalid_field", "/revoke_credentials"},
		{`{"session_ids":[]}`, "invalid_field", "/session_ids"},
		{`{"session_ids":"` + ids[0] + `"}`, "invalid_field", "/session_ids"},
		{`{"session_ids":null}`, "invalid_field", "/session_ids"},
		{`{"session_ids":["` + ids[0] + `",7]}`, "invalid_field", "/session_ids/1"},
		{`{"session_ids":["` + ids[0] + `","` + ids[0] + `"]}`, "invalid_field", "/session_ids/1"},
		{`{"session_ids":["` + ids[1] + `"]}`, "invalid_field", "/session_ids/0"}, // of another account
		{`{"session_ids":["ses_x"]}`, "invalid_field", "/session_ids/0"},
		{`{"session_ids":[` + strings.Repeat(`"ses_x",`, 500) + `"ses_x"]}`, "invalid_field", "/session_ids"},
		{`{"device_ids":["` + ids[0] + `"]}`, "invalid_field", "/device_ids/0"},
		{`{"except_session_id":"` + ids[1] + `"}`, "invalid_field", "/except_session_id"},
		{`{"except_session_id":["` + ids[0] + `"]}`, "invalid_field", "/except_session_id"},
		{`{"platform":""}`, "invalid_field", "/platform"},
		{`{"platform":7}`, "invalid_field", "/platform"},
		{`{"all":true,"reason":""}`, "invalid_field", "/reason"},
		{`{"all":true,"reason":"` + strings.Repeat("x", 1025) + `"}`, "invalid_field", "/reason"},
		{`{"all":true,"reason":"a\u0000b"}`, "invalid_field", "/reason"},
		{`{"all":true,"reason":"a\u0001b"}`, "invalid_field", "/reason"},
		{`{"all":true,"reason":"a\u000ab"}`, "invalid_field", "/reason"},
		{`{"all":true,"reason":"a\u0085b"}`, "invalid_field", "/reason"},
		{`{"all":true,"text":"bye"}`, "invalid_field", "/text"},
		{`{"all":true,"text":{}}`, "invalid_field", "/text"},
		{`{"all":true,"text":{"en":7}}`, "invalid_field", "/text/en"},
		{`{"all":true,"text":{"klingon":"nuqneH"}}`, "invalid_field", "/text/klingon"},
		{`{"all":true,"text":{"":"x"}}`, "invalid_field", "/text/"},
		{`{"all":true,"text":{"en":"{nothing}"}}`, "invalid_field", "/text/en"},
		{`{"all":true,"text":{"en":"\u001b"}}`, "invalid_field", "/text/en"},
		{`{"all":true,"if_revision":-1}`, "invalid_field", "/if_revision"},
		{`{"all":true,"if_revision":"1"}`, "invalid_field", "/if_revision"},
		{`{"all":true,"if_revision":1.5}`, "invalid_field", "/if_revision"},
		{`{"all":true,"if_revision":99999999999999999999}`, "invalid_field", "/if_revision"},
		{`[]`, "invalid_field", ""},
	} {
		s.do("POST", adasKick, c.body).fails(422, c.code, c.field)
	}
	if s.revision("ada@example.org") != before {
		t.Error("something was written")
	}
}

func TestKickNeedsItsScope(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("POST", adasKick, `{"all":true}`, as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(
		seeded{account: "ada@example.org", resource: "phone", generation: 1, ended: true, device: 7},
		seeded{account: "ada@example.org", resource: "phone", generation: 4, evicting: true, device: 7},
		seeded{account: "ada@example.org", resource: "phone", generation: 5, device: 7},
		seeded{account: "ada@example.org", resource: "web", generation: 2, evicting: true},
		seeded{account: "ada@example.org", resource: "gone", generation: 3, ended: true},
	)
	key := store.KeyOf("ada@example.org")
	for body, want := range map[string]string{
		`{"session_id":"` + ids[2] + `"}`:                               "current",
		`{"session_id":"` + ids[2] + `","generation":5}`:                "current",
		`{"session_id":"` + ids[2] + `","generation":4}`:                "superseded",
		`{"session_id":"` + ids[1] + `"}`:                               "evicting",
		`{"session_id":"` + ids[0] + `"}`:                               "ended",
		`{"session_id":"` + store.SessionID(key, 99) + `"}`:             "not_found",
		`{"resource":"phone"}`:                                          "current",
		`{"resource":"phone","generation":5}`:                           "current",
		`{"resource":"phone","generation":4}`:                           "evicting",
		`{"resource":"phone","generation":1}`:                           "superseded",
		`{"resource":"phone","generation":6}`:                           "not_found",
		`{"resource":"ｗｅｂ"}`:                                            "evicting",
		`{"resource":"gone"}`:                                           "ended",
		`{"resource":"never"}`:                                          "not_found",
		`{"device_id":"` + store.DeviceID(key, 7) + `"}`:                "current",
		`{"device_id":"` + store.DeviceID(key, 7) + `","generation":1}`: "superseded",
		`{"device_id":"` + store.DeviceID(key, 8) + `"}`:                "not_found",
	} {
		var got struct {
			Current bool
			Reason  string
		}
		s.do("POST", "/v1/accounts/ada@example.org/verify", body).ok(200, &got)
		if got.Reason != want || got.Current != (want == "current") {
			t.Errorf("%s: %+v, want %s", body, got, want)
		}
	}
	other := store.SessionID(store.KeyOf("bob@example.org"), 1)
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", ""},
		{`{"generation":1}`, "invalid_field", ""},
		{`{"resource":"phone","device_id":"x"}`, "invalid_field", "/device_id"},
		{`{"session_id":"` + other + `"}`, "invalid_field", "/session_id"},
		{`{"session_id":"x"}`, "invalid_field", "/session_id"},
		{`{"resource":""}`, "invalid_field", "/resource"},
		{`{"resource":"\u0001"}`, "invalid_field", "/resource"},
		{`{"resource":7}`, "invalid_field", "/resource"},
		{`{"resource":"phone","generation":0}`, "invalid_field", "/generation"},
		{`{"resource":"phone","generation":"5"}`, "invalid_field", "/generation"},
		{`{"resource":"phone","foo":1}`, "unknown_field", "/foo"},
	} {
		s.do("POST", "/v1/accounts/ada@example.org/verify", c.body).fails(422, c.code, c.field)
	}
	s.do("POST", "/v1/accounts/nobody@example.org/verify", `{"resource":"phone"}`).fails(404, "not_found", "-")
}
