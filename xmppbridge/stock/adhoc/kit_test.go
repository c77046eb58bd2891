package adhoc_test

import (
	"context"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/xmppbridge"
)

// patience is for what happens in a moment.
const patience = 20 * time.Second

// server is a private server with nothing of ours.
type server interface {
	Domain() string
	ComponentJID() string
	Secret() string
	Addresses() (clients, components string)
}

func stockProsody(t *testing.T, cfg prosody.Config) server {
	t.Helper()
	cfg.WithoutGate = true
	return prosody.ForTest(t, cfg)
}

func stockEjabberd(t *testing.T, cfg ejabberd.Config) server {
	t.Helper()
	cfg.Bare = true
	return ejabberd.ForTest(t, cfg)
}

// prosodyRights let the component administer a Prosody.
const prosodyRights = `admins = { "bindgate.localhost" }`

// opened is a listener that hands on the stream.
type opened chan xmppbridge.Stream

func (o opened) Opened(s xmppbridge.Stream)          { o <- s }
func (opened) Closed(error)                          {}
func (opened) Presence(_, _, _, _ string)            {}
func (opened) Granted(_ string, _ map[string]string) {}

// connect is the component's stream until the test's end.
func connect(t *testing.T, s server) xmppbridge.Stream {
	t.Helper()
	return connectAs(t, s, s.ComponentJID())
}

func connectAs(t *testing.T, s server, component string) xmppbridge.Stream {
	t.Helper()
	_, addr := s.Addresses()
	streams := make(opened, 16)
	b := xmppbridge.NewStock(xmppbridge.Config{
		Name: "test", Addr: addr, Component: component, Secret: xmppbridge.Secret(s.Secret()), Driver: xmppbridge.DriverAdmin, Domains: []string{s.Domain()},
	}, streams)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case s := <-streams:
		return s
	case <-time.After(patience):
		t.Fatal("the component did not connect")
		return nil
	}
}

// login is a bound client.
func login(t *testing.T, s server, user, resource string) *xmppclient.Client {
	t.Helper()
	clients, _ := s.Addresses()
	c, err := xmppclient.Dial(t.Context(), xmppclient.Options{Addr: clients, Domain: s.Domain(), User: user})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Cut)
	if _, err := c.Bind(t.Context(), resource); err != nil {
		t.Fatal(err)
	}
	return c
}
