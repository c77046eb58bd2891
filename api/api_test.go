package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

var secret = api.Secret("0123456789abcdef0123456789abcdef")

// service is an API on a database of its own, with a gate whose links are down.
type service struct {
	t     *testing.T
	pool  *pgxpool.Pool
	url   string
	token string // admin
	logs  *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newService(t *testing.T, change ...func(*api.Config)) *service {
	t.Helper()
	pool := pgtest.New(t)
	logs := &buffer{}
	logger := slog.New(slog.NewTextHandler(logs, nil))
	st := store.FromPool(pool)
	g := gate.New(st, gate.Config{Logger: logger, Name: "test"})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	cfg := api.Config{Store: st, Gate: g, Keys: secret, Logger: logger}
	for _, f := range change {
		f(&cfg)
	}
	h, err := api.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Config = api.Server(h, "", logger)
	srv.Start()
	t.Cleanup(srv.Close)
	return &service{t: t, pool: pool, url: srv.URL, token: mint(t, api.Claims{Subject: "tester", Scopes: []string{api.ScopeAdmin}}), logs: logs}
}

func mint(t *testing.T, c api.Claims) string {
	t.Helper()
	token, err := api.Mint(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// reply is a response that has been read and checked against openapi.yaml.
type reply struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

type option func(*http.Request)

func header(name, value string) option { return func(r *http.Request) { r.Header.Add(name, value) } }

func as(token string) option {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// do sends a request as admin, with body as JSON: a string goes as it is, "" is none.
func (s *service) do(method, path, body string, options ...option) *reply {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, o := range options {
		o(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	r := &reply{t: s.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: b}
	checkContract(s.t, req, body, resp, b)
	if h := resp.Header; h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		s.t.Errorf("%s: headers %v", r.what, h)
	}
	return r
}

func (s *service) get(path string, options ...option) *reply {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", options...)
}

// ok wants a status and decodes the body.
func (r *reply) ok(status int, into any) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: %d, want %d: %s", r.what, r.status, status, r.body)
	}
	if into != nil {
		if err := json.Unmarshal(r.body, into); err != nil {
			r.t.Fatalf("%s: %v in %s", r.what, err, r.body)
		}
	}
	return r
}

type problem struct {
	Type, Code, Title, Detail string
	Status                    int
	Field                     *string
	RequestID                 string `json:"request_id"`
}

// fails wants a problem; field "-" wants none.
func (r *reply) fails(status int, code, field string) problem {
	r.t.Helper()
	var p problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.header.Get("Content-Type") != "application/problem+json" {
		r.t.Fatalf("%s: %d is no problem+json: %v in %q", r.what, r.status, err, r.body)
	}
	got := "-"
	if p.Field != nil {
		got = *p.Field
	}
	if r.status != status || p.Status != status || p.Code != code || got != field {
		r.t.Errorf("%s: %d %s at %q (%s), want %d %s at %q", r.what, r.status, p.Code, got, p.Detail, status, code, field)
	}
	if p.Title == "" || p.Detail == "" || p.RequestID != r.header.Get("X-Request-Id") {
		r.t.Errorf("%s: incomplete problem %s", r.what, r.body)
	}
	return p
}

// seeded is a session put on record by SQL.
type seeded struct {
	account, resource, platform, state, sid string
	generation                              int64
	device                                  int64
	evicting, ended                         bool
}

func (s *service) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *service) count(sql string) (n int) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), sql).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// seed puts sessions on record, with their accounts, and returns their public ids.
func (s *service) seed(list ...seeded) []string {
	s.t.Helper()
	ids := make([]string, len(list))
	for i, v := range list {
		_, domain, _ := strings.Cut(v.account, "@")
		key := store.KeyOf(v.account)
		if v.state == "" {
			v.state = "active"
		}
		if v.platform == "" {
			v.platform = "android"
		}
		if v.sid == "" {
			v.sid = fmt.Sprintf("S%d", v.generation)
		}
		var device *int64
		identity := "unknown"
		if v.device != 0 {
			device, identity = &v.device, "certain"
		}
		s.exec(`insert into accounts (key, jid, domain, generation, revision) values ($1, $2, $3, $4, $4)
			on conflict (key) do update set generation = greatest(accounts.generation, excluded.generation), revision = accounts.revision + 1`, key, v.account, domain, v.generation)
		if v.ended {
			s.exec(`insert into session_history (account, ended_at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, end_reason)
				values ($1, clock_timestamp(), $2, $3, 'main', $4, $5, $6, $7, '192.0.2.1', true, 'tcp', 'Test', now(), now(), now(), 'logout')`, key, v.generation, v.sid, v.resource, device, identity, v.platform)
		} else {
			s.exec(`insert into sessions (account, sid, generation, link, resource, state, device, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
				values ($1, $2, $3, 'main', $4, $5, $6, $7, $8, '192.0.2.1', true, 'tcp', '', 'Test', 'en', '', now(), now(), now())`, key, v.sid, v.generation, v.resource, v.state, device, identity, v.platform)
		}
		if v.evicting {
			s.exec(`update sessions set evict_code = 'takeover', evict_at = now(), evict_next = now() where account = $1 and sid = $2`, key, v.sid)
		}
		ids[i] = store.SessionID(key, v.generation)
	}
	return ids
}

// linked has the record say that another process has the link up, so that proof of a kick is waited for.
func (s *service) linked() {
	s.t.Helper()
	s.exec(`insert into links (name, owner_name, expires_at, state) values ('main', 'another', 'infinity', '{"up": true}')`)
}

// end moves a live session to the history, as the gate does when its unbind is seen.
func (s *service) end(account string, generation int64) {
	s.t.Helper()
	s.exec(`with gone as (delete from sessions where account = $1 and generation = $2 returning *)
		insert into session_history (account, ended_at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, end_reason)
		select account, clock_timestamp(), generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, 'kick' from gone`,
		store.KeyOf(account), generation)
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
