package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/api"
)

const adasRule = "/v1/accounts/ada@example.org/rule"

func TestDefaultRule(t *testing.T) {
	t.Parallel()
	s := newService(t)
	first := s.get("/v1/rules/default").ok(200, nil)
	if got := strings.TrimSpace(string(first.body)); got != "{}" {
		t.Errorf("at first: %s", got)
	}
	rule := `{"max_sessions":1,"max_per_platform":{"web":2},"on_excess":"deny","same_resource":"deny","ghost_after_seconds":3,"text":{"takeover":{"ja":"{device}で"}},"deny_condition":"conflict","enforce":false}`
	put := s.do("PUT", "/v1/rules/default", rule, header("If-Match", first.header.Get("ETag"))).ok(200, nil)
	var want, got any
	_ = json.Unmarshal([]byte(rule), &want)
	read := s.get("/v1/rules/default").ok(200, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("read back: %s", d)
	}
	if etag := read.header.Get("ETag"); etag != put.header.Get("ETag") || etag == first.header.Get("ETag") {
		t.Errorf("ETags: %s, %s, %s", first.header.Get("ETag"), put.header.Get("ETag"), etag)
	}
	// A PUT replaces it whole; null is a limit that is lifted, not one that is left out.
	s.do("PUT", "/v1/rules/default?apply=next_login", `{"max_sessions":null}`).ok(200, nil)
	if got := strings.TrimSpace(string(s.get("/v1/rules/default").ok(200, nil).body)); got != `{"max_sessions":null}` {
		t.Errorf("replaced: %s", got)
	}
	s.do("DELETE", "/v1/rules/default", "").ok(204, nil)
	if got := strings.TrimSpace(string(s.get("/v1/rules/default").ok(200, nil).body)); got != "{}" {
		t.Errorf("unset: %s", got)
	}
	if s.revision("ada@example.org") != -1 {
		t.Error("the default made an account")
	}
	if got := s.events("rule.changed"); len(got) != 3 || got[0].Account != "" || got[0].Data["by"] != "tester" || got[0].Data["level"] != "default" {
		t.Errorf("events: %+v", got)
	}
}

type event struct {
	Type, Account string
	At            time.Time
	Data          map[string]any
}

