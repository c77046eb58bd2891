package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// The bindgate of the examples: real, on a real PostgreSQL, with two sessions of ada@example.org and no XMPP server.
var (
	baseURL string
	secret  = []byte("an example's secret of 32 bytes!")
)

func TestMain(m *testing.M) {
	flag.Parse()
	stop, err := serve()
	switch {
	case errors.Is(err, pg.ErrNotInstalled) && os.Getenv("CI") == "":
		fmt.Fprintln(os.Stderr, "skipped: the examples:", err)
		if err := flag.Set("test.skip", "^Example"); err != nil {
			panic(err)
		}
	case err != nil:
		fmt.Fprintln(os.Stderr, "the examples' bindgate:", err)
		os.Exit(1)
	}
	code := m.Run()
	if stop != nil {
		stop()
	}
	os.Exit(code)
}

// needsBindgate skips a test, or fails it when CI is set, if there is no bindgate to talk to.
func needsBindgate(t *testing.T) {
	t.Helper()
	switch {
	case baseURL != "":
	case os.Getenv("CI") != "":
		t.Fatal("there is no PostgreSQL")
	default:
		t.Skip("skipped: there is no PostgreSQL")
	}
}

// serve starts the bindgate.
func serve() (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	closers := []func(){cancel}
	stop = func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	url, drop, err := pgtest.Database(ctx)
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = drop() })
	st, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return nil, err
	}
	closers = append(closers, st.Close)
	g := gate.New(st, gate.Config{Name: "example"})
	done := make(chan error, 1)
	gateContext, stopGate := context.WithCancel(ctx)
	go func() { done <- g.Run(gateContext) }()
	closers = append(closers, func() { stopGate(); <-done })
	h, err := api.New(ctx, api.Config{Store: st, Gate: g, Keys: api.Secret(secret)})
	if err != nil {
		return nil, err
	}
	srv := httptest.NewServer(h)
	closers = append(closers, srv.Close)
	baseURL = srv.URL
	for i, resource := range []string{"android-7", "web-chrome"} {
		key, platform := store.KeyOf("ada@example.org"), []string{"android", "web"}[i]
		if _, err := st.Pool().Exec(ctx, `insert into accounts (key, jid, domain, generation, revision) values ($1, 'ada@example.org', 'example.org', $2, $2)
			on conflict (key) do update set generation = $2, revision = $2`, key, i+1); err != nil {
			return nil, err
		}
		if _, err := st.Pool().Exec(ctx, `insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id,
				decided_at, started_at, last_seen_at)
			values ($1, $2, $3, 'main', $2, 'active', 'unknown', $4, '192.0.2.1', true, 'tcp', '', '', 'en', '', now(), now(), now())`, key, resource, i+1, platform); err != nil {
			return nil, err
		}
	}
	return stop, nil
}
