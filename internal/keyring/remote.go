package keyring

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/internal/target"
)

// What fetching a set may take.
const (
	fetchTimeout = 5 * time.Second
	maxSet       = 256 << 10 // bytes
	maxRedirects = 3
)

// How long a set is good for.
const (
	refresh  = 5 * time.Minute
	retry    = 30 * time.Second // after a failure
	maxStale = 24 * time.Hour   // that failures may go on: a key that was taken back must not live for ever
)

// What a token may cause that names a key which is not there.
const (
	spacing = 5 * time.Second // between fetches
	maxWait = 3 * time.Second // for one
)

// CheckURL says whether keys may come from a URL: only over TLS, or from this machine.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("not a URL: it looks like https://id.example.org/.well-known/jwks.json")
	case u.User != nil:
		return errors.New("a URL with a password: keys are public, leave it out")
	}
	return safe(u)
}

func safe(u *url.URL) error {
	if target.Secure(u) {
		return nil
	}
	return fmt.Errorf("%s://%s: keys are taken over https only (http from this machine: 127.0.0.1, ::1 or localhost)", u.Scheme, u.Host)
}

// remote is a JWK Set behind a URL.
type remote struct {
	url    string
	client *http.Client
	log    *slog.Logger
	kick   chan struct{} // a set is wanted now; one is enough, whoever else wants it gets the same

	refresh, retry, spacing, maxWait, maxStale time.Duration

	mu      sync.Mutex
	keys    []Key
	fetched time.Time     // when keys were asked for; zero: never
	begun   time.Time     // the last fetch, zero: none
	running bool          // it has not ended
	ended   chan struct{} // closed when the fetch ends that runs or comes next
}

func newRemote(url string, transport http.RoundTripper, log *slog.Logger) *remote {
	return &remote{
		url: url, log: log, kick: make(chan struct{}, 1), ended: make(chan struct{}),
		refresh: refresh, retry: retry, spacing: spacing, maxWait: maxWait, maxStale: maxStale,
		client: &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return safe(r.URL)
		}},
	}
}

// find returns the keys of an algorithm that have the id, or none. Without an id all of the algorithm fit.
func (r *remote) find(ctx context.Context, alg, id string) ([]any, error) {
	keys, known := r.fitting(alg, id)
	if len(keys) > 0 || !r.await(ctx) {
		return keys, unless(known)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys, known = r.fitting(alg, id)
	return keys, unless(known)
}

func unless(known bool) error {
	if known {
		return nil
	}
	return ErrUnavailable
}

// fitting looks at what is there; known is false if nothing is, or it is too old.
func (r *remote) fitting(alg, id string) (found []any, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetched.IsZero() || time.Since(r.fetched) > r.maxStale {
		return nil, false
	}
	for _, k := range r.keys {
		if k.Alg == alg && (id == "" || k.ID == "" || k.ID == id) {
			found = append(found, k.Material)
		}
	}
	return found, true
}

// await has the set fetched and waits for it; false if it was fetched a moment ago, which has to do.
func (r *remote) await(ctx context.Context) bool {
	r.mu.Lock()
	ended := r.ended
	if !r.running {
		if !r.begun.IsZero() && time.Since(r.begun) < r.spacing {
			r.mu.Unlock()
			return false
		}
		select {
		case r.kick <- struct{}{}:
		default: // it is wanted already
		}
	}
	r.mu.Unlock()
	t := time.NewTimer(r.maxWait)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}

// run fetches at once, then from time to time and when it is wanted.
func (r *remote) run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-r.kick:
		}
		t.Reset(r.runOnce(ctx))
	}
}

// runOnce fetches the set, and returns how long it is good for.
func (r *remote) runOnce(ctx context.Context) time.Duration {
	r.mu.Lock()
	r.begun, r.running = time.Now(), true
	begun := r.begun
	select {
	case <-r.kick: // this fetch is for it
	default:
	}
	r.mu.Unlock()
	keys, unused, err := fetch(ctx, r.client, r.url)
	r.mu.Lock()
	changed := err == nil && !same(r.keys, keys)
	if err == nil {
		r.keys, r.fetched = keys, begun
	}
	since := r.fetched
	r.running = false
	close(r.ended)
	r.ended = make(chan struct{})
	r.mu.Unlock()
	switch {
	case ctx.Err() != nil: // we end: nothing is wrong
	case err != nil:
		told := "token keys cannot be fetched: those from before stay in force for a day"
		if since.IsZero() {
			told = "token keys cannot be fetched: no token of theirs can be checked"
		}
		r.log.ErrorContext(ctx, told, "url", r.url, "fetched_at", since, "error", err)
		return r.retry
	case changed:
		r.log.InfoContext(ctx, "token keys have changed", "url", r.url, "keys", len(keys), "unused", unused)
	}
	return r.refresh
}

func same(a, b []Key) bool {
	if len(a) != len(b) {
		return false
	}
	for i, k := range a {
		public, ok := k.Material.(interface{ Equal(x crypto.PublicKey) bool })
		if k.ID != b[i].ID || k.Alg != b[i].Alg || !ok || !public.Equal(b[i].Material) {
			return false
		}
	}
	return true
}

// fetch gets a set once. unused says of each member that is left out why; it is an error if none is left.
func fetch(ctx context.Context, client *http.Client, url string) (keys []Key, unused []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxSet+1))
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("%s answers %s", url, res.Status)
	case err != nil:
		return nil, nil, err
	case len(body) > maxSet:
		return nil, nil, fmt.Errorf("the answer of %s is longer than %d bytes", url, maxSet)
	}
	if keys, unused, err = parseSet(body); err != nil {
		return nil, nil, err
	}
	if len(keys) == 0 {
		return nil, unused, fmt.Errorf("the set at %s has no key that is of use here (%s)", url, cmp.Or(strings.Join(unused, "; "), "it is empty"))
	}
	return keys, unused, nil
}

// Try fetches a set once, as Run does, and returns how many keys are of use, and of the others why they are not.
func Try(ctx context.Context, url string) (usable int, unused []string, err error) {
	keys, unused, err := fetch(ctx, newRemote(url, http.DefaultTransport, nil).client, url)
	return len(keys), unused, err
}
