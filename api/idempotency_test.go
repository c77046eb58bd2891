package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bindgate/bindgate/api"
)

func withKey(k string) option { return header("Idempotency-Key", k) }

func TestIdempotencyKeyIsForOneRequest(t *testing.T) {
	t.Parallel()
	s := newService(t)
	first := s.do("POST", adasGrants, `{"ttl_seconds":60}`, withKey("k")).ok(201, nil)
	for name, again := range map[string]*reply{
		"another body":   s.do("POST", adasGrants, `{"ttl_seconds":61}`, withKey("k")),
		"other spaces":   s.do("POST", adasGrants, `{"ttl_seconds": 60}`, withKey("k")),
		"another path":   s.do("POST", "/v1/accounts/bob@example.org/grants", `{"ttl_seconds":60}`, withKey("k")),
		"another method": s.do("PUT", adasRule, `{"ttl_seconds":60}`, withKey("k")),
	} {
		p := again.fails(409, "idempotency_conflict", "Idempotency-Key")
		if !strings.Contains(p.Detail, "new key") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	again := s.do("POST", adasGrants, `{"ttl_seconds":60}`, withKey("k")).ok(201, nil)
	if string(again.body) != string(first.body) || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("X-Request-Id") == first.header.Get("X-Request-Id") {
		t.Errorf("%s %v", again.body, again.header)
	}
	// The query belongs to the request too.
	s.do("PUT", adasRule, `{}`, withKey("q")).ok(201, nil)
	s.do("PUT", adasRule+"?apply=now", `{}`, withKey("q")).fails(409, "idempotency_conflict", "Idempotency-Key")
	// So does a condition; how a path is escaped does not.
	s.do("PUT", "/v1/accounts/ad%61%40example.org/rule", `{}`, withKey("q")).ok(201, nil)
	s.do("PUT", adasRule, `{}`, withKey("q"), header("If-Match", "*")).fails(409, "idempotency_conflict", "Idempotency-Key")
	s.do("PUT", adasRule, `{}`, withKey("q"), header("If-None-Match", "*")).fails(409, "idempotency_conflict", "Idempotency-Key")
	// A day later the key is free.
	s.exec(`update idempotency_keys set created_at = now() - interval '25 hours'`)
	if s.do("POST", adasGrants, `{"ttl_seconds":61}`, withKey("k")).ok(201, nil).header.Get("Idempotency-Replayed") != "" {
		t.Error("replayed after a day")
	}
}

func TestIdempotencyKeyMustBeOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, bad := range []string{"", "ü", "a\tb", strings.Repeat("x", 256)} {
		s.do("POST", adasGrants, `{}`, withKey(bad)).fails(422, "invalid_field", "Idempotency-Key")
		s.do("POST", "/v1/accounts/ada@example.org/verify", `{}`, withKey(bad)).fails(422, "invalid_field", "Idempotency-Key")
	}
	s.do("POST", adasGrants, `{}`, withKey("a"), withKey("b")).fails(422, "invalid_field", "Idempotency-Key")
	for _, good := range []string{strings.Repeat("x", 255), `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, "a b", "~"} {
		s.do("POST", adasGrants, `{}`, withKey(good)).ok(201, nil)
	}
	s.get("/v1/sessions", withKey("")).ok(200, nil) // says nothing there
}

// What was refused has changed nothing; its key is free for what was meant.
func TestIdempotencyKeyOfARefusedRequestIsFree(t *testing.T) {
	t.Parallel()
	s := newService(t)
	k := withKey("k")
	s.do("POST", adasGrants, `{"ttl_seconds":0}`, k).fails(422, "invalid_field", "/ttl_seconds")
	s.do("POST", adasGrants, `{`, k).fails(400, "malformed_request", "-")
	s.do("POST", adasGrants, `{"x":"`+strings.Repeat("x", 70_000)+`"}`, k).fails(413, "body_too_large", "-")
	s.do("POST", adasGrants, `{}`, k, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }).fails(415, "unsupported_media_type", "Content-Type")
	s.do("POST", adasGrants, `{}`, k, as("x")).fails(401, "unauthorized", "-")
	s.do("DELETE", adasRule, "", k).fails(404, "not_found", "-")
	s.do("PUT", adasRule, `{}`, k, header("If-Match", `"1"`)).fails(412, "precondition_failed", "If-Match")
	if s.do("POST", adasGrants, `{}`, k).ok(201, nil).header.Get("Idempotency-Replayed") != "" {
		t.Error("replayed")
	}
}

// A key is its token's own: nobody else gets what was answered to it.
func TestIdempotencyKeysAreApart(t *testing.T) {
	t.Parallel()
	s := newService(t)
	admin := []string{api.ScopeAdmin}
	seen := map[string]string{}
	for name, c := range map[string]api.Claims{
		"all":            {Subject: "a", Scopes: admin},
		"another":        {Subject: "b", Scopes: admin},
		"nobody":         {Scopes: admin},
		"another issuer": {Subject: "a", Scopes: admin, Issuer: "i"},
		"one domain":     {Subject: "a", Scopes: admin, Domains: []string{"example.org"}},
		"two domains":    {Subject: "a", Scopes: admin, Domains: []string{"example.org", "example.com"}},
	} {
		for range 2 {
			body := string(s.do("POST", adasGrants, `{}`, withKey("k"), as(mint(t, c))).ok(201, nil).body)
			if other, ok := seen[body]; ok && other != name {
				t.Errorf("%s got the answer of %s", name, other)
			}
			seen[body] = name
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d answers, want 6", len(seen))
	}
	for range 2 { // the order of the domains says nothing
		seen[string(s.do("POST", adasGrants, `{}`, withKey("k"), as(mint(t, api.Claims{Subject: "a", Scopes: admin, Domains: []string{"example.com", "example.org", "example.com"}}))).ok(201, nil).body)] = ""
	}
	if len(seen) != 6 {
		t.Error("the order of domains makes another caller")
	}
	// Who may not do it learns nothing.
	s.do("POST", adasGrants, `{}`, withKey("k"), as(mint(t, api.Claims{Subject: "a", Scopes: []string{api.ScopeRulesRead}}))).fails(403, "insufficient_scope", "-")
	s.do("POST", adasGrants, `{}`, withKey("k"), as(mint(t, api.Claims{Subject: "a", Scopes: admin, Domains: []string{"example.com"}}))).fails(404, "not_found", "-")
}

// The record alone does not tell what was answered.
func TestKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var g struct{ Token string }
	s.do("POST", adasGrants, `{}`, withKey("very-secret-key")).ok(201, &g)
	for _, secret := range []string{g.Token, "very-secret-key", "ada@example.org", "expires_at"} {
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from idempotency_keys k where position(convert_to($1, 'UTF8') in k.answer) > 0 or strpos(k::text, $1) > 0`, secret).Scan(&n); err != nil || n != 0 {
			t.Errorf("%q is in the record, %v", secret, err)
		}
	}
	if strings.Contains(s.logs.String(), "very-secret-key") {
		t.Error("the key is in the log")
	}
}

