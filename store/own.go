package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// OwnSession is a live session as the account's owner sees it: without addresses.
type OwnSession struct {
	Generation int64
	Resource   string
	State      string // a rules.State or StateEvicting
	Platform   string
	Name       string // of its device; "": none
	Lang       string // of its stream; may be empty
	StartedAt  time.Time
	LastSeenAt time.Time
}

// OwnDevice is a device without a live session as the account's owner sees it.
type OwnDevice struct {
	ID         int64
	Name       string
	Resource   string
	Platform   string // set by a registration; "": none
	LastSeenAt time.Time
}

// Own is what an account's owner may know of it. Of an account that is not on record there is nothing but the clock.
type Own struct {
	Now      time.Time // the database's clock
	Langs    []string  // of the account and of its domain; any may be empty
	Sessions []OwnSession
	Devices  []OwnDevice
}

// FindOwn returns an account's live sessions, first those on the resource and of those the newest, and its devices without one, first those that were seen last; of
// both as many as the limit.
func (s *Store) FindOwn(ctx context.Context, account Key, resource string, limit int) (Own, error) {
	var own Own
	key := uuidOf(account)
	q := &pgx.Batch{}
	own.Langs = make([]string, 2)
	q.Queue(`select clock_timestamp(), coalesce(l.own, ''), coalesce(l.domain, '') from (values (1)) one
		left join lateral (select lang as own, `+domainLang+` as domain from accounts where key = $1) l on true`, key).
		QueryRow(func(row pgx.Row) error { return row.Scan(&own.Now, &own.Langs[0], &own.Langs[1]) })
	q.Queue(`select s.generation, s.resource, case when s.evict_code is null then s.state else 'evicting' end, s.platform, coalesce(d.name, ''), s.lang, s.started_at, s.last_seen_at
		from sessions s left join devices d on d.account = s.account and d.id = s.device where s.account = $1
		order by s.resource = $2 desc, s.generation desc limit $3`, key, resource, limit).
		Query(func(rows pgx.Rows) (err error) {
			own.Sessions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[OwnSession])
			return err
		})
	q.Queue(`select d.id, coalesce(d.name, ''), coalesce(d.resource, ''), coalesce(d.platform, ''), d.last_seen_at
		from devices d where d.account = $1 and not exists (select from sessions s where s.account = d.account and s.device = d.id)
		order by d.last_seen_at desc, d.id limit $2`, key, limit).
		Query(func(rows pgx.Rows) (err error) {
			own.Devices, err = pgx.CollectRows(rows, pgx.RowToStructByPos[OwnDevice])
			return err
		})
	if err := s.pool.SendBatch(ctx, q).Close(); err != nil {
		return Own{}, fmt.Errorf("find own: %w", err)
	}
	return own, nil
}

// Admission says by which decision a session was let in first, and how many there are about it by now.
type Admission struct {
	Outcome string
	Code    string
	Shadow  bool
	Count   int
}

// FindAdmission returns the first decision about a session that was not decided before since; ErrNotFound.
func (s *Store) FindAdmission(ctx context.Context, account Key, generation int64, since time.Time) (Admission, error) {
	rows, err := s.pool.Query(ctx, `select outcome, code, shadow, (count(*) over ())::int from decisions where account = $1 and at >= $2 and generation = $3
		order by at limit 1`, uuidOf(account), since, generation)
	if err != nil {
		return Admission{}, fmt.Errorf("find admission: %w", err)
	}
	a, err := pgx.CollectOneRow(rows, pgx.RowToStructByPos[Admission])
	if errors.Is(err, pgx.ErrNoRows) {
		return a, ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("find admission: %w", err)
	}
	return a, nil
}
