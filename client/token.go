package client

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// TokenFunc returns the bearer token (JWT) of the next request. It is asked for each attempt, from several goroutines at once, and is to keep what it makes as
// long as that is valid.
type TokenFunc func(context.Context) (string, error)

// StaticToken always returns one token.
func StaticToken(token string) TokenFunc {
	return func(context.Context) (string, error) { return token, nil }
}

// Claims are what a token says of its bearer.
type Claims struct {
	Subject  string        // whom the audit names
	Scopes   []string      // such as "sessions:read", "sessions:kick"; see the API's description
	Domains  []string      // to which the token is limited; nil: all
	Issuer   string        // "": none
	Audience string        // "": none
	TTL      time.Duration // how long a token is valid; 0: 10 minutes
}

// HS256 mints short-lived tokens with the secret that bindgate has: the text of a line of its secret file, whose line break does not count. It should
// have 32 bytes at least (RFC 7518 §3.2): bindgate takes a shorter one too, and warns of it, for it may be guessed from any token. A token is made anew when a third of its time is left.
func HS256(secret []byte, c Claims) (TokenFunc, error) {
	ttl := c.TTL
	secret = bytes.TrimRight(secret, "\r\n")
	switch {
	case len(secret) == 0:
		return nil, errors.New("client: the secret is empty")
	case ttl == 0:
		ttl = 10 * time.Minute
	case ttl < 3*time.Second:
		return nil, errors.New("client: a token must be valid for 3 seconds at least")
	}
	key := append([]byte(nil), secret...)
	var mu sync.Mutex
	var token string
	var renew time.Time
	return func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Before(renew) {
			return token, nil
		}
		t, err := sign(key, c, now, now.Add(ttl))
		if err == nil {
			token, renew = t, now.Add(ttl-ttl/3)
		}
		return t, err
	}, nil
}

// sign makes a JWT (RFC 7519, RFC 7515 §3.1).
func sign(key []byte, c Claims, now, end time.Time) (string, error) {
	claims, err := json.Marshal(struct {
		Subject  string   `json:"sub,omitzero"`
		Issuer   string   `json:"iss,omitzero"`
		Audience string   `json:"aud,omitzero"`
		Scope    string   `json:"scope"`
		Domains  []string `json:"domains,omitzero"`
		IssuedAt int64    `json:"iat"`
		Expires  int64    `json:"exp"`
	}{c.Subject, c.Issuer, c.Audience, strings.Join(c.Scopes, " "), c.Domains, now.Unix(), end.Unix()})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil)), nil
}
