package clients

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8") // the tests wait more than they work
	}
	code := browser.Main(m)
	servers.Close()
	os.Exit(code)
}

// world is one server with one bindgate, for all libraries.
type world struct {
	server servers.Server
	api    *client.Client
}

func newWorld(t *testing.T, on *servers.Kind) *world {
	t.Helper()
	w := &world{server: on.Start(t, servers.Options{})}
	w.decide(t)
	return w
}

// decide starts bindgate, with the rule that each account has room for one session.
func (w *world) decide(t *testing.T) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{URL: pgtest.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	g := gate.New(st, gate.Config{Logger: log})
	_, addr := w.server.Addresses()
	bridge := xmppbridge.New(xmppbridge.Config{
		Name: "default", Addr: addr, Component: w.server.ComponentJID(), Secret: xmppbridge.Secret(w.server.Secret()), Logger: log, Version: "test", Owner: g,
	}, g)
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error { return g.Own(ctx, "default", "gate", w.server.ComponentJID(), bridge.Run) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("bindgate: %v", err)
		}
	})

	secret := api.Secret(strings.Repeat("s", api.SafeSecret))
	h, err := api.New(t.Context(), api.Config{Store: st, Gate: g, Keys: secret, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	token, err := client.HS256([]byte(secret), client.Claims{Subject: "test", Scopes: []string{api.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	if w.api, err = client.New(srv.URL, token, client.Config{}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the link is up", func() string {
		for l, err := range w.api.ListLinks(t.Context()) {
			if err == nil && l.State == client.LinkUp && len(l.Domains) > 0 && !l.Domains[0].LastSnapshotAt.IsZero() {
				return ""
			}
		}
		return "it is not"
	})
	w.rule(t, "", client.Rule{MaxSessions: client.Set(1)})
}

// rule sets the rule of an account, or with no user the default one.
func (w *world) rule(t *testing.T, user string, r client.Rule) {
	t.Helper()
	var err error
	if user == "" {
		_, err = w.api.PutDefaultRule(t.Context(), r, client.RuleOptions{})
	} else {
		_, err = w.api.PutAccountRule(t.Context(), w.jid(user), r, time.Time{}, client.RuleOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) jid(user string) string { return user + "@" + w.server.Domain() }

// arguments are those of a program.
func (w *world) arguments(t *testing.T, logins ...string) []string {
	t.Helper()
	addr, _ := w.server.Addresses()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{host, port, w.server.WebSocketURL(), w.server.BOSHURL(), w.server.Domain()}, logins...)
}

// login is another device of the user, which answers when it is asked.
func (w *world) login(t *testing.T, user, resource string) *xmppclient.Client {
	t.Helper()
	addr, _ := w.server.Addresses()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: addr, User: user, Domain: w.server.Domain()})
	if err == nil {
		t.Cleanup(c.Cut)
		_, err = c.Bind(ctx, resource)
	}
	if err != nil {
		t.Fatalf("%s/%s: %v", user, resource, err)
	}
	return c
}

// settled waits until the account has one session, the newest's, by the server's word and by bindgate's.
func (w *world) settled(t *testing.T, user, resource string) {
	t.Helper()
	w.until(t, user+" settles on "+resource, func() string {
		all, err := w.server.Sessions(t.Context())
		if err != nil {
			return err.Error()
		}
		var server, record []string
		for _, s := range all {
			if s.User == user {
				server = append(server, s.Resource)
			}
		}
		for s, err := range w.api.ListAccountSessions(t.Context(), w.jid(user), client.SessionFilter{}) {
			if err != nil {
				return err.Error()
			}
			record = append(record, s.Resource+"="+string(s.State))
		}
		if !slices.Equal(server, []string{resource}) || !slices.Equal(record, []string{resource + "=active"}) {
			return fmt.Sprintf("the server has %q, the record %q", server, record)
		}
		return ""
	})
}

// stays wants a device to be online: the server answers it.
func (w *world) stays(t *testing.T, c *xmppclient.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.IQ(ctx, w.server.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
		t.Errorf("%s was to stay: %v, %v", c.JID(), err, c.StreamError())
	}
}

// decided are the codes of the account's decisions, the oldest first. Of a session that is decided again, since its client has told what it is or bindgate's answer came
// too late, the first counts: it ended the others.
func (w *world) decided(t *testing.T, user string) []string {
	t.Helper()
	var all []client.Decision
	for d, err := range w.api.ListDecisions(t.Context(), w.jid(user), client.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	var out []string
	seen := map[string]bool{}
	for _, d := range slices.Backward(all) {
		if d.SessionID == "" || !seen[d.SessionID] {
			out = append(out, d.Outcome+"/"+d.Code)
		}
		seen[d.SessionID] = true
	}
	return out
}

// until waits for a condition; what it returns, if not empty, says what is missing.
func (w *world) until(t *testing.T, what string, missing func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %s", patience, what, m)
		}
	}
}
