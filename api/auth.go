package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bindgate/bindgate/internal/jid"
)

// Secret signs tokens. It prints as [redacted].
type Secret []byte

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// SafeSecret is how many bytes a secret should have at least (RFC 7518 §3.2 for HS256). A shorter one works and is warned of: it may be guessed from
// any token it signed.
const SafeSecret = 32

func (s Secret) check() error {
	if len(s) == 0 {
		return errors.New("the JWT secret is empty (try: openssl rand -hex 32)")
	}
	return nil
}

// The scopes of tokens. ScopeAdmin holds all others.
const (
	ScopeSessionsRead  = "sessions:read"
	ScopeSessionsKick  = "sessions:kick"
	ScopeRulesRead     = "rules:read"
	ScopeRulesWrite    = "rules:write"
	ScopeDevicesWrite  = "devices:write"
	ScopeWebhooksWrite = "webhooks:write"
	ScopeAdmin         = "admin"
)

// Scopes returns every scope there is.
func Scopes() []string {
	return []string{ScopeSessionsRead, ScopeSessionsKick, ScopeRulesRead, ScopeRulesWrite, ScopeDevicesWrite, ScopeWebhooksWrite, ScopeAdmin}
}

// leeway forgives clocks that run ahead of this one: for iat and nbf only, an expired token is expired.
const leeway = 10 * time.Second

// Claims says what a minted token allows.
type Claims struct {
	Subject  string
	Scopes   []string
	Domains  []string // nil: all; else only these are seen and touched
	Issuer   string
	Audience string
	TTL      time.Duration // 0: an hour
}

// Mint signs a token (HS256). Its errors name the claim that is wrong.
func Mint(secret Secret, c Claims) (string, error) {
	if err := secret.check(); err != nil {
		return "", err
	}
	if len(c.Scopes) == 0 {
		return "", fmt.Errorf("a token needs at least one scope of %s", strings.Join(Scopes(), ", "))
	}
	for _, s := range c.Scopes {
		if !slices.Contains(Scopes(), s) {
			return "", fmt.Errorf("there is no scope %q; the scopes are %s", s, strings.Join(Scopes(), ", "))
		}
	}
	if c.TTL < 0 {
		return "", fmt.Errorf("the lifetime %s is negative", c.TTL)
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	now := time.Now()
	m := jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(c.TTL).Unix(), "scope": strings.Join(c.Scopes, " ")}
	if c.Subject != "" {
		m["sub"] = c.Subject
	}
	if c.Issuer != "" {
		m["iss"] = c.Issuer
	}
	if c.Audience != "" {
		m["aud"] = c.Audience
	}
	if c.Domains != nil {
		domains := make([]string, len(c.Domains))
		for i, d := range c.Domains {
			var err error
			if domains[i], err = jid.Domain(d); err != nil {
				return "", fmt.Errorf("the domain %q: %w", d, err)
			}
		}
		m["domains"] = domains
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, m).SignedString([]byte(secret))
}

// caller is who a token speaks for.
type caller struct {
	subject string
	scopes  []string
	domains []string // nil: all
	expires time.Time
}

func (c *caller) may(scope string) bool {
	return slices.Contains(c.scopes, scope) || slices.Contains(c.scopes, ScopeAdmin)
}

func (c *caller) sees(domain string) bool {
	return c.domains == nil || slices.Contains(c.domains, domain)
}

// claims is a token's content.
type claims struct {
	jwt.RegisteredClaims
	Scope   string      `json:"scope"`
	Domains *domainList `json:"domains"`
}

// domainList is an array of domains, or one string of them separated by spaces.
type domainList []string

func (l *domainList) UnmarshalJSON(b []byte) error {
	var list []string
	var one string
	if err := json.Unmarshal(b, &list); err != nil || list == nil {
		if err := json.Unmarshal(b, &one); err != nil {
			return errors.New("domains is neither an array of strings nor a string")
		}
		list = strings.Fields(one)
	}
	*l = make([]string, len(list))
	for i, d := range list {
		var err error
		if (*l)[i], err = jid.Domain(d); err != nil {
			return fmt.Errorf("domains: %w", err)
		}
	}
	return nil
}

type authenticator struct {
	secret Secret
	parser *jwt.Parser
}

func newAuthenticator(secret Secret, issuer, audience string) *authenticator {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
	}
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	return &authenticator{secret: secret, parser: jwt.NewParser(options...)}
}

// authenticate reads the bearer token of a request (RFC 6750 §2.1).
func (a *authenticator) authenticate(r *http.Request) (*caller, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil, &failure{code: codeUnauthorized, detail: "The request has no token. Send the header Authorization: Bearer <token>.", challenge: `Bearer realm="bindgate"`}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, badToken("The header Authorization has to be one: Bearer <token>.")
	}
	var c claims
	if _, err := a.parser.ParseWithClaims(strings.TrimSpace(token), &c, func(*jwt.Token) (any, error) { return []byte(a.secret), nil }); err != nil {
		return nil, badToken(tokenProblem(err))
	}
	if !time.Now().Before(c.ExpiresAt.Time) {
		return nil, badToken(tokenProblem(jwt.ErrTokenExpired))
	}
	if len(c.Subject) > 255 || strings.ContainsRune(c.Subject, 0) {
		return nil, badToken("The token's subject is longer than 255 bytes or holds a NUL.")
	}
	who := &caller{subject: c.Subject, scopes: strings.Fields(c.Scope), expires: c.ExpiresAt.Time}
	if c.Domains != nil {
		who.domains = append([]string{}, *c.Domains...)
	}
	return who, nil
}

func badToken(detail string) *failure {
	return &failure{code: codeUnauthorized, detail: detail, challenge: fmt.Sprintf(`Bearer realm="bindgate", error="invalid_token", error_description=%q`, detail)}
}

func tokenProblem(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "The token has expired."
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "The token lacks a claim that it needs: exp, and iss or aud where the service is set to check them."
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "The token is not valid yet."
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "The token is from another issuer."
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "The token is for another audience."
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "The token's signature is not valid; it has to be HS256 with the service's secret."
	}
	return "The token cannot be read as a JWT with the claims exp, scope and, if it is limited, domains."
}

func insufficient(scope string) *failure {
	return &failure{
		code: codeInsufficientScope, detail: "The token needs the scope " + scope + " (or admin) for this.",
		challenge: fmt.Sprintf(`Bearer realm="bindgate", error="insufficient_scope", scope=%q`, scope),
	}
}
