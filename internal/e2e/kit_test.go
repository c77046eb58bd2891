package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

var transports = []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket, xmppclient.BOSH}

// in is the same world for a subtest.
func (w *world) in(t testing.TB) *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &world{t: t, on: w.on, server: w.server, url: w.url, store: w.store, driver: w.driver, named: w.named, linkAs: w.linkAs, running: w.running}
}

// ruleOf sets an account's own rule.
func (w *world) ruleOf(user, fields string) {
	w.t.Helper()
	if _, err := w.store.Pool().Exec(w.t.Context(), `insert into rules (scope, subject, fields, version, updated_at, updated_by)
		values ('account', $1, $2, nextval('rule_version'), now(), 'test') on conflict (scope, subject) do update set fields = excluded.fields`, w.jid(user), fields); err != nil {
		w.t.Fatal(err)
	}
}

// kept is a live session on record.
type kept struct {
	SID, Resource, State, Platform string
	Generation                     int64
	Evicting                       bool
}

// sessions returns an account's live sessions on record, oldest first.
func (w *world) sessions(user string) []kept {
	w.t.Helper()
	rows, err := w.store.Pool().Query(w.t.Context(), `select sid, resource, state, platform, generation, evict_code is not null from sessions where account = $1 order by generation`,
		store.KeyOf(w.jid(user)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []kept
	for rows.Next() {
		var k kept
		if err := rows.Scan(&k.SID, &k.Resource, &k.State, &k.Platform, &k.Generation, &k.Evicting); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// decided renders an account's decisions, oldest first: "resource outcome/code generation [evicted] shadow".
func (w *world) decided(user string) []string {
	w.t.Helper()
	rows, err := w.store.Pool().Query(w.t.Context(), `select resource, outcome, code, coalesce(generation, 0), evicted, shadow from decisions where account = $1 order by at`,
		store.KeyOf(w.jid(user)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var resource, outcome, code string
		var generation int64
		var evicted []int64
		var shadow bool
		if err := rows.Scan(&resource, &outcome, &code, &generation, &evicted, &shadow); err != nil {
			w.t.Fatal(err)
		}
		s := fmt.Sprintf("%s %s/%s %d %v", resource, outcome, code, generation, evicted)
		if shadow {
			s += " shadow"
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wantDecided compares the decisions, whose order is that of the account's lock.
func (w *world) wantDecided(user string, want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.decided(user)); d != "" {
		w.t.Errorf("decisions of %s (-want +got):\n%s", user, d)
	}
}

// stays fails if a client's stream has ended, and proves that it works: the server answers it.
func (w *world) stays(c *xmppclient.Client) {
	w.t.Helper()
	if _, err := c.IQ(w.ctx(), w.server.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
		w.t.Errorf("%s was to stay: %v, %v", c.JID(), err, c.StreamError())
	}
}

// bindIn binds and returns how long it took.
func (w *world) bindIn(c *xmppclient.Client, resource string) time.Duration {
	w.t.Helper()
	r, err := c.Bind(w.ctx(), resource)
	if err != nil {
		w.t.Fatalf("bind %s: %v\n%s", resource, err, tail(w.server.Log(), 20))
	}
	return r.At.Sub(r.SentAt)
}

// link returns the link's present state.
func (w *world) link() gate.LinkStatus {
	w.t.Helper()
	w.mu.Lock()
	g := w.running.gate
	w.mu.Unlock()
	links, err := g.Links(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(links, func(l gate.LinkStatus) bool { return l.Name == w.linkName() })
	if i < 0 {
		w.t.Fatalf("links: %+v", links)
	}
	return links[i]
}

// rest is the REST API over a world.
type rest struct {
	t          testing.TB
	url, token string
}

func (w *world) rest() *rest {
	w.t.Helper()
	return w.restAs(api.ScopeSessionsRead, api.ScopeSessionsKick, api.ScopeRulesRead, api.ScopeRulesWrite, api.ScopeDevicesWrite)
}

// restAs is the REST API of the running bindgate for a token with these scopes.
func (w *world) restAs(scopes ...string) *rest {
	w.t.Helper()
	secret := api.Secret(strings.Repeat("s", api.SafeSecret))
	w.mu.Lock()
	g := w.running.gate
	w.mu.Unlock()
	h, err := api.New(w.t.Context(), api.Config{Store: w.store, Gate: g, Keys: secret, Logger: w.logger(), KickWait: 8 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	w.t.Cleanup(srv.Close)
	token, err := api.Mint(secret, api.Claims{Subject: "operator", Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return &rest{w.t, srv.URL, token}
}

func (r *rest) in(t testing.TB) *rest { return &rest{t, r.url, r.token} }

// do sends a request, wants one of the statuses, reads the answer into into and returns its headers.
func (r *rest) do(method, path, body string, into any, statuses ...int) http.Header {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if !slices.Contains(statuses, resp.StatusCode) {
		r.t.Fatalf("%s %s: %d, want %v: %s", method, path, resp.StatusCode, statuses, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			r.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.Header
}

// What the tests read of the API's answers.
type (
	shownSession struct {
		ID, Account, Resource, State, Platform string
		Generation                             int64
		EndReason                              *string `json:"end_reason"`
		EndedAt                                *string `json:"ended_at"`
	}
	shownSessions struct{ Items []shownSession }
	shownKick     struct {
		Generation, Revision int64
		Results              []struct {
			SessionID string `json:"session_id"`
			Resource  string
			Outcome   string
		}
	}
	shownVerdict struct {
		Current bool
		Reason  string
	}
	shownDecisions struct {
		Items []struct {
			Outcome, Code, Resource, Account string
			SessionID                        *string `json:"session_id"`
			Evicted                          []string
			RuleLevel                        string `json:"rule_level"`
			Explanation                      []string
			Shadow                           bool
		}
	}
)

// outcomes renders a kick's results, "resource=outcome" in order of resource.
func (k shownKick) outcomes() string {
	var out []string
	for _, r := range k.Results {
		out = append(out, r.Resource+"="+r.Outcome)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// within wants attempt, which gets the number of the try, to take no longer than a stated bound. Other programs on the machine can only add to what it
// takes, so it has three tries.
func (w *world) within(bound time.Duration, attempt func(try int) time.Duration) {
	w.t.Helper()
	var took [3]time.Duration
	for i := range took {
		if took[i] = attempt(i); took[i] <= bound {
			return
		}
	}
	w.t.Errorf("took %v, want %s at most", took, bound)
}
