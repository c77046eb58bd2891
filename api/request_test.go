package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const path = "/v1/rules/default"
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
		field  string
	}{
		"two values":            {`{} {}`, 400, "malformed_request", "-"},
		"trailing text":         {`{}x`, 400, "malformed_request", "-"},
		"trailing comma":        {`{"max_sessions":1,}`, 400, "malformed_request", "-"},
		"cut off":               {`{"max_sessions":`, 400, "malformed_request", "-"},
		"comment":               {`{/**/}`, 400, "malformed_request", "-"},
		"byte order mark":       {"\ufeff{}", 400, "malformed_request", "-"},
		"only space":            {"  \n", 400, "malformed_request", "-"},
		"not UTF-8":             {"{\"on_excess\":\"\xff\"}", 400, "malformed_request", "-"},
		"NaN":                   {`{"max_sessions":NaN}`, 400, "malformed_request", "-"},
		"twice":                 {`{"max_sessions":1,"max_sessions":2}`, 400, "malformed_request", "/max_sessions"},
		"twice, escaped":        {`{"max_sessions":1,"max\u005fsessions":2}`, 400, "malformed_request", "/max_sessions"},
		"twice, deep":           {`{"text":{"takeover":{"en":"a","en":"b"}}}`, 400, "malformed_request", "/text/takeover/en"},
		"twice, in an array":    {`{"a":[0,{"b/c":1,"b/c":1}]}`, 400, "malformed_request", "/a/1/b~1c"},
		"half a surrogate pair": {`{"text":{"takeover":{"en":"\ud800"}}}`, 400, "malformed_request", "/text/takeover/en"},
		"the other half":        {`{"text":{"takeover":{"en":"x\udc00"}}}`, 400, "malformed_request", "/text/takeover/en"},
		"halves in wrong order": {`{"text":{"takeover":{"en":"\udc00\ud800"}}}`, 400, "malformed_request", "/text/takeover/en"},
		"a half and a letter":   {`{"text":{"takeover":{"en":"\ud800\u0041"}}}`, 400, "malformed_request", "/text/takeover/en"},
		"half in a key":         {`{"\ud800":1}`, 400, "malformed_request", "/\ufffd"},
		"NUL":                   {`{"text":{"takeover":{"en":"a\u0000"}}}`, 422, "invalid_field", "/text/takeover/en"},
		"NUL in a key":          {`{"a\u0000":1}`, 422, "invalid_field", "/a\x00"},
		"deep":                  {strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17), 400, "malformed_request", strings.Repeat("/a", 16)},
		"very deep":             {strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000), 400, "malformed_request", "-"},
		"a whole pair":          {`{"text":{"takeover":{"en":"\ud83d\ude00 \\ud800"}}}`, 200, "", ""},
		"just within the limit": {`{}` + strings.Repeat(" ", 65536-2), 200, "", ""},
		"one byte over":         {`{}` + strings.Repeat(" ", 65536-1), 413, "body_too_large", "-"},
		"far over the limit":    {strings.Repeat(" ", 5<<20), 413, "body_too_large", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.do("PUT", path, c.body)
			r.t = t
			if c.status == 200 {
				r.ok(200, nil)
				return
			}
			r.fails(c.status, c.code, c.field)
		})
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonx", "garbage;;", ""} {
		s.do("PUT", path, `{}`, func(r *http.Request) { r.Header.Set("Content-Type", kind) }).fails(415, "unsupported_media_type", "Content-Type")
	}
	s.do("PUT", path, `{}`, header("Content-Encoding", "gzip")).fails(415, "unsupported_media_type", "Content-Encoding")
	s.do("PUT", path, `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "Application/JSON; charset=UTF-8") }).ok(200, nil)
	s.do("PUT", path, "", header("Content-Type", "application/json")).fails(400, "malformed_request", "-")
	s.do("PUT", path, "").fails(415, "unsupported_media_type", "Content-Type")
}

func TestPaths(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "strasse@example.org", resource: "r", generation: 1},
		seeded{account: "a♥b@example.org", resource: "r", generation: 1}, seeded{account: "a%2fb@example.org", resource: "r", generation: 1}, seeded{account: "a+b@example.org", resource: "r", generation: 1})
	for path, want := range map[string]string{
		"ada@example.org":           "ada@example.org",
		"ada%40example.org":         "ada@example.org",
		"%61da%40EXAMPLE.org":       "ada@example.org",
		"stra%C3%9Fe%40example.org": "strasse@example.org",
		"straße@example.org":        "strasse@example.org",
		"STRASSE@example.org":       "strasse@example.org",
		"a%E2%99%A5b@example.org":   "a♥b@example.org",
		"a♥b@example.org":           "a♥b@example.org",
		"a%252fb@example.org":       "a%2fb@example.org",
		"a%252Fb@example.org":       "a%2fb@example.org", // F folds to f, once unescaped
		"a+b@example.org":           "a+b@example.org",
	} {
		var got struct{ JID string }
		if s.get("/v1/accounts/"+path).ok(200, &got); got.JID != want {
			t.Errorf("%s: %s, want %s", path, got.JID, want)
		}
	}
	for _, path := range []string{
		"ada@example.org%2Fphone", "ada%40example.org%2F", "a%2Fb@example.org", "example.org", "@example.org", "ada@", "a%20b@example.org", "a%00@example.org", "%FF@example.org",
		"ada@exa%0Ample.org", strings.Repeat("a", 1024) + "@example.org", "a%22b@example.org", "ada%40example.org%40x",
	} {
		p := s.get("/v1/accounts/"+path).fails(422, "invalid_jid", "jid")
		if !strings.HasSuffix(p.Detail, ".") {
			t.Errorf("%s: no sentence: %q", path, p.Detail)
		}
	}
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/sessions", "/v1/sessions/", "/v1/accounts", "/v1/accounts/ada@example.org/", "/v1/accounts/ada@example.org/phone", "/v1/accounts/ada@example.org/devices/",
		"/v1//sessions", "/v1/Sessions", "/docs/", "/docs/x", "/dashboard", "/v1/sessions/../links", "/v1/accounts/a/b/c/d", "/healthz/x",
	} {
		s.get(path).fails(404, "not_found", "-")
	}
	for _, c := range [][2]string{{"POST", "/v1/sessions"}, {"PATCH", "/v1/rules/default"}, {"GET", adasKick}, {"PUT", "/v1/links"}, {"TRACE", "/v1/sessions"}, {"FOO", "/healthz"}} {
		r := s.do(c[0], c[1], "")
		r.fails(405, "method_not_allowed", "-")
		if r.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", r.what)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if r := s.do("OPTIONS", "/v1/rules/default", ""); r.status != 204 || r.header.Get("Allow") != "OPTIONS, DELETE, GET, PUT, HEAD" {
		t.Errorf("%d, Allow: %s", r.status, r.header.Get("Allow"))
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	s := newService(t)
	req, _ := http.NewRequestWithContext(t.Context(), "HEAD", s.url+"/healthz", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength <= 0 {
		t.Errorf("%d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if got := s.get("/healthz", header("X-Request-Id", "abc-1.2_3")).header.Get("X-Request-Id"); got != "abc-1.2_3" {
		t.Errorf("mine is lost: %s", got)
	}
	for _, bad := range []string{"a b", "x;y", strings.Repeat("a", 65), "ü"} {
		if got := s.get("/healthz", header("X-Request-Id", bad)).header.Get("X-Request-Id"); got == bad || len(got) < 20 {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// broken is a gate that panics or fails.
type broken struct {
	api.Gate // none: what is not asked of it is not there
	err      error
}

func (b broken) Kick(context.Context, gate.KickRequest, time.Duration) (gate.KickReport, error) {
	if b.err == nil {
		panic("secret words")
	}
	return gate.KickReport{}, b.err
}

func TestWhatGoesWrongHereIsLoggedOnceAndNotTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"panic":    {nil, 500, "internal"},
		"unknown":  {fmt.Errorf("outer: %w", fmt.Errorf("secret words")), 500, "internal"},
		"overload": {fmt.Errorf("secret words: %w", gate.ErrOverloaded), 503, "unavailable"},
		"stopping": {fmt.Errorf("secret words: %w", gate.ErrStopped), 503, "unavailable"},
		"timeout":  {fmt.Errorf("secret words: %w", context.DeadlineExceeded), 503, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, func(cfg *api.Config) { cfg.Gate = broken{err: c.err} })
			r := s.do("POST", adasKick, `{"all":true}`)
			p := r.fails(c.status, c.code, "-")
			if strings.Contains(string(r.body), "secret words") {
				t.Errorf("told: %s", r.body)
			}
			if log := s.logs.String(); strings.Count(log, "request_id="+p.RequestID) != 1 || !strings.Contains(log, "secret words") {
				t.Errorf("log: %s", log)
			}
			if c.status == 503 && r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			s.get("/healthz").ok(200, nil)
		})
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	s := newService(t)
	open := func(r *http.Request) { r.Header.Del("Authorization") }
	s.get("/healthz", open).ok(200, nil)
	s.exec(`insert into links (name, expires_at, state) values ('main', '-infinity', '{}')`) // a link that is down keeps nobody from asking
	s.get("/readyz", open).ok(200, nil)
	s.exec(`update goose_db_version set is_applied = false`)
	s.get("/readyz", open).fails(503, "unavailable", "-")
	s.exec(`update goose_db_version set is_applied = true`)
	s.get("/readyz", open).ok(200, nil)
	s.get("/healthz?x=1", open).fails(422, "unknown_field", "x")
}

func TestWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Cluster(t)
	st, err := store.Open(t.Context(), store.Config{URL: cluster.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	s := newService(t, func(c *api.Config) { c.Store, c.Gate = st, gate.New(st, gate.Config{}) })
	s.get("/readyz").ok(200, nil)
	s.get("/v1/sessions").ok(200, nil)
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	s.get("/healthz").ok(200, nil)
	for _, path := range []string{"/readyz", "/v1/sessions", "/v1/links", "/v1/rules/default", "/v1/accounts/ada@example.org"} {
		s.get(path).fails(503, "unavailable", "-")
	}
	s.do("PUT", "/v1/rules/default", `{}`).fails(503, "unavailable", "-")
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the database is used again", func() bool { return s.get("/v1/sessions").status == 200 })
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.get("/v1/accounts/nobody@example.org")
	s.get("/v1/secret-path-nobody")
	s.do("FOO", "/healthz", "")
	s.get("/healthz")
	var text string
	eventually(t, "all requests are counted", func() bool { // after their responses
		text = string(s.get("/metrics", func(r *http.Request) { r.Header.Del("Authorization") }).ok(200, nil).body)
		return strings.Contains(text, `bindgate_http_requests_total{method="GET",route="/healthz",status="200"} 1`)
	})
	for _, want := range []string{
		`bindgate_http_requests_total{method="GET",route="/v1/accounts/:jid",status="404"} 1`, `bindgate_http_requests_total{method="GET",route="none",status="404"} 1`,
		`bindgate_http_requests_total{method="other",route=`, `bindgate_http_request_seconds_bucket{route="/healthz",`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "nobody") {
		t.Error("metrics hold what a caller sent")
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, device: 7})
	type decision struct {
		ID, At, Account, Resource, Platform, Outcome, Code string
		SessionID                                          *string `json:"session_id"`
		DeviceID                                           *string `json:"device_id"`
		Evicted, Explanation                               []string
		RuleLevel                                          string `json:"rule_level"`
		Shadow                                             bool
	}
	var page struct {
		Items []decision
		Next  *string `json:"next_cursor"`
	}
	const path = "/v1/accounts/ada@example.org/decisions"
	if s.get(path).ok(200, &page); len(page.Items) != 0 || page.Next != nil {
		t.Errorf("at first: %+v", page)
	}
	add := func(second int) {
		s.exec(`insert into decisions (account, at, ask_id, resource, device, platform, generation, outcome, code, evicted, rule_level, explanation, condition, shadow)
			select key, timestamptz '2100-01-01 00:00:00Z' + n * interval '1 second', n::text, 'phone', case when n % 2 = 0 then 7 end, 'android', case when n % 2 = 0 then n + 10 end,
				case when n % 2 = 0 then 'allow' else 'deny' end, case when n % 2 = 0 then 'takeover' else 'limit' end, case when n % 2 = 0 then array[1::bigint, 2] else '{}' end,
				'default', array['a', 'b'], '', false from accounts, (select $1::int n) x`, second)
	}
	for i := range 7 {
		add(i)
	}
	var seen []string
	cursor := ""
	for i := 0; ; i++ {
		s.get(path+"?limit=3&cursor="+cursor).ok(200, &page)
		for _, d := range page.Items {
			seen = append(seen, d.At)
			if allow := d.Outcome == "allow"; (d.SessionID != nil) != allow || (d.DeviceID != nil) != allow || (len(d.Evicted) == 2) != allow || d.Account != "ada@example.org" ||
				len(d.Explanation) != 2 || !strings.HasPrefix(d.ID, "dec_") || allow && !strings.HasPrefix(d.Evicted[0], "ses_") {
				t.Errorf("%+v", d)
			}
		}
		add(100 + i) // newer ones come meanwhile
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if len(seen) != 7 || !slices.IsSortedFunc(seen, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("seen: %q", seen)
	}
	s.get("/v1/accounts/nobody@example.org/decisions").fails(404, "not_found", "-")
	s.get(path+"?state=active").fails(422, "unknown_field", "state")
}

func TestServerHasLimits(t *testing.T) {
	t.Parallel()
	srv := api.Server(http.NotFoundHandler(), "127.0.0.1:0", nil)
	if srv.ReadHeaderTimeout <= 0 || srv.ReadTimeout <= 0 || srv.WriteTimeout <= 0 || srv.IdleTimeout <= 0 || srv.MaxHeaderBytes <= 0 || srv.ErrorLog == nil {
		t.Errorf("%+v", srv)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := api.New(t.Context(), api.Config{Keys: secret}); err == nil {
		t.Error("without a store")
	}
}
