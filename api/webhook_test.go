package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/internal/webhook"
	"github.com/bindgate/bindgate/store"
)

type hook struct {
	ID             string
	URL            string
	Types, Domains []string
	Description    *string
	Enabled        bool
	DisabledReason *string    `json:"disabled_reason"`
	OldSecretUntil *time.Time `json:"old_secret_until"`
	CreatedBy      string     `json:"created_by"`
	Secret         string
}

type hookDelivery struct {
	ID          string
	EventID     *string `json:"event_id"`
	Type        *string
	Account     *string
	State       string
	Attempts    int
	LastAttempt *struct {
		Status *int
		Error  *string
	} `json:"last_attempt"`
}

type hookDeliveries struct {
	Items      []hookDelivery
	NextCursor *string `json:"next_cursor"`
}

// deliver runs a deliverer on the service's database; targets may be private.
func (s *service) deliver() {
	s.t.Helper()
	st := store.FromPool(s.pool)
	g := gate.New(st, gate.Config{})
	d := webhook.New(webhook.Config{Store: st, Events: g.Events(), Targets: target.Policy{Private: true}})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- g.Run(ctx) }()
	go func() { done <- d.Run(ctx) }()
	s.t.Cleanup(func() { stop(); <-done; <-done })
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var made, shown hook
	r := s.do("POST", "/v1/webhooks", `{"url":"https://backend.example.org/hook?a=b","types":["takeover","takeover","session.ended"],"description":"the app"}`).ok(http.StatusCreated, &made)
	if !strings.HasPrefix(made.Secret, "whsec_") || !made.Enabled || made.CreatedBy != "tester" || r.header.Get("Location") != "/v1/webhooks/"+made.ID {
		t.Errorf("made %+v, Location %q", made, r.header.Get("Location"))
	}
	if d := cmp.Diff([]string{"takeover", "session.ended"}, made.Types); d != "" {
		t.Error(d)
	}
	at := "/v1/webhooks/" + made.ID
	if r := s.get(at).ok(http.StatusOK, &shown); strings.Contains(string(r.body), "secret\"") || strings.Contains(string(r.body), "whsec") {
		t.Errorf("a secret is shown again: %s", r.body)
	}
	var rotated hook
	s.do("POST", at+"/rotate", "").ok(http.StatusOK, &rotated)
	if rotated.Secret == made.Secret || rotated.OldSecretUntil == nil || time.Until(*rotated.OldSecretUntil) < 23*time.Hour {
		t.Errorf("rotated %+v", rotated)
	}
	var changed hook
	s.do("PATCH", at, `{"url":"https://other.example.org/","types":null,"description":null,"enabled":false}`).ok(http.StatusOK, &changed)
	if changed.URL != "https://other.example.org/" || changed.Types != nil || changed.Description != nil || changed.Enabled || changed.DisabledReason != nil {
		t.Errorf("changed %+v", changed)
	}
	var second hook
	s.do("POST", "/v1/webhooks", `{"url":"https://1.1.1.1","enabled":false,"domains":["Example.ORG"]}`).ok(http.StatusCreated, &second)
	if d := cmp.Diff([]string{"example.org"}, second.Domains); d != "" || second.Enabled {
		t.Errorf("%+v: %s", second, d)
	}
	type hooks struct {
		Items      []hook
		NextCursor *string `json:"next_cursor"`
	}
	var first, rest hooks
	s.get("/v1/webhooks?limit=1").ok(http.StatusOK, &first)
	s.get("/v1/webhooks?limit=1&cursor="+*first.NextCursor).ok(http.StatusOK, &rest)
	if first.Items[0].ID != made.ID || rest.Items[0].ID != second.ID || rest.NextCursor != nil {
		t.Errorf("pages %+v %+v", first, rest)
	}
	s.do("DELETE", at, "").ok(http.StatusNoContent, nil)
	for _, r := range []*reply{s.get(at), s.do("DELETE", at, ""), s.do("PATCH", at, `{"enabled":true}`), s.do("POST", at+"/test", ""), s.do("POST", at+"/rotate", ""), s.get(at + "/deliveries")} {
		r.fails(http.StatusNotFound, "not_found", "-")
	}
	if logs := s.logs.String(); strings.Contains(logs, "whsec") {
		t.Errorf("the log has a secret:\n%s", logs)
	}
}

