package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
)

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