// events returns what was told, in its order, once the sequencer has had all of it.
func (s *service) events(kind string) []event { //nolint:unparam // says which at the call
	s.t.Helper()
	eventually(s.t, "the event queue is empty", func() bool {
		var left int
		if err := s.pool.QueryRow(s.t.Context(), `select count(*) from event_queue`).Scan(&left); err != nil {
			s.t.Fatal(err)
		}
		return left == 0
	})
	rows, err := s.pool.Query(s.t.Context(), `select type, account, at, data from events where type = $1 order by position`, kind)
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// revision of an account; -1 if it is not on record.
func (s *service) revision(account string) int64 { //nolint:unparam // a test says whose
	s.t.Helper()
	var n int64
	if err := s.pool.QueryRow(s.t.Context(), `select coalesce((select revision from accounts where jid = $1), -1)`, account).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestAccountRule(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("PUT", "/v1/rules/default", `{"max_sessions":2,"on_excess":"deny"}`).ok(200, nil)
	s.get(adasRule).fails(404, "not_found", "-")
	s.do("DELETE", adasRule, "").fails(404, "not_found", "-")
	if s.revision("ada@example.org") != -1 {
		t.Error("a DELETE that found nothing made an account")
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	made := s.do("PUT", adasRule, `{"max_sessions":5,"expires_at":"`+until+`"}`).ok(201, nil)
	var got map[string]any
	read := s.get("/v1/accounts/ADA%40example.org/rule").ok(200, &got)
	if d := cmp.Diff(map[string]any{"max_sessions": 5.0, "expires_at": until}, got); d != "" {
		t.Error(d)
	}
	if read.header.Get("ETag") != made.header.Get("ETag") {
		t.Error("ETags differ")
	}
	// What was read can be sent back as it is.
	s.do("PUT", adasRule, string(read.body)).ok(200, nil)
	if got := s.revision("ada@example.org"); got != 2 {
		t.Errorf("revision %d after two changes", got)
	}
	var e struct {
		Rule   map[string]any
		Origin map[string]string
	}
	s.get(adasRule+"/effective").ok(200, &e)
	if e.Rule["max_sessions"] != 5.0 || e.Rule["on_excess"] != "deny" || e.Origin["max_sessions"] != "account" || e.Origin["on_excess"] != "default" || e.Origin["text"] != "default" {
		t.Errorf("effective: %+v", e)
	}
	var acc struct {
		Revision int64
		Group    *string
		Rule     struct {
			Own         bool
			MaxSessions int    `json:"max_sessions"`
			OnExcess    string `json:"on_excess"`
			ExpiresAt   string `json:"expires_at"`
		}
	}
	if s.get("/v1/accounts/ada@example.org").ok(200, &acc); !acc.Rule.Own || acc.Rule.MaxSessions != 5 || acc.Rule.OnExcess != "deny" || acc.Rule.ExpiresAt != until || acc.Revision != 2 {
		t.Errorf("account: %+v", acc)
	}
	// Once it has expired it is as if it were not there.
	s.exec(`update rules set expires_at = now() - interval '1 second' where scope = 'account'`)
	s.get(adasRule).fails(404, "not_found", "-")
	s.do("DELETE", adasRule, "").fails(404, "not_found", "-")
	if s.get(adasRule+"/effective").ok(200, &e); e.Rule["max_sessions"] != 2.0 || e.Origin["max_sessions"] != "default" {
		t.Errorf("effective after the end: %+v", e)
	}
	s.do("PUT", adasRule, `{"max_sessions":7}`).ok(201, nil)
	s.do("DELETE", adasRule, "").ok(204, nil)
	s.get(adasRule).fails(404, "not_found", "-")
	changes := slices.DeleteFunc(s.events("rule.changed"), func(e event) bool { return e.Data["by"] == "expiry" }) // it may have come in between
	if got := changes; len(got) != 5 || got[4].Account != "ada@example.org" || got[4].Data["rule"] != nil {
		t.Errorf("events: %+v", got)
	}
	s.get("/v1/accounts/nobody@example.org/rule/effective").ok(200, nil)
}

func TestRulePreconditions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("PUT", adasRule, `{}`, header("If-Match", `"1"`)).fails(412, "precondition_failed", "If-Match")
	s.do("PUT", adasRule, `{}`, header("If-Match", `*`)).fails(412, "precondition_failed", "If-Match")
	if s.revision("ada@example.org") != -1 {
		t.Error("a refused PUT made an account")
	}
	etag := s.do("PUT", adasRule, `{}`, header("If-None-Match", `*`)).ok(201, nil).header.Get("ETag")
	s.do("PUT", adasRule, `{}`, header("If-None-Match", `*`)).fails(412, "precondition_failed", "If-None-Match")
	for _, bad := range []string{`"0"`, strings.Trim(etag, `"`), "W/" + etag, `"x", "y"`, ``, `"`} {
		p := s.do("PUT", adasRule, `{"max_sessions":9}`, header("If-Match", bad)).fails(412, "precondition_failed", "If-Match")
		if !strings.Contains(p.Detail, etag) {
			t.Errorf("does not name the ETag: %s", p.Detail)
		}
		s.do("PUT", "/v1/platforms", `{"matchers":[]}`, header("If-Match", bad)).fails(412, "precondition_failed", "If-Match")
		s.do("DELETE", adasRule, "", header("If-Match", bad)).fails(412, "precondition_failed", "If-Match")
		s.do("PUT", "/v1/rules/default", `{"max_sessions":9}`, header("If-Match", bad)).fails(412, "precondition_failed", "If-Match")
	}
	for _, bad := range []string{"W/" + etag, `"x" , , ` + etag, etag + `,`, strings.Trim(etag, `"`), etag + ` "x"`} {
		s.do("PUT", adasRule, `{}`, header("If-None-Match", bad)).fails(412, "precondition_failed", "If-None-Match")
	}
	s.do("PUT", adasRule, `{}`, header("If-Match", `*, `+etag)).fails(412, "precondition_failed", "If-Match")
	if now := s.get(adasRule).ok(200, nil).header.Get("ETag"); now != etag || s.revision("ada@example.org") != 1 {
		t.Errorf("something was written: %s", now)
	}
	for _, good := range []string{`*`, `"0", ` + etag} {
		etag = s.do("PUT", adasRule, `{}`, header("If-Match", good)).ok(200, nil).header.Get("ETag")
		if good == `*` {
			break
		}
	}
	etag = s.do("PUT", adasRule, `{}`, header("If-Match", `W/"x", "a,b"`), header("If-Match", etag)).ok(200, nil).header.Get("ETag") // two lines, and a comma within a tag
	s.do("PUT", adasRule, `{}`, header("If-None-Match", `"x"`)).ok(200, nil)
	etag = s.get(adasRule).ok(200, nil).header.Get("ETag")
	s.do("DELETE", adasRule, "", header("If-Match", etag)).ok(204, nil)
	s.do("DELETE", adasRule, "", header("If-Match", etag)).fails(404, "not_found", "-")
}

// Of writers that saw the same version one wins.
func TestRulePreconditionsHoldAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	etag := s.do("PUT", adasRule, `{}`).ok(201, nil).header.Get("ETag")
	statuses := make(chan int, 8)
	for i := range cap(statuses) {
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", s.url+adasRule, strings.NewReader(fmt.Sprintf(`{"max_sessions":%d}`, i+1)))
			req.Header.Set("Authorization", "Bearer "+s.token)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("If-Match", etag)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[200] != 1 || count[412] != 7 {
		t.Errorf("statuses: %v", count)
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	s := newService(t)
	past := time.Now().Add(-time.Minute).Format(time.RFC3339)
	for _, c := range []struct{ body, code, field string }{
		{`{"max_sesions":1}`, "unknown_field", "/max_sesions"},
		{`{"Max_Sessions":1}`, "unknown_field", "/Max_Sessions"},
		{`{"exclusive":[[]]}`, "invalid_field", "/exclusive/0"},
		{`{"exclusive":[["ios",""]]}`, "invalid_field", "/exclusive/0/1"},
		{`{"hibernating_counts":null}`, "invalid_field", "/hibernating_counts"},
		{`{"condition":"session.secured"}`, "invalid_field", "/condition"},
		{`{"condition":"1"}`, "invalid_field", "/condition"},
		{`{"condition":"session.resource.contains(account.jid)"}`, "invalid_field", "/condition"},
		{`{"condition":""}`, "invalid_field", "/condition"},
		{`{"exempt":[{"resource":"bot"}]}`, "invalid_field", "/exempt/0/resource"},
		{`{"exempt":[{"cidr":"home"}]}`, "invalid_field", "/exempt/0/cidr"},
		{`{"exempt":[{"acount":"bot"}]}`, "unknown_field", "/exempt/0/acount"},
		{`{"max_sessions":0}`, "invalid_field", "/max_sessions"},
		{`{"max_sessions":-1}`, "invalid_field", "/max_sessions"},
		{`{"max_sessions":"1"}`, "invalid_field", "/max_sessions"},
		{`{"max_sessions":1.5}`, "invalid_field", "/max_sessions"},
		{`{"max_sessions":1e99}`, "invalid_field", "/max_sessions"},
		{`{"max_sessions":{}}`, "invalid_field", "/max_sessions"},
		{`{"max_per_platform":{"web":0}}`, "invalid_field", "/max_per_platform/web"},
		{`{"max_per_platform":{"a/b":"x"}}`, "invalid_field", "/max_per_platform/a~1b"},
		{`{"on_excess":"chose"}`, "invalid_field", "/on_excess"},
		{`{"on_excess":null}`, "invalid_field", "/on_excess"},
		{`{"ghost_after_seconds":5}`, "invalid_field", "/ghost_after_seconds"},
		{`{"text":{"takeover":{"xx-nonsense-zz-q":"x"}}}`, "invalid_field", "/text/takeover/xx-nonsense-zz-q"},
		{`{"text":{"nope":{"en":"x"}}}`, "invalid_field", "/text/nope"},
		{`{"text":{"takeover":{"en":"\u0000"}}}`, "invalid_field", "/text/takeover/en"},
		{`{"text":{"takeover":{"en":"\u0007"}}}`, "invalid_field", "/text/takeover/en"},
		{`{"enforce":"yes"}`, "invalid_field", "/enforce"},
		{`[]`, "invalid_field", ""},
		{`null`, "invalid_field", ""},
		{`"x"`, "invalid_field", ""},
	} {
		s.do("PUT", "/v1/rules/default", c.body).fails(422, c.code, c.field)
		s.do("PUT", adasRule, c.body).fails(422, c.code, c.field)
	}
	for _, c := range []struct{ value, code string }{
		{`"` + past + `"`, "invalid_field"},
		{`"tomorrow"`, "invalid_field"},
		{`1`, "invalid_field"},
		{`""`, "invalid_field"},
		{`"2031-02-30T00:00:00Z"`, "invalid_field"},
		{`"9999-12-31T23:59:59Z"`, "invalid_field"},
		{`"2031-01-01"`, "invalid_field"},
	} {
		s.do("PUT", adasRule, `{"max_sessions":1,"expires_at":`+c.value+`}`).fails(422, c.code, "/expires_at")
	}
	s.do("PUT", "/v1/rules/default", `{"expires_at":null}`).fails(422, "unknown_field", "/expires_at")
	for _, apply := range []string{"later", ""} {
		s.do("PUT", "/v1/rules/default?apply="+apply, `{}`).fails(422, "invalid_field", "apply")
		s.do("PUT", adasRule+"?apply="+apply, `{}`).fails(422, "invalid_field", "apply")
		s.do("DELETE", adasRule+"?apply="+apply, "").fails(422, "invalid_field", "apply")
	}
	if got := strings.TrimSpace(string(s.get("/v1/rules/default").ok(200, nil).body)); got != "{}" || s.revision("ada@example.org") != -1 || len(s.events("rule.changed")) != 0 {
		t.Errorf("something was written: %s", got)
	}
}

func TestRulesNeedTheirScope(t *testing.T) {
	t.Parallel()
	s := newService(t)
	reader := as(mint(t, api.Claims{Scopes: []string{api.ScopeRulesRead}}))
	s.get("/v1/rules/default", reader).ok(200, nil)
	s.do("PUT", "/v1/rules/default", `{}`, reader).fails(403, "insufficient_scope", "-")
}

// Who looks for the name of the field that ends a rule finds it.
func TestUnknownFieldsNameExpiry(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.meet("ada@example.org", "phone")
	if p := s.do("PUT", "/v1/accounts/ada@example.org/rule", `{"expires_in":60}`).fails(422, "unknown_field", "/expires_in"); !strings.Contains(p.Detail, "expires_at") {
		t.Error(p.Detail)
	}
	if p := s.do("PUT", "/v1/rules/default", `{"expires_at":"2030-01-31T12:00:00Z"}`).fails(422, "unknown_field", "/expires_at"); !strings.Contains(p.Detail, "account's own rule") {
		t.Error(p.Detail)
	}
	s.do("PUT", "/v1/domains/example..org/rule", `{}`).fails(422, "invalid_jid", "domain")
}

// A condition is shown as it was written, also where JSON that is put into HTML would have it escaped.
func TestConditionsAreShownAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1})
	const condition = `session.secure && account.domain != '<a>' && device.platform > 'a'`
	s.do("PUT", "/v1/domains/example.org/rule", `{"condition":"`+condition+`","text":{"kick":{"en":"<b> & more"}}}`).ok(201, nil)
	for _, path := range []string{"/v1/domains/example.org/rule", "/v1/rules", "/v1/accounts/ada@example.org/rule/effective", "/v1/audit"} {
		body := string(s.get(path).ok(200, nil).body)
		if !strings.Contains(body, condition) || !strings.Contains(body, "<b> & more") || strings.Contains(body, `\u00`) {
			t.Errorf("%s: %s", path, body)
		}
	}
}
