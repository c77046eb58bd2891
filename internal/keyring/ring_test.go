package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// logs is what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func TestAFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	said := &logs{}
	r, err := Open(Config{SecretFile: path, Logger: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	look := func() { r.files[0].look(t.Context()) }
	holds := func(what string, want ...string) {
		t.Helper()
		keys, err := r.Find(t.Context(), HS256, "any")
		if err != nil || len(keys) != len(want) {
			t.Fatalf("%s: %d keys, %v, want %q", what, len(keys), err, want)
		}
		for i, k := range keys {
			if got, _ := k.([]byte); string(got) != want[i] {
				t.Fatalf("%s: %q, want %q", what, got, want)
			}
		}
	}
	look()
	holds("unchanged", "first")
	write("first\nsecond\n")
	look()
	holds("seen once: it may not be whole", "first")
	look()
	holds("seen twice", "first", "second")
	write("sec")
	look()
	write("second")
	look()
	holds("written in two steps", "first", "second")
	look()
	holds("whole", "second")

	write("")
	for range 5 {
		look()
	}
	holds("empty: what was stays", "second")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		look()
	}
	holds("gone: what was stays", "second")
	if n := said.count("level=ERROR"); n != 2 {
		t.Errorf("%d errors are logged, want one for empty and one for gone", n)
	}
	write("third")
	look()
	look()
	holds("there again", "third")
	if said.count("second") != 0 || said.count("third") != 0 {
		t.Error("a secret is in the log")
	}
	if keys, err := r.Find(t.Context(), RS256, ""); err != nil || len(keys) != 0 {
		t.Errorf("RS256 with secrets only: %v, %v", keys, err)
	}
}

// issuer serves a JWK Set and counts how often.
type issuer struct {
	mu      sync.Mutex
	handler http.HandlerFunc
	asked   atomic.Int64
	url     string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		i.mu.Lock()
		h := i.handler
		i.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	i.url = srv.URL
	return i
}

func (i *issuer) answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handler = h
}

func (i *issuer) serve(body string) {
	i.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
}

// follow runs a remote for the issuer.
func follow(t *testing.T, i *issuer, change func(*remote)) (*remote, *logs) {
	t.Helper()
	said := &logs{}
	r := newRemote(i.url, http.DefaultTransport, slog.New(slog.NewTextHandler(said, nil)))
	if change != nil {
		change(r)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, said
}

func member(t *testing.T, id string, key any) string {
	return jwk(t, jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"})
}

func TestASetIsFollowed(t *testing.T) {
	t.Parallel()
	p := pairs()
	_, next, _ := ed25519.GenerateKey(nil)
	i := newIssuer(t)
	i.serve(jwks(member(t, "a", p.ed.Public()), member(t, "r", p.rsa.Public())))
	r, said := follow(t, i, func(r *remote) { r.spacing = 0 })

	wants := func(what, alg, id string, n int) {
		t.Helper()
		keys, err := r.find(t.Context(), alg, id)
		if err != nil || len(keys) != n {
			t.Errorf("%s: %d keys, %v, want %d", what, len(keys), err, n)
		}
	}
	wants("the first waits for the set", EdDSA, "a", 1)
	wants("without an id", EdDSA, "", 1)
	wants("an id of another algorithm", RS256, "a", 0)
	wants("no such id", EdDSA, "../../etc/passwd", 0)

	i.serve(jwks(member(t, "b", next.Public())))
	wants("a new id has the set fetched", EdDSA, "b", 1)
	wants("an old one is gone", EdDSA, "a", 0)

	i.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	wants("a failure leaves what was", EdDSA, "b", 1)
	wants("and has nothing new", EdDSA, "c", 0)
	wants("nor takes away", EdDSA, "b", 1)
	i.serve(jwks(jwk(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "c"})))
	wants("a set without a usable key is a failure", EdDSA, "c", 0)
	wants("which leaves what was", EdDSA, "b", 1)
	if said.count("level=ERROR") == 0 {
		t.Error("failures are not logged")
	}
}

// However many tokens with made-up ids come, the issuer is asked once in a while.
func TestUnknownKeysAskOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.serve(jwks(member(t, "a", pairs().ed.Public())))
	r, _ := follow(t, i, func(r *remote) { r.spacing = time.Hour })
	if keys, err := r.find(t.Context(), EdDSA, "a"); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	var g sync.WaitGroup
	for range 200 {
		g.Go(func() {
			if keys, err := r.find(t.Context(), EdDSA, "made up"); err != nil || len(keys) != 0 {
				t.Errorf("%d keys, %v", len(keys), err)
			}
		})
	}
	g.Wait()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times, want once", n)
	}
}

func TestASetThatCannotBeHad(t *testing.T) {
	t.Parallel()
	set := jwks(member(t, "a", pairs().ed.Public()))
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, set, http.StatusBadGateway) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(set + strings.Repeat(" ", maxSet)))
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"elsewhere, plain": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		},
		"in circles": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
	} {
		i := newIssuer(t)
		i.answer(answer)
		r, said := follow(t, i, nil)
		if keys, err := r.find(t.Context(), EdDSA, "a"); !errors.Is(err, ErrUnavailable) || len(keys) != 0 {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
		for deadline := time.Now().Add(10 * time.Second); said.count("no token of theirs can be checked") != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) { // it is said behind the answer
				t.Errorf("%s: not logged", name)
				break
			}
		}
	}
}

func TestAStaleSetEnds(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.serve(jwks(member(t, "a", pairs().ed.Public())))
	r, _ := follow(t, i, func(r *remote) { r.spacing = 0 })
	if keys, err := r.find(t.Context(), EdDSA, "a"); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	i.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	r.mu.Lock()
	r.fetched = r.fetched.Add(-maxStale - time.Second)
	r.mu.Unlock()
	if keys, err := r.find(t.Context(), EdDSA, "a"); !errors.Is(err, ErrUnavailable) || len(keys) != 0 {
		t.Errorf("after a day of failures: %d keys, %v", len(keys), err)
	}
}

// An issuer that does not answer keeps a caller no longer than maxWait, and one that has gone no longer at all.
func TestASlowIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	hold := make(chan struct{})
	i.answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hold) })
	r, _ := follow(t, i, func(r *remote) { r.maxWait = time.Millisecond })
	if _, err := r.find(t.Context(), EdDSA, "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := r.find(gone, EdDSA, "a"); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
