package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// Who calls from within the process has the scopes and domains that are said, is audited as the dashboard's user, and has no rate; who comes from outside has a
// token or is nobody.
func TestCallersOfTheProcess(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	h, err := api.New(t.Context(), api.Config{Store: st, Gate: gate.New(st, gate.Config{Name: "test"}), Keys: secret, RateLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	call := func(ctx context.Context, method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		if body == "" {
			r.Body, r.ContentLength = http.NoBody, 0
		} else {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := call(t.Context(), http.MethodGet, "/v1/stats", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("nobody: %d", w.Code)
	}
	viewer := api.As(t.Context(), api.Caller{Subject: "vera", Scopes: []string{api.ScopeSessionsRead, api.ScopeRulesRead}})
	for range 10 {
		if w := call(viewer, http.MethodGet, "/v1/stats", ""); w.Code != http.StatusOK || w.Header().Get("RateLimit") != "" {
			t.Fatalf("a reader: %d %v", w.Code, w.Header())
		}
	}
	if w := call(viewer, http.MethodPut, "/v1/domains/example.org/rule", `{"max_sessions":1}`); w.Code != http.StatusForbidden {
		t.Errorf("a reader writes: %d", w.Code)
	}
	limited := api.As(t.Context(), api.Caller{Subject: "ann", Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.org"}, Address: netip.MustParseAddr("192.0.2.7")})
	if w := call(limited, http.MethodGet, "/v1/domains/example.net/rule", ""); w.Code != http.StatusNotFound {
		t.Errorf("another domain: %d", w.Code)
	}
	if w := call(limited, http.MethodPut, "/v1/domains/example.org/rule", `{"max_sessions":1}`); w.Code != http.StatusOK && w.Code != http.StatusCreated {
		t.Errorf("the own domain: %d %s", w.Code, w.Body)
	}
	// A key is a user's, not a name's: who is called so tomorrow is another one.
	once := func(user int64, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(api.As(t.Context(), api.Caller{User: user, Subject: "ann", Scopes: []string{api.ScopeAdmin}}), http.MethodPatch, "/v1/domains/example.org", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := once(1, `{"lang":"en"}`); w.Code != http.StatusOK {
		t.Errorf("one: %d %s", w.Code, w.Body)
	}
	if w := once(2, `{"lang":"ja"}`); w.Code != http.StatusOK || w.Header().Get("Idempotency-Replayed") != "" {
		t.Errorf("another of the name: %d %s", w.Code, w.Body)
	}
	if w := once(1, `{"lang":"ja"}`); w.Code != http.StatusConflict {
		t.Errorf("the first one, for something else: %d", w.Code)
	}
	var via, actor, address string
	if err := pool.QueryRow(t.Context(), "select via, actor, address from audit order by id limit 1").Scan(&via, &actor, &address); err != nil || via != "dashboard" || actor != "ann" || address != "192.0.2.7" {
		t.Errorf("the audit has %q %q %q, %v", via, actor, address, err)
	}
}
