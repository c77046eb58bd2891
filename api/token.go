package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/internal/keyring"
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

// Find makes a secret the only key there is.
func (s Secret) Find(_ context.Context, alg, _ string) ([]any, error) {
	if alg != keyring.HS256 {
		return nil, nil
	}
	return []any{[]byte(s)}, nil
}

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

// What a token may be. The server bounds all headers together (MaxHeaderBytes).
const (
	maxToken   = 8 << 10
	maxKeyID   = 256
	maxSubject = 255
)

// maxDate is the last second of the year 9999: a later one is a mistake, such as milliseconds.
const maxDate = 253402300799

// header is what is read of a token's header (RFC 7515 §4.1). What would say where to get a key (jku, jwk, x5u, x5c) is not: the header is its sender's word.
type header struct {
	alg, kid string
}

// readHeader reads the first part of a token.
func readHeader(token string) (header, error) {
	part, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return header{}, errUnreadable
	}
	fields, err := exactly(text)
	if err != nil {
		return header{}, err
	}
	if fields["crit"] != nil { // RFC 7515 §4.1.11: none is understood
		return header{}, tokenError("The token's header has crit, which names extensions that are not understood here.")
	}
	var h header
	var kind string
	for name, into := range map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &kind} {
		if raw := fields[name]; raw != nil && (raw[0] != '"' || json.Unmarshal(raw, into) != nil) {
			return header{}, tokenErrorf("The token's header has a %s that is not a string.", name)
		}
	}
	if len(h.kid) > maxKeyID {
		return header{}, tokenErrorf("The token's kid is longer than %d bytes.", maxKeyID)
	}
	// Other types are for other uses, whoever signed them (RFC 8725 §3.11, RFC 9068 §2.1).
	switch strings.TrimPrefix(strings.ToLower(kind), "application/") {
	case "", "jwt", "at+jwt":
		return h, nil
	}
	return header{}, tokenError("The token's typ is not that of an access token: it has to be JWT or at+jwt, or left out.")
}

// tokenError is what is wrong with a token, in a sentence for its sender.
type tokenError string

func (e tokenError) Error() string { return string(e) }

func tokenErrorf(format string, args ...any) error { return tokenError(fmt.Sprintf(format, args...)) }

const errUnreadable = tokenError("The token cannot be read as a JWT with the claims exp, scope and, if it is limited, domains.")

// exactly reads a JSON object by the exact names of its fields, none of which may be there twice. (encoding/json takes Scope for scope, and the last of several.)
func exactly(text []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := strictly(text); err != nil {
		var f *failure
		if errors.As(err, &f) && f.field != nil {
			return nil, tokenErrorf("The token cannot be read: %s", f.detail)
		}
		return nil, errUnreadable
	}
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		return nil, errUnreadable
	}
	return fields, nil
}

// claims is a token's content. Claims that are not known are ignored, whatever they are (RFC 7519 §4).
type claims struct {
	jwt.RegisteredClaims
	scope   string
	domains *domainList // nil: all
}

// UnmarshalJSON reads the claims by their exact names.
func (c *claims) UnmarshalJSON(text []byte) error {
	fields, err := exactly(text)
	if err != nil {
		return err
	}
	for name, into := range map[string]any{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt, "scope": &c.scope, "domains": &c.domains,
	} {
		raw := fields[name]
		if raw == nil {
			continue
		}
		if bytes.Equal(raw, []byte("null")) { // not the same as absent: of domains, least of all
			return tokenErrorf("The token's claim %s is null; leave it out instead.", name)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return tokenErrorf("The token cannot be read at its claim %s.", name)
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if raw := fields[name]; raw != nil && raw[0] == '"' {
			return tokenErrorf("The token cannot be read at its claim %s: it has to be a number.", name)
		}
	}
	for _, d := range []*jwt.NumericDate{c.ExpiresAt, c.NotBefore, c.IssuedAt} {
		if d != nil && (d.Unix() < 0 || d.Unix() > maxDate) {
			return tokenError("The token cannot be read: exp, nbf and iat are seconds since 1970.")
		}
	}
	return nil
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