// Of a hundred callers with one key one is served, and the others get its answer or are told to wait.
func TestOneKeyFromManyCallers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	send := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+adasGrants, strings.NewReader(`{}`))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "one")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		if resp.StatusCode == 409 && resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return resp.StatusCode, string(b)
	}
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			status, body := send()
			mu.Lock()
			defer mu.Unlock()
			var p problem
			switch {
			case status == 201:
				answers[body]++
			case status != 409 || json.Unmarshal([]byte(body), &p) != nil || p.Code != "idempotency_in_progress":
				t.Errorf("%d %s", status, body)
			}
		})
	}
	wg.Wait()
	if status, body := send(); status != 201 || len(answers) != 1 || answers[body] == 0 {
		t.Errorf("%d answers; at last %d %s", len(answers), status, body)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from audit`).Scan(&n); err != nil || n != 1 {
		t.Errorf("done %d times, %v", n, err)
	}
}

// A secret is the same for every attempt of a request, and another one for another request: a day later, of another operation, or of another installation.
func TestSecretsFollowTheRequest(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	fresh := func(what, secret string) {
		if before, ok := seen[secret]; ok || len(secret) < 24 {
			t.Errorf("%s has the secret %q of %s", what, secret, before)
		}
		seen[secret] = what
	}
	for _, installation := range []string{"one", "another"} {
		s := newService(t)
		var made hook
		s.do("POST", "/v1/webhooks", `{"url":"https://x.org"}`).ok(201, &made)
		for _, request := range []struct{ path, body, key string }{
			{"/v1/webhooks", `{"url":"https://y.org"}`, "1"}, {"/v1/webhooks/" + made.ID + "/rotate", "", "2"}, {adasGrants, `{}`, "3"},
		} {
			secret := func() string {
				var out struct{ Secret, Token string }
				if r := s.do("POST", request.path, request.body, withKey(request.key)); r.status != 200 {
					r.ok(201, &out)
				} else {
					r.ok(200, &out)
				}
				return out.Secret + out.Token
			}
			what := installation + " POST " + request.path
			first := secret()
			fresh(what, first)
			// As a process leaves it that dies between the change and its answer.
			s.exec(`update idempotency_keys set answer = null, made = (select outcome from audit order by at desc limit 1) where answer is not null`)
			if again := secret(); again != first {
				t.Errorf("%s: another attempt gave %q, not %q", what, again, first)
			}
			s.exec(`update idempotency_keys set created_at = created_at - interval '25 hours'`)
			fresh(what+" a day later", secret())
			s.exec(`delete from idempotency_keys`)
		}
	}
}
