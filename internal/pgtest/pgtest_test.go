package pgtest_test

import (
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/migrations"
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t), pgtest.New(t)
	if _, err := a.Exec(t.Context(), `create table mine ()`); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := b.QueryRow(t.Context(), `select to_regclass('mine') is not null`).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Error("a table of one database is seen in the other")
	}
	v, err := migrations.Version(t.Context(), pgtest.URL(t))
	if err != nil || v != migrations.Latest() {
		t.Errorf("schema version = %d, %v; want %d", v, err, migrations.Latest())
	}
}

func TestClusterRestartsAndSurvivesAKill(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t)
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Version(t.Context(), c.URL()); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}
