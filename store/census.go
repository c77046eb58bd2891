package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A census costs a look at every session. So it is taken again after censusPause at the soonest, and when thirty times what the last one took have passed: it has a thirtieth
// of one core at most.
const (
	censusPause = 2 * time.Second
	censusShare = 30
)

// Census is how many there are of everything, as counted at a time.
type Census struct {
	CountedAt time.Time // zero: not yet
	Domains   []DomainCensus
	Minute    Happened // what was told in the last minute before
	Hour      Happened
	// For how long the oldest event has waited for its position, now: a place that stands still holds up every reader of the log. 0: none waits.
	EventsWait time.Duration
}

// DomainCensus is one domain's.
type DomainCensus struct {
	Domain   string
	Accounts int64
	Online   int64            // accounts with a live session
	Several  int64            // accounts with more than one
	States   map[string]int64 // live sessions by state, StateEvicting one of them
	Platform map[string]int64 // live sessions by platform
	Unproven int64            // sessions that are evicting for a kick, but for those
	Present  int64            // that live on although the server was asked several times
	Loops    int64            // open ones
}

// Happened is how often something was told of, by its code.
type Happened struct {
	Evicted map[string]int64 // sessions that ended because they had to
	Denied  map[string]int64 // logins; of those that are repeated, one a minute
}

// TakeCensus counts, if that is due and no other process does it.
func (s *Store) TakeCensus(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var position pgtype.Int8
		var begin time.Time
		err := tx.QueryRow(ctx, `select position, clock_timestamp() from census where counted_at is null or clock_timestamp() - counted_at >= greatest($1::interval, took * $2)
			for update skip locked`, censusPause, censusShare).Scan(&position, &begin)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		// Nobody waits for it: it takes one core, and compiles nothing.
		if _, err := tx.Exec(ctx, "select set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)"); err != nil {
			return err
		}
		if err := countEvents(ctx, tx, position); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `update census set figures = f.figures, counted_at = $1, took = clock_timestamp() - $1 from (`+censusFigures+`) f`, begin); err != nil {
			return err
		}
		return sampleCensus(ctx, tx, begin)
	})
	if err != nil {
		return fmt.Errorf("take census: %w", err)
	}
	return nil
}

// censusFigures looks at each session and account once.
const censusFigures = `with
		per_account as materialized (
			select account, count(*) as n from sessions where evict_code is null group by account),
		kinds as (
			select a.domain, case when s.evict_code is null then s.state else 'evicting' end as state, s.platform, count(*) as n,
				count(*) filter (where s.evict_kick is not null and s.still_present is not true) as unproven, count(*) filter (where s.still_present) as present
			from sessions s join accounts a on a.key = s.account group by 1, 2, 3),
		several as (select a.domain, count(*) as online, count(*) filter (where p.n > 1) as several from per_account p join accounts a on a.key = p.account group by 1),
		open as (select a.domain, count(*) as n from loops l join accounts a on a.key = l.account where l.until > clock_timestamp() group by 1),
		states as (select domain, jsonb_object_agg(state, n) as figures from (select domain, state, sum(n) as n from kinds group by 1, 2) k group by 1),
		platforms as (select domain, jsonb_object_agg(platform, n) as figures from (select domain, platform, sum(n) as n from kinds group by 1, 2) k group by 1),
		asked as (select domain, sum(unproven) as unproven, sum(present) as present from kinds group by 1),
		owned as (select domain, count(*) as accounts from accounts group by 1)
	select jsonb_build_object(
		'domains', coalesce((select jsonb_object_agg(o.domain, jsonb_build_object('accounts', o.accounts, 'online', coalesce(v.online, 0), 'several', coalesce(v.several, 0), 'states', coalesce(t.figures, '{}'),
			'platforms', coalesce(p.figures, '{}'), 'unproven', coalesce(k.unproven, 0), 'present', coalesce(k.present, 0), 'loops', coalesce(l.n, 0)))
			from owned o left join several v using (domain) left join states t using (domain) left join platforms p using (domain) left join asked k using (domain) left join open l using (domain)), '{}')) as figures`

