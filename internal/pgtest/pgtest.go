// Package pgtest gives each test a PostgreSQL database of its own.
//
// A test binary starts one private cluster when the first test asks; it ends with the binary, also when that is
// killed. Databases are copies of a template that has all migrations. Without PostgreSQL on the machine a test is
// skipped, or fails when CI is set.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/migrations"
)

// fast gives up durability, which no test needs: a test that does starts its own cluster.
var fast = map[string]string{
	"fsync":              "off",
	"synchronous_commit": "off",
	"full_page_writes":   "off",
	"max_connections":    "600",
	"shared_buffers":     "64MB",
}

// New returns a pool on a fresh, migrated database, which goes when the test ends.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), URL(t))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the URL of a fresh, migrated database, which goes when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, templateName())
}

// Empty returns the URL of a fresh database without any schema, which goes when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// Cluster returns a cluster of the test's own, to be restarted or killed. Its database is migrated; its settings are
// PostgreSQL's own, but for fsync.
func Cluster(t testing.TB) *pg.Cluster {
	t.Helper()
	dir := tempDir(t)
	c, err := pg.Start(t.Context(), pg.Config{Dir: dir, Ephemeral: true, Settings: map[string]string{"fsync": "off", "max_connections": "300"}})
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	if err := migrations.Up(t.Context(), c.URL()); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return c
}

// shared is the binary's cluster, with the template in it.
var shared = sync.OnceValues(func() (*pg.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("/tmp", "bindgate-pgtest-") // short: a socket goes in
	if err != nil {
		return nil, err
	}
	c, err := pg.Start(ctx, pg.Config{Dir: dir, Ephemeral: true, Settings: fast})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := makeTemplate(ctx, c); err != nil {
		return nil, err
	}
	return c, nil
})

func makeTemplate(ctx context.Context, c *pg.Cluster) error {
	name := templateName()
	if err := exec(ctx, c, `create database `+name); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	if err := migrations.Up(ctx, withDatabase(c.URL(), name)); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return exec(ctx, c, `alter database `+name+` is_template true allow_connections false`)
}

func templateName() string { return "bindgate_" + migrations.Hash() }

// Database returns the URL of a fresh, migrated database, for examples, which have no testing.TB. drop deletes it. pg.ErrNotInstalled: there is no PostgreSQL
// on the machine.
func Database(ctx context.Context) (url string, drop func() error, err error) {
	return copyOf(ctx, templateName())
}

func create(t testing.TB, template string) string {
	t.Helper()
	url, drop, err := copyOf(t.Context(), template)
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return url
}

func copyOf(ctx context.Context, template string) (url string, drop func() error, err error) {
	c, err := shared()
	if err != nil {
		return "", nil, err
	}
	name := "t_" + strings.ToLower(rand.Text())
	if err := exec(ctx, c, `create database `+name+` template `+template); err != nil {
		return "", nil, err
	}
	drop = func() error { return exec(context.Background(), c, `drop database `+name+` with (force)`) }
	return withDatabase(c.URL(), name), drop, nil
}

func exec(ctx context.Context, c *pg.Cluster, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, withDatabase(c.URL(), "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(base, name string) string {
	u, err := url.Parse(base)
	if err != nil {
		panic(err) // made by net/url
	}
	u.Path = "/" + name
	return u.String()
}

func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bindgate-pgtest-")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return dir // removed with the cluster
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, pg.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	t.Fatalf("pgtest: %v", err)
}
