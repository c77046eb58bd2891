// Package rig sets up what the programs beside the tests measure and try: a private PostgreSQL with the record in it, and a bindgate in this process that is
// linked to a private server.
package rig

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/migrations"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
)

// Cluster starts a PostgreSQL with the record in it, in a directory that goes with stop. Settings may be nil: they are PostgreSQL's own then.
func Cluster(ctx context.Context, settings map[string]string) (c *pg.Cluster, stop func(), err error) {
	dir, err := os.MkdirTemp("", "bindgate-rig")
	if err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the cluster's user has to get in
		return nil, nil, err
	}
	c, err = pg.Start(ctx, pg.Config{Dir: filepath.Join(dir, "pg"), Settings: settings})
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		if err := c.Stop(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
		_ = os.RemoveAll(dir)
	}
	if err := migrations.Up(ctx, c.URL()); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

// linkName is what the link is called in the record.
const linkName = "default"

// Server is a private Prosody or ejabberd with the gate module.
type Server interface {
	Domain() string
	ComponentJID() string
	Secret() string
	// Addresses of the ports for clients and for components, host:port.
	Addresses() (clients, components string)
}

// Bindgate runs a gate and its bridge to a server in this process until stop. They are linked when it returns.
func Bindgate(ctx context.Context, log *slog.Logger, c *pg.Cluster, server Server) (g *gate.Gate, stop func() error, err error) {
	st, err := store.Open(ctx, store.Config{URL: c.URL()})
	if err != nil {
		return nil, nil, err
	}
	g = gate.New(st, gate.Config{Logger: log})
	_, addr := server.Addresses()
	bridge := xmppbridge.New(xmppbridge.Config{Name: linkName, Addr: addr, Component: server.ComponentJID(), Secret: xmppbridge.Secret(server.Secret()), Logger: log}, g)
	if stop, err = Own(ctx, st, g, linkName, "gate", server.ComponentJID(), bridge.Run); err != nil {
		return nil, nil, err
	}
	return g, stop, nil
}

// Own runs a gate and the owner of one link until stop, which closes the store too. They are linked when it returns; on an error all has ended.
func Own(ctx context.Context, st *store.Store, g *gate.Gate, link, driver, component string, run func(context.Context) error) (stop func() error, err error) {
	running, cancel := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return g.Run(running) })
	group.Go(func() error { return g.Own(running, link, driver, component, run) })
	stop = func() error {
		cancel()
		err := group.Wait()
		st.Close()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	if err := Linked(ctx, g); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// Linked waits until the module has said hello and was compared with the record.
func Linked(ctx context.Context, g *gate.Gate) error {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		links, err := g.Links(ctx)
		if err != nil {
			return err
		}
		for _, l := range links {
			for _, d := range l.Domains {
				if l.State == "up" && d.LastSnapshotAt != nil {
					return nil
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("the link did not come up")
}
