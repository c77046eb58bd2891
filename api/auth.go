package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bindgate/bindgate/internal/keyring"
	"github.com/bindgate/bindgate/store"
)

// Keys finds what tokens are checked with.
type Keys interface {
	// Find returns the keys for tokens with this algorithm and key id in their header; both are the sender's word. No key may be found by two algorithms.
	// An error says that it cannot be told now.
	Find(ctx context.Context, alg, id string) ([]any, error)
}

// caller is who a token speaks for, or who calls from within the process. It is shared by its requests, and does not change.
type caller struct {
	via     store.Via
	issuer  string
	subject string
	user    int64 // of the dashboard; 0: a token's holder
	scopes  []string
	domains []string // nil: all
	expires time.Time
	token   [sha256.Size]byte // stands for the token: a hash of what is signed
	address netip.Addr        // of who calls from within the process
}

// may reports whether the caller's token has one of the scopes.
func (c *caller) may(scopes ...string) bool {
	return slices.ContainsFunc(c.scopes, func(s string) bool { return s == ScopeAdmin || slices.Contains(scopes, s) })
}

func (c *caller) sees(domain string) bool {
	return c.domains == nil || slices.Contains(c.domains, domain)
}

type authenticator struct {
	keys   Keys
	parser *jwt.Parser
	read   readTokens
}

func newAuthenticator(keys Keys, issuer, audience string) *authenticator {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{keyring.HS256, keyring.RS256, keyring.ES256, keyring.EdDSA}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
	}
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	return &authenticator{keys: keys, parser: jwt.NewParser(options...)}
}

// authenticate reads the bearer token of a request (RFC 6750 §2.1).
func (a *authenticator) authenticate(ctx context.Context, r *http.Request) (*caller, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil, &failure{code: codeUnauthorized, detail: "The request has no token. Send the header Authorization: Bearer <token>.", challenge: `Bearer realm="bindgate"`}
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, badToken("The header Authorization has to be one: Bearer <token>.")
	}
	if token = strings.TrimSpace(token); len(token) > maxToken {
		return nil, badToken(fmt.Sprintf("The token is longer than %d bytes.", maxToken))
	}
	if who := a.read.find(ctx, a.keys, token); who != nil {
		return who, nil
	}
	head, err := readHeader(token)
	if err != nil {
		return nil, badToken(err.Error())
	}
	var c claims
	_, err = a.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) {
		found, err := a.keys.Find(ctx, head.alg, head.kid)
		var set jwt.VerificationKeySet
		for _, k := range found {
			set.Keys = append(set.Keys, k)
		}
		return set, err
	})
	switch {
	case errors.Is(err, keyring.ErrUnavailable):
		return nil, &failure{code: codeUnavailable, detail: "The keys that tokens are checked with cannot be fetched now. Try again in a moment.", cause: err}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, badToken(tokenProblem(err))
	case !time.Now().Before(c.ExpiresAt.Time):
		return nil, badToken(tokenProblem(jwt.ErrTokenExpired))
	case len(c.Subject) > maxSubject:
		return nil, badToken(fmt.Sprintf("The token's subject is longer than %d bytes.", maxSubject))
	}
	who := &caller{via: store.ViaAPI, issuer: c.Issuer, subject: c.Subject, scopes: strings.Fields(c.scope), expires: c.ExpiresAt.Time, token: sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))}
	if c.domains != nil {
		who.domains = append([]string{}, *c.domains...)
		slices.Sort(who.domains) // whoever lists the same domains is limited to the same: a cursor of the one is good for the other
		who.domains = slices.Compact(who.domains)
	}
	a.read.keep(token, head, who)
	return who, nil
}

// badToken refuses a token. What is quoted in the header is ASCII, without what would end it (RFC 6750 §3).
func badToken(detail string) *failure {
	plain := strings.ToValidUTF8(detail[:min(len(detail), 200)], "")
	plain = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, plain)
	return &failure{code: codeUnauthorized, detail: detail, challenge: `Bearer realm="bindgate", error="invalid_token", error_description="` + plain + `"`}
}

func tokenProblem(err error) string {
	var told tokenError
	switch {
	case errors.As(err, &told):
		return string(told)
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
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "The token's signature is not valid; it has to be HS256, RS256, ES256 or EdDSA, by a key that the service knows."
	}
	return errUnreadable.Error()
}

// insufficient says which scopes would do, each of them alone. The header names the first, for whoever asks for another token by it takes all that it names
// (RFC 6750 §3).
func insufficient(scopes ...string) *failure {
	enough := slices.Clone(scopes)
	if !slices.Contains(enough, ScopeAdmin) {
		enough = append(enough, ScopeAdmin)
	}
	needed := enough[0]
	if len(enough) > 1 {
		needed += " (or " + strings.Join(enough[1:], ", or ") + ")"
	}
	return &failure{
		code: codeInsufficientScope, detail: "The token needs the scope " + needed + " for this.",
		challenge: fmt.Sprintf(`Bearer realm="bindgate", error="insufficient_scope", scope=%q`, scopes[0]),
	}
}
