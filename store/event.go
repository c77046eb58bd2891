package store

import (
	"context"
	"fmt"
	"time"
)

// Sequence gives up to limit committed batches of events their positions, in one statement, and returns how many. Any number of processes may call
// it at once: the head's row lock makes one wait for the other, so positions become visible in their own order, and one account's events keep the
// order in which its row was locked.
func (s *Store) Sequence(ctx context.Context, limit int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `with taken as (
			delete from event_queue where id in (select id from event_queue order by id limit $1) returning *),
		head as (update event_head set position = position + (select sum(events) from taken) where exists (select from taken)
			returning position - (select sum(events) from taken) as base),
		placed as (insert into event_positions (first, events, batch, at)
			select base + 1 + sum(events) over (order by id) - events, events, id, at from taken, head)
		select count(*) from taken`, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sequence events: %w", err)
	}
	return n, nil
}

// Tell appends events that belong to no account's transaction, such as a link's.
func (s *Store) Tell(ctx context.Context, events ...Event) error {
	now, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	if _, err := s.pool.Exec(ctx, insertEvents, eventArgs(now, events)...); err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	return nil
}

const insertEvents = `with b as (insert into event_batches (at, types, accounts, data) values ($1, $2, $3, $4) returning id, at, cardinality(types) as events)
	insert into event_queue (id, at, events) select id, at, events from b`

// eventArgs are the arguments of insertEvents. All events of a batch have one time.
func eventArgs(at time.Time, events []Event) []any {
	types, accounts, data := make([]string, len(events)), make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		types[i], accounts[i], data[i] = e.Type, e.Account, string(e.Data)
	}
	return []any{at, types, accounts, data}
}
