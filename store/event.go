package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// Sequence moves up to limit transactions' events from the queue to the log and gives each its position, in one statement. It returns how many
// transactions it moved. Any number of processes may call it at once: the head's row lock makes one wait for the other, so positions become
// visible in their own order, and one account's events keep the order in which its row was locked.
func (s *Store) Sequence(ctx context.Context, limit int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `with taken as (
			delete from event_queue where id in (select id from event_queue order by id limit $1) returning id, batch),
		rows as (select row_number() over (order by t.id, e.ord) as n, e.value from taken t, jsonb_array_elements(t.batch) with ordinality e(value, ord)),
		head as (update event_head set position = position + (select count(*) from rows) where exists (select from taken)
			returning position - (select count(*) from rows) as base),
		moved as (insert into events (position, at, type, account, data)
			select base + n, (value->>'at')::timestamptz, value->>'type', value->>'account', value->'data' from rows, head)
		select count(*) from taken`, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sequence events: %w", err)
	}
	return n, nil
}

// Tell appends events that belong to no account's transaction, such as a link's.
func (s *Store) Tell(ctx context.Context, events ...Event) error {
	b, err := json.Marshal(events)
	if err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	if _, err := s.pool.Exec(ctx, "insert into event_queue (batch) values ($1)", string(b)); err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	return nil
}
