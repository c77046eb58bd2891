package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

const (
	restDomain   = "localhost" // the ejabberd's too
	restAccounts = 200         // with real sessions on the ejabberd
	restEach     = 3           // sessions
	restSpell    = 4 * time.Second
	kickAccounts = 200_000 // with one session each, to be kicked
)

// service is a bindgate's REST interface in this process, on a database of its own, with a link that is down.
type service struct {
	cluster  *pg.Cluster
	url      string
	token    string
	password string // of the dashboard's admin
	stop     func()
}

func newService(ctx context.Context, log *slog.Logger, settings map[string]string) (*service, error) {
	c, stop, err := rig.Cluster(ctx, settings)
	if err != nil {
		return nil, err
	}
	s := &service{cluster: c, stop: stop}
	if err := s.serve(ctx, log); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *service) serve(ctx context.Context, log *slog.Logger) error {
	st, err := store.Open(ctx, store.Config{URL: s.cluster.URL()})
	if err != nil {
		return err
	}
	secret := api.Secret(strings.Repeat("benchmark", 4))
	if s.token, err = api.Mint(secret, api.Claims{Subject: "bench", Scopes: []string{api.ScopeAdmin}, TTL: 6 * time.Hour}); err != nil {
		return err
	}
	g := gate.New(st, gate.Config{Logger: log})
	h, err := api.New(ctx, api.Config{Store: st, Gate: g, Keys: secret, Logger: log})
	if err != nil {
		return err
	}
	s.password = rand.Text()
	users, err := people.New(st, log)
	if err != nil {
		return err
	}
	if _, err := users.Add(ctx, people.Newcomer{Name: "admin", Role: store.RoleAdmin}, s.password, store.Actor{Subject: "bench"}); err != nil {
		return err
	}
	d, err := dashboard.New(ctx, dashboard.Config{
		API: h, People: users, As: func(ctx context.Context, c dashboard.Caller) context.Context { return api.As(ctx, api.Caller(c)) }, Events: g.Events(), Store: st, Logger: log, Stopping: api.Stopping,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	srv := api.Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == dashboard.Root || strings.HasPrefix(r.URL.Path, dashboard.Root+"/") {
			d.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}), "", log)
	running, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return g.Run(running) })
	group.Go(func() error {
		return g.Own(running, benchLink, "gate", "bindgate."+restDomain, func(ctx context.Context) error { <-ctx.Done(); return nil })
	})
	group.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	stopCluster := s.stop
	s.stop = func() {
		_ = srv.Close()
		cancel()
		if err := group.Wait(); err != nil {
			log.Error("bench", "error", err)
		}
		st.Close()
		stopCluster()
	}
	return nil
}

// people puts accounts on record, name0@localhost and so on, with as many live sessions each.
func (s *service) people(ctx context.Context, name string, n, each int) error {
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	values := strings.NewReplacer("$NAME", name, "$N", strconv.Itoa(n), "$E", strconv.Itoa(each), "$D", restDomain)
	for _, sql := range []string{
		`create temp table a as select encode(substring(sha256(convert_to('$NAME' || i || '@$D', 'UTF8')) for 16), 'hex')::uuid as key, '$NAME' || i || '@$D' as jid from generate_series(0, $N - 1) i order by 1`,
		`insert into accounts (key, jid, domain, generation) select key, jid, '$D', $E from a`,
		`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
			select key, encode(substring(key::text::bytea for 8), 'hex') || g, g, 'bench', 'client-' || g, 'active', 'unknown', 'web', '127.0.0.1', true, 'tcp', '', 'Client 1.0', 'en', '', now(), now(), now()
			from a, generate_series(1, $E) g order by 1`,
		`analyze`,
	} {
		if _, err := conn.Exec(ctx, values.Replace(sql)); err != nil {
			return fmt.Errorf("people: %w", err)
		}
	}
	return nil
}

// crowdOn logs the same accounts in to an ejabberd, with as many sessions each.
func crowdOn(ctx context.Context, server *ejabberd.Server, name string, n, each int) (leave func(), err error) {
	var clients []*xmppclient.Client
	leave = func() {
		for _, c := range clients {
			c.Close()
		}
	}
	for i := range n {
		for r := range each {
			c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: server.C2S, Domain: restDomain, User: name + strconv.Itoa(i), Discard: true})
			if err != nil {
				leave()
				return nil, err
			}
			clients = append(clients, c)
			if _, err := c.Bind(ctx, "client-"+strconv.Itoa(r+1)); err != nil {
				leave()
				return nil, err
			}
		}
	}
	return leave, nil
}

// rivals are a bindgate and an ejabberd with the same sessions.
type rivals struct {
	service *service
	server  *ejabberd.Server
	stop    func()
}

