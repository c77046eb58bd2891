package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/proxy"
	"github.com/bindgate/bindgate/internal/selftest"
	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/internal/webhook"
	"github.com/bindgate/bindgate/migrations"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

type serveCmd struct{}

// Run serves until a signal comes.
func (*serveCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	return serve(ctx, cfg, e.log, func(r running) {
		if len(cfg.Links) == 0 {
			e.log.WarnContext(ctx, "no link is configured, so no login is governed: set --xmpp-component (BINDGATE_XMPP_COMPONENT) and its secret, or [[link]] in the configuration file")
		}
		e.log.InfoContext(ctx, "serving", "url", "http://"+r.addr, "version", version(), "links", len(cfg.Links))
		if r.first != "" { // not in the log, which others may read and keep
			fmt.Fprintf(e.stdout, "There was no user of the dashboard yet, so there is one now. It is said once:\n\n    %s/dashboard\n    user      %s\n    password  %s\n\nIt has to be changed at the first login.\n",
				cmp.Or(cfg.PublicURL, "http://"+r.addr), people.FirstName, r.first)
		}
	})
}

// running is what is known of a server that takes requests.
type running struct {
	addr  string // of the HTTP server, with the port it got
	key   secret // signs tokens
	first string // the one-time password of the first user of the dashboard; "": there are users
}

// gcPercent trades memory, of which little is in use, for processor time. GOGC wins over it.
const gcPercent = 400

// apiConnections to the database are for REST calls, webhookConnections for webhooks; the gate has others.
const (
	apiConnections     = 8
	webhookConnections = 4
)

// httpGrace is how long requests that run may take when serve ends; what is not done then is cut off. A kick that was promised is in the
// database.
const httpGrace = 5 * time.Second

// serve runs bindgate until ctx ends or a part of it fails. ready is called once, when it takes requests.
//
// It starts from the inside out: database, gate, links, webhooks, HTTP; and ends the other way round, each step waiting for the one before it.
func serve(ctx context.Context, cfg config, log *slog.Logger, ready func(running)) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := cfg.checkDataDir(); err != nil {
		return err
	}
	if cfg.DatabaseURL == "" && !cfg.Embedded {
		return errNoDatabase
	}
	// Whatever is wrong is found before anything is written, as far as that goes.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return cfg.listenError(err)
	}
	defer listener.Close()
	if _, err := cfg.knownSecrets(); err != nil {
		return err
	}
	if _, err := cfg.publicKeyFile(); err != nil {
		return err
	}

	db, err := cfg.openDatabase(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop(ctx)) }()
	if err := migrations.Up(ctx, db.url); err != nil {
		return cfg.databaseError(err)
	}
	secrets, err := cfg.secrets()
	if err != nil {
		return err
	}
	cfg.warnOfTokens(ctx, log, secrets)
	keys, err := cfg.keys(log)
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Config{URL: db.url})
	if err != nil {
		return cfg.databaseError(err)
	}
	defer st.Close()
	// Before anyone writes: rows that are in no month's partition are let go one by one. The gate tries again what fails here.
	if now, err := st.Now(ctx); err != nil {
		return cfg.databaseError(err)
	} else if err := st.KeepPartitions(ctx, now, store.Retention{}); err != nil {
		log.WarnContext(ctx, "history is not partitioned yet", "error", err)
	}

	registry := prometheus.NewRegistry()
	answered, err := answers(registry)
	if err != nil {
		return err
	}
	g := gate.New(st, gate.Config{Logger: log, Name: processName(), Answered: answered, Keep: cfg.Keep})
	if err := registerMetrics(registry, g); err != nil {
		return err
	}
	// Connections of its own: a slow search keeps no login waiting.
	reads, err := store.Open(ctx, store.Config{URL: db.url, MaxConns: apiConnections})
	if err != nil {
		return cfg.databaseError(err)
	}
	defer reads.Close()
	handler, err := api.New(ctx, api.Config{
		Store: reads, Gate: g, Keys: keys, Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Logger: log, Registry: registry, RateLimit: cfg.RateLimit, TrustedProxies: cfg.TrustedProxies,
		PrivateTargets: cfg.AllowPrivateTargets,
	})
	if err != nil {
		return err
	}
	// And of its own again: a crowd of events keeps no call waiting.
	sends, err := store.Open(ctx, store.Config{URL: db.url, MaxConns: webhookConnections})
	if err != nil {
		return cfg.databaseError(err)
	}
	defer sends.Close()
	deliverer := webhook.New(webhook.Config{Store: sends, Events: g.Events(), Targets: target.Policy{Private: cfg.AllowPrivateTargets}, Version: version(), Logger: log})
	links, err := bridges(ctx, cfg, st, g, log)
	if err != nil {
		return err
	}
	users, err := people.New(reads, log)
	if err != nil {
		return err
	}
	provider, err := cfg.provider()
	if err != nil {
		return err
	}
	for _, problem := range cfg.wayProblems() {
		log.WarnContext(ctx, problem)
	}
	pages, err := dashboard.New(ctx, dashboard.Config{
		API: handler, As: asUser, Events: g.Events(), Store: reads, People: users, SignOn: provider, Logger: log, Address: proxy.Trusted(cfg.TrustedProxies).Client, Secure: cfg.secure(), Stopping: api.Stopping,
	})
	if err != nil {
		return err
	}
	server := api.Server(front(handler, pages), cfg.Listen, log)
	up := running{addr: listener.Addr().String()}
	if len(secrets) > 0 {
		up.key = secrets[0]
	}
	if up.first, err = cfg.firstUser(ctx, users); err != nil { // the last thing that can fail before it is told
		return err
	}

	failed := make(chan error, 1)
	databaseStage := begin(ctx, "embedded database", failed, db.watch)
	gateStage := begin(ctx, "gate", failed, g.Run)
	linkStage := begin(ctx, "links", failed, links...)
	keyStage := begin(ctx, "token keys", failed, keys.Run)
	webhookStage := begin(ctx, "webhooks", failed, deliverer.Run)
	httpStage := begin(ctx, "http", failed, func(context.Context) error { return server.Serve(listener) })
	ready(up)

	select {
	case <-ctx.Done():
		log.InfoContext(ctx, "shutting down")
	case err = <-failed:
		log.ErrorContext(ctx, "shutting down, a part failed", "error", err)
	}
	drain(ctx, server) // no new requests; those that run are answered
	httpStage.end()
	keyStage.end()
	webhookStage.end() // what is not sent is in the log; another process goes on with it
	linkStage.end()    // the XMPP servers go over to their failure policy, another process takes the lease
	gateStage.end()    // what was begun is written
	databaseStage.end()
	return err // then the deferred: connections, embedded database
}

