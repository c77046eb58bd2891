package migrations_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/migrations"
)

func TestUpFromManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	if v, err := migrations.Version(t.Context(), url); v != 0 || err != nil {
		t.Fatalf("version of an empty database = %d, %v", v, err)
	}
	var group errgroup.Group
	for range 5 {
		group.Go(func() error { return migrations.Up(t.Context(), url) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if v, err := migrations.Version(t.Context(), url); v != migrations.Latest() || err != nil {
		t.Errorf("version = %d, %v; want %d", v, err, migrations.Latest())
	}
}

func TestUpRefusesANewerDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `insert into goose_db_version (version_id, is_applied) values (4711, true)`); err != nil {
		t.Fatal(err)
	}
	err = migrations.Up(t.Context(), url)
	if !errors.Is(err, migrations.ErrNewer) || !strings.Contains(err.Error(), "4711") {
		t.Errorf("Up = %v, want ErrNewer that names the version 4711", err)
	}
}

func TestUpTellsAWrongURLWithoutItsPassword(t *testing.T) {
	t.Parallel()
	err := migrations.Up(t.Context(), "postgres://u:s3cret@host:port/db")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Up = %v, want an error without the password", err)
	}
}