func newRivals(ctx context.Context, log *slog.Logger) (*rivals, error) {
	server, err := ejabberd.Start(ctx, ejabberd.Config{Spinning: true})
	if err != nil {
		return nil, err
	}
	leave, err := crowdOn(ctx, server, "user", restAccounts, restEach)
	if err != nil {
		server.Stop()
		return nil, err
	}
	s, err := newService(ctx, log, nil)
	if err == nil {
		if err = s.people(ctx, "user", restAccounts, restEach); err != nil {
			s.stop()
		}
	}
	if err != nil {
		leave()
		server.Stop()
		return nil, err
	}
	return &rivals{service: s, server: server, stop: func() { leave(); server.Stop(); s.stop() }}, nil
}

// sessionsOf compares how often the sessions of an account are told.
func sessionsOf(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "sessions", Bound: "≥ 1.5", Unit: "× ejabberd",
		How: fmt.Sprintf("GET /v1/accounts/{jid}/sessions ÷ ejabberd's user_sessions_info by its HTTP API, 8 connections each, %d accounts with %d sessions", restAccounts, restEach),
	}
	v, err := newRivals(ctx, log)
	if err != nil {
		return r, err
	}
	defer v.stop()
	ours := load{url: v.service.url, connections: 8, spell: restSpell, script: fmt.Sprintf(`
		local n, headers = 0, {["Authorization"] = "Bearer %s"}
		function request() n = n + 1; return wrk.format("GET", "/v1/accounts/user" .. n %% %d .. "@%s/sessions", headers) end`, v.service.token, restAccounts, restDomain)}
	theirs := load{url: "http://" + v.server.HTTP, connections: 8, spell: restSpell, script: fmt.Sprintf(`
		local n, headers = 0, {["Content-Type"] = "application/json"}
		function request() n = n + 1; return wrk.format("POST", "/api/user_sessions_info", headers, '{"user":"user' .. n %% %d .. '","host":"%s"}') end`, restAccounts, restDomain)}
	err = r.compare(ctx, 1.5, "bindgate/s", "ejabberd/s", ours, theirs)
	return r, err
}

// kicksAccepted compares how many kicks are accepted, while bindgate's link is down: each is in the record for good, to be done later. Of the ejabberd the calls are counted that cost
// it the least: for sessions that are not there, over as many connections as suit it best.
func kicksAccepted(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "kicks", Bound: "≥ 0.5", Unit: "× ejabberd",
		How: "POST /v1/accounts/{jid}/kick of one session, link down, synchronous_commit=on, 64 connections ÷ ejabberd's kick_session by its HTTP API, of no session, at 8 or 64 connections",
	}
	v, err := newRivals(ctx, log)
	if err != nil {
		return r, err
	}
	defer v.stop()
	if err := v.service.people(ctx, "kick", kickAccounts, 1); err != nil {
		return r, err
	}
	from := 0
	ours := func() load {
		from += kickAccounts / (rounds + 1)
		return load{url: v.service.url, connections: 64, spell: restSpell, script: fmt.Sprintf(`
			local n, headers = %d, {["Authorization"] = "Bearer %s", ["Content-Type"] = "application/json"}
			function request() n = n + 1; return wrk.format("POST", "/v1/accounts/kick" .. n %% %d .. "@%s/kick", headers, '{"all":true}') end`, from, v.service.token, kickAccounts, restDomain)}
	}
	theirs := load{url: "http://" + v.server.HTTP, spell: restSpell, script: fmt.Sprintf(`
		wrk.method, wrk.path, wrk.headers["Content-Type"] = "POST", "/api/kick_session", "application/json"
		wrk.body = '{"user":"nobody","host":"%s","resource":"none","reason":"bench"}'`, restDomain)}
	best, most := 0, 0.0
	for _, n := range []int{8, 64} {
		theirs.connections = n
		rate, err := theirs.run(ctx)
		if err != nil {
			return r, err
		}
		if rate > most {
			best, most = n, rate
		}
	}
	theirs.connections = best
	err = r.compareTurns(ctx, 0.5, "kicks/s", "ejabberd/s", func() (float64, error) { return ours().run(ctx) }, func() (float64, error) { return theirs.run(ctx) })
	return r, err
}

// compare has two loads take turns.
func (r *row) compare(ctx context.Context, bound float64, ourName, theirName string, ours, theirs load) error {
	return r.compareTurns(ctx, bound, ourName, theirName, func() (float64, error) { return ours.run(ctx) }, func() (float64, error) { return theirs.run(ctx) })
}

// compareTurns has two measurements take turns, once to warm up and then for the row: ours ÷ theirs is to be bound at least.
func (r *row) compareTurns(ctx context.Context, bound float64, ourName, theirName string, ours, theirs func() (float64, error)) error {
	var a, b, ratios []float64
	for n := range rounds + 1 {
		x, err := ours()
		if err != nil {
			return err
		}
		y, err := theirs()
		if err != nil {
			return err
		}
		if n > 0 {
			a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.Ratio = median(ratios)
	r.Holds = r.Ratio >= bound
	r.Detail = map[string]float64{ourName: median(a), theirName: median(b)}
	return nil
}

// answered sends a request and reads the answer.
func answered(req *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, body)
	}
	return json.Unmarshal(body, into)
}