// firstUser makes the first user of the dashboard if there is none, and returns its password.
func (c *config) firstUser(ctx context.Context, users *people.People) (string, error) {
	if c.demo {
		return users.FirstAgain(ctx)
	}
	return users.First(ctx)
}

// bridges makes a runner for each link: it waits for the link's lease and holds the connection while it has it.
func bridges(ctx context.Context, cfg config, st *store.Store, g *gate.Gate, log *slog.Logger) ([]func(context.Context) error, error) {
	known, err := g.Links(ctx)
	if err != nil {
		return nil, err
	}
	record, err := st.Identity(ctx)
	if err != nil { // it only tells a rival on the component from another process on this database
		log.Warn("the database has no name: of a rival on a component it is not told whether it is on another database", "error", err)
	}
	var runs []func(context.Context) error
	for _, l := range cfg.Links {
		bc := xmppbridge.Config{
			Name: l.Name, Addr: l.Addr, Component: l.Component, Secret: xmppbridge.Secret(l.Secret), Driver: l.Driver, Domains: l.Domains, TLS: l.tls(),
			Version: version(), Record: record, Owner: g, Logger: log,
		}
		for _, k := range known {
			if k.Name == l.Name {
				for _, d := range k.Domains {
					bc.Known = append(bc.Known, d.Domain)
				}
			}
		}
		if len(l.Domains) == 0 {
			for _, o := range cfg.Links {
				if o.Name != l.Name {
					bc.Except = append(bc.Except, o.domains()...)
				}
			}
		}
		if err := bc.Validate(); err != nil {
			return nil, err
		}
		run := func(ctx context.Context) error { return xmppbridge.New(bc, g).Run(ctx) }
		if d := driverOf(l); d != nil {
			run = func(ctx context.Context) error { return stock.New(bc, d, g).Run(ctx) }
		}
		runs = append(runs, func(ctx context.Context) error {
			return g.Own(ctx, l.Name, l.Driver, l.Component, run)
		})
		if l.SelfTest != nil {
			runs = append(runs, func(ctx context.Context) error {
				return g.Try(ctx, l.Name, l.SelfTest.Domain, func(ctx context.Context) gate.SelfTest {
					t := selftest.Run(ctx, *l.SelfTest, g, st)
					level := slog.LevelInfo
					if !t.OK {
						level = slog.LevelWarn
					}
					log.Log(ctx, level, "self-test", "link", l.Name, "account", t.Account, "ok", t.OK, "findings", strings.Join(t.Findings, "; "))
					return t
				})
			})
		}
	}
	return runs, nil
}

func drain(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpGrace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // it reports the listener, which is closed already
	}
}

// listenError says which setting to change.
func (c *config) listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: the address %s is taken by another program: end that one, or choose another port", c.listenOrigin, c.Listen)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: the port of %s needs privileges that this user does not have: choose one above 1023", c.listenOrigin, c.Listen)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: the address %s is not one of this machine's", c.listenOrigin, c.Listen)
	}
	return fmt.Errorf("%s: %w", c.listenOrigin, err)
}

// processName tells operators which process owns a link.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// version is the module's, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return cmp.Or(info.Main.Version, "unknown")
}
