package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// partitioned are the tables of history, a partition a month.
var partitioned = []string{"session_history", "decisions", "event_batches", "audit"}

// storage is how the partitions of a table are stored. A decision that is repeated stays on its page, so that what is found by its time lies together.
var storage = map[string]string{"decisions": " with (fillfactor = 90)"}

// KeepPartitions makes the partitions of this month and the next two and drops those whose rows are all older than they are kept.
// A month whose rows are in the default partition already stays there. Each step is a short transaction of its own, because it stops the table's
// writers: it gives way to them, and what could not be done is an error that the next call mends.
func (s *Store) KeepPartitions(ctx context.Context, now time.Time, keep Retention) error {
	month := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for _, table := range partitioned {
		for i := range 3 {
			if err := s.makePartition(ctx, table, month.AddDate(0, i, 0)); err != nil {
				return err
			}
		}
		if d := keep.of(table); d > 0 {
			if err := s.dropPartitions(ctx, table, now.Add(-d)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) makePartition(ctx context.Context, table string, month time.Time) error {
	name := table + "_" + month.Format("2006_01")
	var exists bool // asked first: creating locks the table even if there is nothing to create
	if err := s.pool.QueryRow(ctx, "select to_regclass($1) is not null", name).Scan(&exists); err != nil {
		return fmt.Errorf("partition of %s: %w", table, err)
	}
	if exists {
		return nil
	}
	err := s.alter(ctx, fmt.Sprintf("create table if not exists %s partition of %s for values from ('%s') to ('%s')%s",
		name, table, month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339), storage[table]))
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23514" { // the default partition has rows of that month
		return nil
	}
	if err != nil {
		return fmt.Errorf("partition of %s: %w", table, err)
	}
	return nil
}

// alter changes a table, one process at a time, and gives up rather than have writers wait long behind it.
func (s *Store) alter(ctx context.Context, sql string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local lock_timeout = '300ms'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1, 0)", linkLockClass); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql)
		return err
	})
}

func (s *Store) dropPartitions(ctx context.Context, table string, before time.Time) error {
	rows, err := s.pool.Query(ctx, `select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = $1::regclass and c.relname ~ '_[0-9]{4}_[0-9]{2}$'`, table)
	if err != nil {
		return fmt.Errorf("partitions of %s: %w", table, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("partitions of %s: %w", table, err)
	}
	for _, name := range names {
		month, err := time.Parse("2006_01", name[len(table)+1:])
		if err != nil || month.AddDate(0, 1, 0).After(before) {
			continue
		}
		if err := s.alter(ctx, "drop table if exists "+pgx.Identifier{name}.Sanitize()); err != nil {
			return fmt.Errorf("drop partition %s: %w", name, err)
		}
	}
	return nil
}
