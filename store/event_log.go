package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// LoggedEvent is an event at its position in the log. Positions start with 1 and have no gaps: one that is missing was dropped by age.
type LoggedEvent struct {
	Position int64
	Event
}

// scanEvent reads position, at, type, account, data.
func scanEvent(row pgx.CollectableRow) (LoggedEvent, error) {
	var e LoggedEvent
	err := row.Scan(&e.Position, &e.At, &e.Type, &e.Account, &e.Data)
	return e, err
}

// LogBounds returns the position of the oldest event that is kept and of the newest; if none is kept, oldest is newest + 1.
func (s *Store) LogBounds(ctx context.Context) (oldest, newest int64, err error) {
	err = s.pool.QueryRow(ctx, `select coalesce((select min(first) from event_positions), h.position + 1), h.position from event_head h`).Scan(&oldest, &newest)
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of the event log: %w", err)
	}
	return oldest, newest, nil
}

// EventErasures returns how often events were erased. Events that are read after it are without those.
func (s *Store) EventErasures(ctx context.Context) (n int64, err error) {
	if err = s.pool.QueryRow(ctx, "select count from event_erasures").Scan(&n); err != nil {
		return 0, fmt.Errorf("erasures of events: %w", err)
	}
	return n, nil
}

// EventsAfter returns events behind a position in order: about limit of them, since those of one transaction are read together. None: there are none yet.
func (s *Store) EventsAfter(ctx context.Context, after int64, limit int) ([]LoggedEvent, error) {
	// The position may lie within a batch; the next batch may lie behind a gap.
	rows, err := s.pool.Query(ctx, `with p as (
			select first, batch, at from event_positions
			where first >= coalesce((select max(first) from event_positions where first <= $1 + 1), 0)
				and first <= greatest($1 + $2, (select min(first) from event_positions where first > $1))
			order by first limit $2)
		select p.first + e.n - 1, b.at, e.type, e.account, e.data
		from p cross join lateral (select types, accounts, data, at from event_batches where id = p.batch and at = p.at) b,
			unnest(b.types, b.accounts, b.data) with ordinality e(type, account, data, n)
		where p.first + e.n - 1 > $1 order by 1`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("events after %d: %w", after, err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("events after %d: %w", after, err)
	}
	return events, nil
}

// EventsAt returns the events at the positions, in order, without those that are not kept any more.
func (s *Store) EventsAt(ctx context.Context, positions []int64) ([]LoggedEvent, error) {
	rows, err := s.pool.Query(ctx, `select w.position, b.at, b.types[w.position - p.first + 1], b.accounts[w.position - p.first + 1], b.data[w.position - p.first + 1]
		from unnest($1::bigint[]) w(position)
			cross join lateral (select * from event_positions where first <= w.position order by first desc limit 1) p
			cross join lateral (select types, accounts, data, at from event_batches where id = p.batch and at = p.at) b
		where w.position < p.first + p.events order by 1`, positions)
	if err != nil {
		return nil, fmt.Errorf("events at positions: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("events at positions: %w", err)
	}
	return events, nil
}