// countEvents adds what was told since the last census, and forgets what is more than an hour old.
func countEvents(ctx context.Context, tx pgx.Tx, after pgtype.Int8) error {
	var to int64
	if err := tx.QueryRow(ctx, "select position from event_head").Scan(&to); err != nil {
		return err
	}
	if !after.Valid { // what was told before the first census is not counted
		after.Int64 = to
	}
	if _, err := tx.Exec(ctx, `insert into census_events (at, domain, kind, code, n)
		select date_bin('10 seconds', b.at, '2000-01-01'), split_part(e.account, '@', 2), e.type, coalesce(e.data::json ->> 'code', e.data::json -> 'session' ->> 'end_reason', ''), count(*)
		from event_positions p join event_batches b on b.id = p.batch and b.at = p.at, unnest(b.types, b.accounts, b.data) e(type, account, data)
		where p.first > $1 and p.first <= $2 and e.type in ('session.ended', 'login.denied') group by 1, 2, 3, 4
		on conflict (at, domain, kind, code) do update set n = census_events.n + excluded.n`, after.Int64, to); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "delete from census_events where at < clock_timestamp() - interval '61 minutes'"); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "update census set position = $1", to)
	return err
}

// evictedReasons are the reasons of sessions that ended because they had to.
var evictedReasons = []string{"takeover", "kick", "rule", "expired", "blocked"}

// FindCensus returns the last census. With domains not nil, of those alone.
func (s *Store) FindCensus(ctx context.Context, domains []string) (Census, error) {
	var c Census
	var at pgtype.Timestamptz
	q := &pgx.Batch{}
	q.Queue("begin isolation level repeatable read read only")
	q.Queue(`select c.counted_at, d.key, d.value from census c left join lateral (
			select key, value from jsonb_each(c.figures -> 'domains') where $1::text[] is null or key = any($1)) d on true order by d.key`, domains).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var name pgtype.Text
			var figures []byte
			if err := rows.Scan(&at, &name, &figures); err != nil {
				return err
			}
			if !name.Valid {
				continue
			}
			d := DomainCensus{Domain: name.String}
			var f struct {
				Accounts, Online, Several, Unproven, Present, Loops int64
				States, Platforms                                   map[string]int64
			}
			if err := json.Unmarshal(figures, &f); err != nil {
				return err
			}
			d.Accounts, d.Online, d.Several, d.States, d.Platform, d.Unproven, d.Present, d.Loops = f.Accounts, f.Online, f.Several, f.States, f.Platforms, f.Unproven, f.Present, f.Loops
			c.Domains = append(c.Domains, d)
		}
		return rows.Err()
	})
	q.Queue(`select kind, code, sum(n) filter (where at > counted_at - interval '1 minute')::bigint, sum(n)::bigint from census, census_events
		where at > counted_at - interval '1 hour' and ($1::text[] is null or domain = any($1)) and (kind <> 'session.ended' or code = any($2)) group by 1, 2`, domains, evictedReasons).
		Query(c.scanHappened)
	var waits float64
	q.Queue(`select coalesce(extract(epoch from clock_timestamp() - (select at from event_queue order by id limit 1)), 0)::float8`).QueryRow(func(row pgx.Row) error { return row.Scan(&waits) })
	q.Queue("commit")
	if err := s.pool.SendBatch(ctx, q).Close(); err != nil {
		return c, fmt.Errorf("find census: %w", err)
	}
	c.CountedAt, c.EventsWait = at.Time, max(0, time.Duration(waits*float64(time.Second)))
	return c, nil
}

func (c *Census) scanHappened(rows pgx.Rows) error {
	for _, h := range []*Happened{&c.Minute, &c.Hour} {
		h.Evicted, h.Denied = map[string]int64{}, map[string]int64{}
	}
	for rows.Next() {
		var kind, code string
		var minute pgtype.Int8
		var hour int64
		if err := rows.Scan(&kind, &code, &minute, &hour); err != nil {
			return err
		}
		in := func(h *Happened) map[string]int64 {
			if kind == "login.denied" {
				return h.Denied
			}
			return h.Evicted
		}
		in(&c.Hour)[code] = hour
		if minute.Int64 > 0 {
			in(&c.Minute)[code] = minute.Int64
		}
	}
	return rows.Err()
}
