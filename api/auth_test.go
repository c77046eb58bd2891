package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bindgate/bindgate/api"
)

func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	s := newService(t)
	strict := newService(t, func(c *api.Config) { c.Issuer, c.Audience = "https://id.example.org", "bindgate" })
	now := time.Now()
	with := func(more jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"exp": now.Add(time.Hour).Unix(), "scope": "sessions:read"}
		for k, v := range more {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	hs := func(more jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, []byte(secret), with(more)) }
	raw := func(head string) string {
		enc := base64.RawURLEncoding
		body, _ := json.Marshal(with(nil))
		return enc.EncodeToString([]byte(head)) + "." + enc.EncodeToString(body) + "."
	}
	both := jwt.MapClaims{"iss": "https://id.example.org", "aud": []string{"other", "bindgate"}}
	for name, c := range map[string]struct {
		on    *service
		token string
		says  string // "": it is good
	}{
		"good":                   {s, hs(nil), ""},
		"not before, a bit off":  {s, hs(jwt.MapClaims{"nbf": now.Add(2 * time.Second).Unix(), "iat": now.Add(2 * time.Second).Unix()}), ""},
		"domains as one string":  {s, hs(jwt.MapClaims{"domains": "example.org example.com"}), ""},
		"foreign scopes":         {s, hs(jwt.MapClaims{"scope": "openid sessions:read"}), ""},
		"expired":                {s, hs(jwt.MapClaims{"exp": now.Add(-time.Second).Unix()}), "expired"},
		"no exp":                 {s, hs(jwt.MapClaims{"exp": nil}), "exp"},
		"exp is text":            {s, hs(jwt.MapClaims{"exp": "tomorrow"}), "cannot be read"},
		"not yet":                {s, hs(jwt.MapClaims{"nbf": now.Add(time.Minute).Unix()}), "not valid yet"},
		"issued later":           {s, hs(jwt.MapClaims{"iat": now.Add(time.Minute).Unix()}), "not valid yet"},
		"another secret":         {s, signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), with(nil)), "signature"},
		"HS512":                  {s, signed(t, jwt.SigningMethodHS512, []byte(secret), with(nil)), "HS256"},
		"none":                   {s, signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(nil)), "HS256"},
		"None":                   {s, raw(`{"alg":"None","typ":"JWT"}`), "t"},
		"no alg":                 {s, raw(`{"typ":"JWT"}`), "t"},
		"garbage":                {s, "garbage", "cannot be read"},
		"empty":                  {s, "", "cannot be read"},
		"domains is a number":    {s, hs(jwt.MapClaims{"domains": 7}), "cannot be read"},
		"a domain is none":       {s, hs(jwt.MapClaims{"domains": []string{"a b"}}), "cannot be read"},
		"scope is an array":      {s, hs(jwt.MapClaims{"scope": []string{"admin"}}), "cannot be read"},
		"subject with NUL":       {s, hs(jwt.MapClaims{"sub": "a\x00"}), "U+0000"},
		"a long subject":         {s, hs(jwt.MapClaims{"sub": strings.Repeat("a", 256)}), "subject"},
		"issuer and audience":    {strict, hs(both), ""},
		"no issuer":              {strict, hs(jwt.MapClaims{"aud": "bindgate"}), "iss"},
		"another issuer":         {strict, hs(jwt.MapClaims{"iss": "https://evil.example", "aud": "bindgate"}), "issuer"},
		"another audience":       {strict, hs(jwt.MapClaims{"iss": "https://id.example.org", "aud": "other"}), "audience"},
		"no audience":            {strict, hs(jwt.MapClaims{"iss": "https://id.example.org"}), "aud"},
		"minted with the claims": {strict, mint(t, api.Claims{Scopes: []string{"sessions:read"}, Issuer: "https://id.example.org", Audience: "bindgate"}), ""},
	} {
		r := c.on.get("/v1/sessions", as(c.token))
		if c.says == "" {
			if r.status != http.StatusOK {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
			continue
		}
		p := r.fails(http.StatusUnauthorized, "unauthorized", "-")
		if !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %q, want %q in it", name, p.Detail, c.says)
		}
		if h := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(h, `Bearer realm="bindgate", error="invalid_token"`) {
			t.Errorf("%s: WWW-Authenticate: %s", name, h)
		}
	}
}

func TestTokenHeader(t *testing.T) {
	t.Parallel()
	s := newService(t)
	without := func(r *http.Request) { r.Header.Del("Authorization") }
	r := s.get("/v1/sessions", without)
	r.fails(401, "unauthorized", "-")
	if h := r.header.Get("WWW-Authenticate"); h != `Bearer realm="bindgate"` {
		t.Errorf("WWW-Authenticate: %s", h)
	}
	s.get("/v1/sessions?access_token="+s.token, without).fails(401, "unauthorized", "-")
	s.get("/v1/sessions", header("Authorization", "Bearer "+s.token)).fails(401, "unauthorized", "-") // twice
	s.get("/v1/sessions", without, header("Authorization", "Basic "+s.token)).fails(401, "unauthorized", "-")
	s.get("/v1/sessions", without, header("Authorization", "bearer  "+s.token)).ok(200, nil)
	if strings.Contains(s.logs.String(), s.token) {
		t.Error("a token is in the log")
	}
}

// Each route takes each of its own scopes and admin, and names what it takes.
func TestScopes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ids := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, ended: true})
	for _, route := range api.Routes() {
		if route.Scopes == nil {
			s.do(route.Method, route.Path, "", func(r *http.Request) { r.Header.Del("Authorization") }).ok(200, nil)
			continue
		}
		path := strings.NewReplacer("{jid}", "ada@example.org", "{id}", ids[0]).Replace(route.Path)
		if path == "/v1/events" {
			path += "?last_event_id=x" // else it has no end
		}
		for _, scope := range append(api.Scopes(), "") {
			token := signed(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "scope": scope})
			r := s.do(route.Method, path, "", as(token))
			if slices.Contains(route.Scopes, scope) || scope == api.ScopeAdmin {
				if r.status == 401 || r.status == 403 {
					t.Errorf("%s with %q: %d", r.what, scope, r.status)
				}
				continue
			}
			p := r.fails(403, "insufficient_scope", "-")
			for _, enough := range route.Scopes {
				if !strings.Contains(p.Detail, enough) {
					t.Errorf("%s with %q: does not name %s: %q", r.what, scope, enough, p.Detail)
				}
			}
			if h := r.header.Get("WWW-Authenticate"); !strings.HasSuffix(h, fmt.Sprintf("scope=%q", route.Scopes[0])) {
				t.Errorf("%s with %q: %q", r.what, scope, h)
			}
		}
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		secret api.Secret
		claims api.Claims
	}{
		"empty":            {nil, api.Claims{Scopes: []string{"admin"}}},
		"at least one":     {secret, api.Claims{}},
		`"sessions:write"`: {secret, api.Claims{Scopes: []string{"sessions:write"}}},
		"negative":         {secret, api.Claims{Scopes: []string{"admin"}, TTL: -1}},
		`"a b"`:            {secret, api.Claims{Scopes: []string{"admin"}, Domains: []string{"a b"}}},
	} {
		if _, err := api.Mint(c.secret, c.claims); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %s", err, want)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "secret", secret, "config", api.Config{Keys: secret})
	fmt.Fprintf(&b, "%v %s %+v %#v %q", secret, secret, api.Config{Keys: secret}, secret, secret)
	if out := b.String(); strings.Contains(out, string(secret)) || strings.Contains(out, base64.StdEncoding.EncodeToString(secret)) {
		t.Errorf("%s", out)
	}
}
