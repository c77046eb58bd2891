package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/bindgate/bindgate/internal/pg"
)

// database is where the record is.
type database struct {
	url     string
	cluster *pg.Cluster // nil: not ours
}

// openDatabase starts the embedded database if that is configured.
func (c *config) openDatabase(ctx context.Context, log *slog.Logger) (database, error) {
	if !c.Embedded {
		if c.DatabaseURL == "" {
			return database{}, errNoDatabase
		}
		return database{url: c.DatabaseURL}, nil
	}
	if err := c.openDataDir(); err != nil {
		return database{}, err
	}
	cluster, err := pg.Start(ctx, pg.Config{Dir: c.clusterDir(), Ephemeral: c.ephemeral, Log: log})
	if err != nil {
		return database{}, fmt.Errorf("embedded database: %w", err)
	}
	return database{url: cluster.URL(), cluster: cluster}, nil
}

// joinDatabase is openDatabase, but that an embedded database which runs already is used beside whoever started it.
func (c *config) joinDatabase(ctx context.Context, log *slog.Logger) (database, error) {
	if c.Embedded {
		if url, running := pg.Running(c.clusterDir()); running {
			return database{url: url}, nil
		}
	}
	return c.openDatabase(ctx, log)
}

// databaseGrace is how long the embedded database may take to shut down.
const databaseGrace = 20 * time.Second

// stop ends what openDatabase started.
func (d database) stop(ctx context.Context) error {
	if d.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseGrace)
	defer cancel()
	return d.cluster.Stop(ctx)
}

// watch keeps the embedded database running until ctx ends.
func (d database) watch(ctx context.Context) error {
	if d.cluster == nil {
		<-ctx.Done()
		return nil
	}
	return d.cluster.Watch(ctx)
}

func (c *config) clusterDir() string { return filepath.Join(c.DataDir, "postgresql") }