func TestWebhookInput(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for body, want := range map[string]struct{ code, field string }{
		`{}`:                             {"invalid_field", "/url"},
		`{"url":null}`:                   {"invalid_field", "/url"},
		`{"url":""}`:                     {"invalid_field", "/url"},
		`{"url":7}`:                      {"invalid_field", "/url"},
		`{"url":"http://example.org"}`:   {"invalid_field", "/url"},
		`{"url":"https://127.0.0.1"}`:    {"invalid_field", "/url"},
		`{"url":"https://u:p@x.org"}`:    {"invalid_field", "/url"},
		`{"url":"https://x.org/#a"}`:     {"invalid_field", "/url"},
		`{"url":"https://x.org/\u0000"}`: {"invalid_field", "/url"},
		`{"url":"https://x.org","url":"https://y.org"}`:                   {"malformed_request", "/url"},
		`{"url":"https://x.org","secret":"x"}`:                            {"unknown_field", "/secret"},
		`{"url":"https://x.org","types":[]}`:                              {"invalid_field", "/types"},
		`{"url":"https://x.org","types":"takeover"}`:                      {"invalid_field", "/types"},
		`{"url":"https://x.org","types":["takeover","x"]}`:                {"invalid_field", "/types/1"},
		`{"url":"https://x.org","types":[null]}`:                          {"invalid_field", "/types/0"},
		`{"url":"https://x.org","domains":[]}`:                            {"invalid_field", "/domains"},
		`{"url":"https://x.org","domains":["a","@"]}`:                     {"invalid_jid", "/domains/1"},
		`{"url":"https://x.org","domains":[1]}`:                           {"invalid_field", "/domains/0"},
		`{"url":"https://x.org","description":""}`:                        {"invalid_field", "/description"},
		`{"url":"https://x.org","enabled":"yes"}`:                         {"invalid_field", "/enabled"},
		`{"url":"https://x.org/` + strings.Repeat("x", 2048) + `"}`:       {"invalid_field", "/url"},
		`{"url":"https://x.org","description":"\ud800"}`:                  {"malformed_request", "/description"},
		`{"url":"https://x.org","types":` + strings.Repeat("[", 30) + `}`: {"malformed_request", "-"},
	} {
		status := http.StatusUnprocessableEntity
		if want.code == "malformed_request" {
			status = http.StatusBadRequest
		}
		s.do("POST", "/v1/webhooks", body).fails(status, want.code, want.field)
	}
	var made hook
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org"}`).ok(http.StatusCreated, &made)
	at := "/v1/webhooks/" + made.ID
	s.do("PATCH", at, `{}`).fails(http.StatusUnprocessableEntity, "invalid_field", "")
	s.do("PATCH", at, `{"domains":["x.org"]}`).fails(http.StatusUnprocessableEntity, "unknown_field", "/domains")
	s.do("PATCH", at, `{"enabled":null}`).fails(http.StatusUnprocessableEntity, "invalid_field", "/enabled")
	s.do("PATCH", at, `{"url":"ftp://x.org"}`).fails(http.StatusUnprocessableEntity, "invalid_field", "/url")
	if p := s.do("PATCH", at, `{"types":[ ]}`).fails(http.StatusUnprocessableEntity, "invalid_field", "/types"); !strings.Contains(p.Detail, "Leave types out, or send null") {
		t.Errorf("no types: %s", p.Detail)
	}
	s.do("POST", at+"/rotate", `{}`).ok(http.StatusOK, nil)
	s.do("POST", at+"/test", ` { } `).ok(http.StatusAccepted, nil)
	for _, path := range []string{"/rotate", "/test"} {
		s.do("POST", at+path, `{"a":1}`).fails(http.StatusUnprocessableEntity, "unknown_field", "/a")
		s.do("POST", at+path, `[]`).fails(http.StatusUnprocessableEntity, "invalid_field", "")
		s.do("POST", at+path, `{`).fails(http.StatusBadRequest, "malformed_request", "-")
		s.do("POST", at+path, ` `).fails(http.StatusBadRequest, "malformed_request", "-")
	}
	s.get(at+"/deliveries?state=lost").fails(http.StatusUnprocessableEntity, "invalid_field", "state")
	s.get(at+"/deliveries?cursor=x").fails(http.StatusUnprocessableEntity, "invalid_field", "cursor")
	for _, id := range []string{"x", "whk_", "whk_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", strings.Replace(made.ID, "whk_", "kick_", 1), store.WebhookID(-1), store.WebhookID(1 << 62)} {
		s.get("/v1/webhooks/"+id).fails(http.StatusNotFound, "not_found", "-")
	}
	for _, id := range []string{"x", made.ID, store.DeliveryID(1<<40, 1), store.DeliveryID(1, 1<<62)} {
		s.do("POST", at+"/deliveries/"+id+"/redeliver", "").fails(http.StatusNotFound, "not_found", "-")
	}
	s.get("/v1/webhooks", as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))).fails(http.StatusForbidden, "insufficient_scope", "-")
}

