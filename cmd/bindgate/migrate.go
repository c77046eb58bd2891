package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bindgate/bindgate/migrations"
)

type migrateCmd struct{}

// Run brings the database to this binary's schema. serve does the same at its start.
func (*migrateCmd) Run(ctx context.Context, e *env) (err error) {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	db, err := cfg.joinDatabase(ctx, e.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop(ctx)) }()
	url := db.url
	before, err := migrations.Version(ctx, url)
	if err != nil {
		return cfg.databaseError(err)
	}
	if err := migrations.Up(ctx, url); err != nil {
		return cfg.databaseError(err)
	}
	if before == migrations.Latest() {
		fmt.Fprintf(e.stdout, "The database has schema version %d; nothing to do.\n", before)
		return nil
	}
	fmt.Fprintf(e.stdout, "The database went from schema version %d to %d.\n", before, migrations.Latest())
	return nil
}
