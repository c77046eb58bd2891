package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
)

// bindgate runs a gate and its bridge to a Prosody in this process until stop.
func bindgate(ctx context.Context, log *slog.Logger, c *pg.Cluster, server *prosody.Server) (g *gate.Gate, stop func() error, err error) {
	st, err := store.Open(ctx, store.Config{URL: c.URL()})
	if err != nil {
		return nil, nil, err
	}
	g = gate.New(st, gate.Config{Logger: log})
	bridge := xmppbridge.New(xmppbridge.Config{Name: benchLink, Addr: server.Component, Component: server.ComponentJID(), Secret: xmppbridge.Secret(server.Secret()), Logger: log}, g)
	running, cancel := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return g.Run(running) })
	group.Go(func() error { return g.Own(running, benchLink, "gate", server.ComponentJID(), bridge.Run) })
	stop = func() error {
		cancel()
		err := group.Wait()
		st.Close()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	if err := linked(ctx, g); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return g, stop, nil
}

// linked waits until the module has said hello and was compared with the record.
func linked(ctx context.Context, g *gate.Gate) error {
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
	return fmt.Errorf("the link did not come up")
}

// compared waits until the record has as many bound sessions as the server.
func compared(ctx context.Context, g *gate.Gate) error {
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if g.Stats().Healed.Load() >= manySessions && g.Waiting() == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("of %d sessions %d were taken over into the record", manySessions, g.Stats().Healed.Load())
}

// forget empties the record.
func forget(ctx context.Context, c *pg.Cluster) error {
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "truncate accounts, sessions, session_history, decisions, devices")
	return err
}