// A token that is limited to domains neither sees nor makes webhooks beyond them.
func TestWebhooksOfDomains(t *testing.T) {
	t.Parallel()
	s := newService(t)
	token := func(domains ...string) option {
		return as(mint(t, api.Claims{Scopes: []string{api.ScopeWebhooksWrite}, Domains: domains}))
	}
	var all, both, one hook
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org/all"}`).ok(http.StatusCreated, &all)
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org/both"}`, token("a.example", "b.example")).ok(http.StatusCreated, &both)
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org/one","domains":["a.example"]}`, token("a.example", "b.example")).ok(http.StatusCreated, &one)
	if d := cmp.Diff([][]string{nil, {"a.example", "b.example"}, {"a.example"}}, [][]string{all.Domains, both.Domains, one.Domains}); d != "" {
		t.Error(d)
	}
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org","domains":["c.example"]}`, token("a.example")).fails(http.StatusUnprocessableEntity, "invalid_field", "/domains/0")
	none := as(mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, Domains: []string{}}))
	s.do("POST", "/v1/webhooks", `{"url":"https://x.org"}`, none).fails(http.StatusForbidden, "insufficient_scope", "-")
	s.do("POST", "/v1/kicks", `{"filter":{"all":true}}`, none).fails(http.StatusForbidden, "insufficient_scope", "-")
	for _, h := range []hook{all, both} {
		at := "/v1/webhooks/" + h.ID
		for _, r := range []*reply{
			s.get(at, token("a.example")), s.do("PATCH", at, `{"enabled":false}`, token("a.example")), s.do("DELETE", at, "", token("a.example")),
			s.do("POST", at+"/rotate", "", token("a.example")), s.do("POST", at+"/test", "", token("a.example")), s.get(at+"/deliveries", token("a.example")),
			s.do("POST", at+"/deliveries/"+store.DeliveryID(1, 1)+"/redeliver", "", token("a.example")),
		} {
			r.fails(http.StatusNotFound, "not_found", "-")
		}
	}
	for want, tk := range map[string]option{all.ID + both.ID + one.ID: as(s.token), both.ID + one.ID: token("a.example", "b.example"), one.ID: token("a.example"), "": token("b.example")} {
		var page struct{ Items []hook }
		s.get("/v1/webhooks", tk).ok(http.StatusOK, &page)
		got := ""
		for _, h := range page.Items {
			got += h.ID
		}
		if got != want {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *api.Config) { c.PrivateTargets = true })
	s.deliver()
	var secret atomic.Pointer[string]
	var answer atomic.Int32
	answer.Store(200)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verifier, err := standardwebhooks.NewWebhook(*secret.Load())
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil {
			t.Errorf("%v: %s", err, body)
		}
		w.WriteHeader(int(answer.Load()))
		_, _ = io.WriteString(w, "so be it")
	}))
	t.Cleanup(srv.Close)
	var made hook
	s.do("POST", "/v1/webhooks", `{"url":"`+srv.URL+`","types":["takeover"]}`).ok(http.StatusCreated, &made)
	secret.Store(&made.Secret)
	at := "/v1/webhooks/" + made.ID
	var tested hookDelivery
	s.do("POST", at+"/test", "").ok(http.StatusOK, &tested)
	if tested.State != "delivered" || tested.EventID != nil || *tested.Type != "webhook.test" || *tested.LastAttempt.Status != 200 {
		t.Errorf("test %+v", tested)
	}
	for _, n := range []string{"a", "b", "c"} {
		s.tell(store.Event{Type: "session.ended", Account: n + "@example.org"}, store.Event{Type: "takeover", Account: n + "@example.org"})
	}
	var page hookDeliveries
	s.wait("three deliveries", func() bool {
		page = hookDeliveries{}
		s.get(at+"/deliveries?state=delivered").ok(http.StatusOK, &page)
		return len(page.Items) == 4
	})
	var paged []hookDelivery
	for cursor := ""; ; {
		var p hookDeliveries
		s.get(at+"/deliveries?limit=1&state=delivered&cursor="+cursor).ok(http.StatusOK, &p)
		paged = append(paged, p.Items...)
		if p.NextCursor == nil {
			break
		}
		cursor = *p.NextCursor
		s.get(at+"/deliveries?cursor="+cursor).fails(http.StatusUnprocessableEntity, "invalid_field", "cursor") // of another filter
	}
	if d := cmp.Diff(page.Items, paged); d != "" {
		t.Errorf("page by page (-at once +):\n%s", d)
	}
	if newest := paged[0]; *newest.Account != "c@example.org" || *newest.EventID != "6" || newest.Attempts != 1 {
		t.Errorf("the newest is %+v", newest)
	}
	answer.Store(500)
	var again hookDelivery
	s.do("POST", at+"/deliveries/"+paged[0].ID+"/redeliver", "{}").ok(http.StatusAccepted, &again)
	if again.ID != paged[0].ID || again.State == "failed" && again.Attempts != 2 {
		t.Errorf("redelivery %+v", again)
	}
	s.wait("the redelivery's end", func() bool {
		page = hookDeliveries{}
		s.get(at+"/deliveries?state=failed").ok(http.StatusOK, &page)
		return len(page.Items) == 1 && page.Items[0].Attempts == 2 && *page.Items[0].LastAttempt.Status == 500 && *page.Items[0].LastAttempt.Error == "the answer is 500"
	})
}
