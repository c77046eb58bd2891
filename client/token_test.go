package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/client"
)

func TestHS256(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := []byte("0123456789abcdef0123456789abcdef")
		mint, err := client.HS256(key, client.Claims{
			Subject: "shop", Scopes: []string{"sessions:read", "sessions:kick"}, Domains: []string{"example.org"}, Issuer: "me", Audience: "bindgate", TTL: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		key[0] = 'x' // the caller's own
		first, err := mint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(first, claims, func(*jwt.Token) (any, error) { return []byte("0123456789abcdef0123456789abcdef"), nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("me"), jwt.WithAudience("bindgate"), jwt.WithExpirationRequired()); err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().Unix())
		want := jwt.MapClaims{
			"sub": "shop", "scope": "sessions:read sessions:kick", "domains": []any{"example.org"}, "iss": "me", "aud": "bindgate", "iat": now, "exp": now + 60,
		}
		if d := cmp.Diff(want, claims); d != "" {
			t.Error(d)
		}
		time.Sleep(39 * time.Second)
		if again, _ := mint(t.Context()); again != first {
			t.Error("a token was made anew too soon")
		}
		time.Sleep(2 * time.Second)
		if again, _ := mint(t.Context()); again == first {
			t.Error("a token was not made anew")
		}
	})
	if _, err := client.HS256([]byte("\r\n"), client.Claims{}); err == nil {
		t.Error("an empty secret")
	}
	line, err := client.HS256([]byte("short\r\n"), client.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte("short"), nil }); err != nil {
		t.Errorf("a short secret with its line break: %v", err)
	}
	if _, err := client.HS256(make([]byte, 32), client.Claims{TTL: time.Second}); err == nil {
		t.Error("a token for a second")
	}
}
