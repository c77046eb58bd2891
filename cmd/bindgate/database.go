package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/bindgate/bindgate/internal/pg"
)

// openDatabase returns the URL of the database, after starting the embedded one if that is configured. stop ends what it started.
func (c *config) openDatabase(ctx context.Context, log *slog.Logger) (url string, stop func(context.Context) error, err error) {
	if !c.Embedded {
		if c.DatabaseURL == "" {
			return "", nil, errNoDatabase
		}
		return c.DatabaseURL, func(context.Context) error { return nil }, nil
	}
	if err := c.openDataDir(); err != nil {
		return "", nil, err
	}
	cluster, err := pg.Start(ctx, pg.Config{Dir: c.clusterDir(), Ephemeral: c.ephemeral, Log: log})
	if err != nil {
		return "", nil, fmt.Errorf("embedded database: %w", err)
	}
	return cluster.URL(), cluster.Stop, nil
}

func (c *config) clusterDir() string { return filepath.Join(c.DataDir, "postgresql") }
