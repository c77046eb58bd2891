// Package e2e plays the main job on real parts: real servers with the gate module, a real PostgreSQL, the gate and the bridge, and clients.
package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
)

// patience is how long a test waits for what must come. It is no measure of speed.
const patience = 20 * time.Second

// world is one server with one bindgate.
type world struct {
	t       testing.TB
	server  servers.Server
	on      *servers.Kind
	url     string   // of the database
	addr    string   // of the component port as bindgate sees it
	domains []string // that the link names; nil: it names none
	store   *store.Store
	driver  func(g *gate.Gate, c xmppbridge.Config) func(context.Context) error // of a server without a module; nil: it has one
	named   string                                                              // driver's name; empty: ejabberd
	linkAs  string                                                              // the link's name; empty: default
	mu      sync.Mutex
	running *bindgate
}

// bindgate is one running gate with its bridge, in this process.
type bindgate struct {
	gate *gate.Gate
	stop func()
}

// newWorld starts a server and a bindgate on a database of their own.
func newWorld(t testing.TB, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	w := dormant(t, on, o)
	w.start()
	return w
}

// dormant is a world whose bindgate does not run yet.
func dormant(t testing.TB, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	return dormantWith(t, pgtest.URL(t), on, o)
}

// dormantWith is one on the database at url.
func dormantWith(t testing.TB, url string, on *servers.Kind, o servers.Options) *world {
	t.Helper()
	w := &world{t: t, url: url, on: on, server: on.Start(t, o)}
	_, w.addr = w.server.Addresses()
	var err error
	if w.store, err = store.Open(t.Context(), store.Config{URL: w.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.store.Close)
	return w
}

func (w *world) linkName() string { return cmp.Or(w.linkAs, "default") }

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// start runs a bindgate and waits until it has been compared with the server.
func (w *world) start() *bindgate {
	w.t.Helper()
	b := w.launch("first")
	w.mu.Lock()
	w.running = b
	w.mu.Unlock()
	w.linked()
	return b
}

// launch runs a bindgate and does not wait.
func (w *world) launch(name string) *bindgate {
	w.t.Helper()
	g := gate.New(w.store, gate.Config{Logger: w.logger(), Name: name})
	record, err := w.store.Identity(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := xmppbridge.Config{
		Name: w.linkName(), Addr: w.addr, Component: w.server.ComponentJID(), Driver: xmppbridge.DriverGate, Domains: w.domains, Record: record,
		Secret: xmppbridge.Secret(w.server.Secret()), Logger: w.logger(), Version: "test", Owner: g,
	}
	run := xmppbridge.New(cfg, g).Run
	if w.driver != nil {
		cfg.Driver = cmp.Or(w.named, xmppbridge.DriverEjabberd)
		run = w.driver(g, cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error {
		return g.Own(ctx, cfg.Name, cfg.Driver, w.server.ComponentJID(), run)
	})
	stop := sync.OnceFunc(func() {
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("bindgate: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return &bindgate{gate: g, stop: stop}
}

// linked waits until the link is up and the record was compared with the server at least once on this connection.
func (w *world) linked() {
	w.t.Helper()
	w.until("the link is up and compared", func() string {
		w.mu.Lock()
		g := w.running.gate
		w.mu.Unlock()
		links, err := g.Links(w.t.Context())
		if err != nil {
			return err.Error()
		}
		for _, l := range links {
			for _, d := range l.Domains {
				if l.State == "up" && l.Mine && d.LastSnapshotAt != nil && d.LastHelloAt != nil && d.LastHelloAt.After(l.Since.Add(-time.Millisecond)) {
					return ""
				}
			}
		}
		return fmt.Sprintf("%+v", links)
	})
}

// until waits for a condition; what it returns, if not empty, says what is missing.
func (w *world) until(what string, missing func() string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s: %s\nthe server's log:\n%s", patience, what, m, tail(w.server.Log(), 40))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

// dial logs in without binding.
func (w *world) dial(user string, o xmppclient.Options) *xmppclient.Client {
	w.t.Helper()
	c, err := w.tryDial(user, o)
	if err != nil {
		w.t.Fatalf("dial %s: %v\n%s", user, err, tail(w.server.Log(), 30))
	}
	return c
}

func (w *world) tryDial(user string, o xmppclient.Options) (*xmppclient.Client, error) {
	o.User, o.Domain = user, w.server.Domain()
	switch o.Transport {
	case xmppclient.TCP:
		o.Addr, _ = w.server.Addresses()
	case xmppclient.WebSocket:
		o.URL = w.server.WebSocketURL()
	case xmppclient.BOSH:
		o.URL = w.server.BOSHURL()
		o.LangOnBind, o.Patient = !w.on.Able(servers.BOSHLanguage), !w.on.Able(servers.BOSHOrder)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := xmppclient.Dial(ctx, o)
	if err == nil {
		w.t.Cleanup(c.Cut)
	}
	return c, err
}

// login logs in and binds.
func (w *world) login(user, resource string) *xmppclient.Client {
	w.t.Helper()
	return w.loginWith(user, resource, xmppclient.Options{})
}

func (w *world) loginWith(user, resource string, o xmppclient.Options) *xmppclient.Client {
	w.t.Helper()
	c := w.dial(user, o)
	if _, err := c.Bind(w.ctx(), resource); err != nil {
		w.t.Fatalf("bind %s/%s: %v\n%s", user, resource, err, tail(w.server.Log(), 30))
	}
	return c
}

// denied binds and wants a stanza error.
func (w *world) denied(c *xmppclient.Client, resource string) *xmppclient.StanzaError {
	w.t.Helper()
	_, err := c.Bind(w.ctx(), resource)
	var e *xmppclient.StanzaError
	if !errors.As(err, &e) {
		w.t.Fatalf("bind %s: got %v, want a stanza error", resource, err)
	}
	return e
}

// evicted waits for a client's stream error.
func (w *world) evicted(c *xmppclient.Client) *xmppclient.StreamError {
	w.t.Helper()
	e, err := c.WaitClosed(w.ctx())
	if err != nil || e == nil {
		w.t.Fatalf("%s: got %v, want a stream error\n%s", c.JID(), err, tail(w.server.Log(), 30))
	}
	return e
}

func (w *world) jid(user string) string { return user + "@" + w.server.Domain() }

// rule sets the default rule.
func (w *world) rule(fields string) {
	w.t.Helper()
	if _, err := w.store.Pool().Exec(w.t.Context(), "update rules set fields = $1 where scope = 'default'", fields); err != nil {
		w.t.Fatal(err)
	}
}

// record renders the live sessions of an account, "resource=state" in order of resource, evicting ones marked.
func (w *world) record(user string) string {
	rows, err := w.store.Pool().Query(w.t.Context(), `select s.resource || '=' || case when s.evict_code is null then s.state else 'evicting' end
		from sessions s where s.account = $1`, store.KeyOf(w.jid(user)))
	if err != nil {
		return "record: " + err.Error()
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return "record: " + err.Error()
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return "record: " + err.Error()
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// recorded waits until the record of an account reads so.
func (w *world) recorded(user, want string) {
	w.t.Helper()
	w.until("record of "+user+" is "+want, func() string {
		if got := w.record(user); got != want {
			return "it is " + got
		}
		return ""
	})
}

// onServer returns the resources of an account's sessions on the server, sorted.
func (w *world) onServer(user string) string { return strings.Join(w.everySession()[user], " ") }

// everySession returns all resources on the server by user, sorted.
func (w *world) everySession() map[string][]string {
	w.t.Helper()
	list, err := w.server.Sessions(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string][]string{}
	for _, s := range list {
		out[s.User] = append(out[s.User], s.Resource)
	}
	for _, resources := range out {
		slices.Sort(resources)
	}
	return out
}
