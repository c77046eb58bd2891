package store

import (
	"context"
	"fmt"
)

// Sequence moves up to limit transactions' events from the queue to the log and gives each its position, in one statement. It returns how many
// transactions it moved. Any number of processes may call it at once: the head's row lock makes one wait for the other, so positions become
// visible in their own order, and one account's events keep the order in which its row was locked.
func (s *Store) Sequence(ctx context.Context, limit int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `with taken as (
			delete from event_queue where id in (select id from event_queue order by id limit $1) returning *),
		rows as (select row_number() over (order by t.id, e.ord) as n, e.* from taken t,
			unnest(t.at, t.types, t.accounts, t.data) with ordinality e(at, type, account, data, ord)),
		head as (update event_head set position = position + (select count(*) from rows) where exists (select from taken)
			returning position - (select count(*) from rows) as base),
		moved as (insert into events (position, at, type, account, data) select base + n, at, type, account, data::json from rows, head)
		select count(*) from taken`, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sequence events: %w", err)
	}
	return n, nil
}

// Tell appends events that belong to no account's transaction, such as a link's.
func (s *Store) Tell(ctx context.Context, events ...Event) error {
	c := queued(events)
	if _, err := s.pool.Exec(ctx, insertEvents, c.cols...); err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	return nil
}

const insertEvents = "insert into event_queue (at, types, accounts, data) values ($1, $2, $3, $4)"

// queued makes one row of the event queue.
func queued(events []Event) (c columns) {
	for _, e := range events {
		c.push(e.At, e.Type, e.Account, string(e.Data))
	}
	return c
}
