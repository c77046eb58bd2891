package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
)

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *api.Config) { c.RateLimit = 0.01 }) // one request in 100 seconds
	one := as(mint(t, api.Claims{Subject: "one", Scopes: []string{api.ScopeSessionsRead}}))
	r := s.get("/v1/sessions", one).ok(200, nil)
	if p, l := r.header.Get("RateLimit-Policy"), r.header.Get("RateLimit"); p != `"default";q=1;w=100` || l != `"default";r=0;t=100` {
		t.Errorf("%s, %s", p, l)
	}
	r = s.get("/v1/links", one)
	r.fails(429, "rate_limited", "-")
	if after := r.header.Get("Retry-After"); after != "100" && after != "99" || r.header.Get("RateLimit") != `"default";r=0;t=`+after {
		t.Errorf("%v", r.header)
	}
	s.get("/v1/sessions", as(mint(t, api.Claims{Subject: "two", Scopes: []string{api.ScopeSessionsRead}}))).ok(200, nil)
	s.do("PUT", "/v1/rules/default", `{}`, as(mint(t, api.Claims{Subject: "three", Scopes: []string{api.ScopeSessionsRead}}))).fails(403, "insufficient_scope", "-")

	// bad tokens count by address, and keep no good one out
	s.get("/v1/sessions", as("bad")).fails(401, "unauthorized", "-")
	s.get("/v1/sessions", as("worse")).fails(429, "rate_limited", "-")
	s.get("/v1/sessions", func(r *http.Request) { r.Header.Del("Authorization") }).fails(429, "rate_limited", "-")
	s.get("/v1/sessions", as(mint(t, api.Claims{Subject: "four", Scopes: []string{api.ScopeSessionsRead}}))).ok(200, nil)
	for range 3 {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.yaml"} {
			if r := s.get(path).ok(200, nil); r.header.Get("RateLimit") != "" {
				t.Errorf("%s is limited", path)
			}
		}
	}
	if strings.Contains(s.logs.String(), "rate") {
		t.Errorf("refusals are logged: %s", s.logs)
	}
}

func TestNoRateLimit(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for range 50 {
		if r := s.get("/v1/sessions").ok(200, nil); r.header.Get("RateLimit") != "" || r.header.Get("RateLimit-Policy") != "" {
			t.Fatalf("%v", r.header)
		}
		s.get("/v1/sessions", as("bad")).fails(401, "unauthorized", "-")
	}
}

func TestRateLimitBehindAProxy(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *api.Config) {
		c.RateLimit, c.TrustedProxies = 0.01, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	from := func(address string) *reply {
		return s.get("/v1/sessions", as("bad"), header("X-Forwarded-For", address))
	}
	from("192.0.2.1").fails(401, "unauthorized", "-")
	from("192.0.2.1").fails(429, "rate_limited", "-")
	from("198.51.100.7, 192.0.2.1").fails(429, "rate_limited", "-") // made up in front does not help
	from("192.0.2.2").fails(401, "unauthorized", "-")
}
