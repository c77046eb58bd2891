package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

const endingRules = `(fields ->> 'max_session_age_seconds' is not null or fields ->> 'max_idle_seconds' is not null)`

// Endings are the rules that end sessions by themselves, but for those of single accounts.
type Endings struct {
	Accounts bool // there are such rules of single accounts

	domains, groups endingsOf
	byDefault       [2]pgtype.Int8 // age and idleness in seconds
	least           [2]pgtype.Int8 // of all
}

// endingsOf are columns: whose rule, and its age and idleness in seconds.
type endingsOf struct {
	names      []string
	ages, idle []pgtype.Int8
}

// Wide reports whether a rule of many accounts ends sessions.
func (e *Endings) Wide() bool { return e.least != [2]pgtype.Int8{} }

// WithoutIdle are the endings by age alone.
func (e Endings) WithoutIdle() Endings {
	e.byDefault[1], e.least[1] = pgtype.Int8{}, pgtype.Int8{}
	e.domains.idle, e.groups.idle = make([]pgtype.Int8, len(e.domains.names)), make([]pgtype.Int8, len(e.groups.names))
	return e
}

// Endings returns them. It costs next to nothing when there are none, however many sessions live.
func (s *Store) Endings(ctx context.Context) (e Endings, err error) {
	rows, err := s.pool.Query(ctx, `select scope, subject, fields from rules where `+endingRules+` and scope <> 'account'
		union all (select scope, subject, '{}' from rules where `+endingRules+` and scope = 'account' limit 1)`)
	if err != nil {
		return e, fmt.Errorf("endings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var scope, subject string
		var fields []byte
		if err := rows.Scan(&scope, &subject, &fields); err != nil {
			return e, fmt.Errorf("endings: %w", err)
		}
		rule, err := rules.Kept(fields)
		if err != nil {
			return e, fmt.Errorf("the kept rule of %s %q: %w", scope, subject, err)
		}
		e.add(rules.Level(scope), subject, rule)
	}
	if err := rows.Err(); err != nil {
		return e, fmt.Errorf("endings: %w", err)
	}
	return e, nil
}

func (e *Endings) add(level rules.Level, subject string, rule rules.Rule) {
	age, idle := secondsOf(rule.MaxSessionAgeSeconds), secondsOf(rule.MaxIdleSeconds)
	switch level {
	case rules.LevelAccount:
		e.Accounts = true
		return
	case rules.LevelDomain:
		e.domains.add(subject, age, idle)
	case rules.LevelGroup:
		e.groups.add(subject, age, idle)
	case rules.LevelDefault:
		e.byDefault = [2]pgtype.Int8{age, idle}
	}
	for i, n := range [2]pgtype.Int8{age, idle} {
		if n.Valid && (!e.least[i].Valid || n.Int64 < e.least[i].Int64) {
			e.least[i] = n
		}
	}
}

func (o *endingsOf) add(name string, age, idle pgtype.Int8) {
	o.names, o.ages, o.idle = append(o.names, name), append(o.ages, age), append(o.idle, idle)
}

func secondsOf(f rules.Field[*int]) pgtype.Int8 {
	if f.Value == nil {
		return pgtype.Int8{}
	}
	return pgtype.Int8{Int64: int64(*f.Value), Valid: true}
}

// EndingPage is a piece of a walk through a link's sessions in the order of their accounts' keys.
type EndingPage struct {
	JIDs []string // of accounts with a session that may have to end
	Next SessionPosition
	More bool
}

// Ending looks at up to limit sessions behind a place and returns the accounts of those of a link that one of the rules might end, by what is on record.
func (s *Store) Ending(ctx context.Context, link string, e Endings, after SessionPosition, limit int) (EndingPage, error) {
	page := EndingPage{Next: after}
	looked := 0
	q := guardedRead()
	q.Queue(`with page as materialized (select account, sid, started_at, last_seen_at, link, state, evict_code from sessions where (account, sid) > ($1, $2) order by account, sid limit $3),
			due as (select distinct a.jid, a.key from page p join accounts a on a.key = p.account
				left join unnest($7::text[], $8::bigint[], $9::bigint[]) d(name, age, idle) on d.name = a.domain
				left join unnest($10::text[], $11::bigint[], $12::bigint[]) g(name, age, idle) on g.name = a.account_group
			where p.link = $4 and p.evict_code is null and p.state <> 'binding'
				and (p.started_at <= now() - make_interval(secs => $5) or p.last_seen_at <= now() - make_interval(secs => $6))
				and (p.started_at <= now() - make_interval(secs => least($13::bigint, d.age, g.age)) or p.last_seen_at <= now() - make_interval(secs => least($14::bigint, d.idle, g.idle))))
		select jid, key, '', 0::bigint from due
		union all (select '', account, sid, (select count(*) from page) from page order by account desc, sid desc limit 1)
		order by 2`,
		uuidOf(after.Key), after.SID, limit, link, e.least[0], e.least[1], e.domains.names, e.domains.ages, e.domains.idle,
		e.groups.names, e.groups.ages, e.groups.idle, e.byDefault[0], e.byDefault[1]).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var jid, sid string
			var key pgtype.UUID
			var n int
			if err := rows.Scan(&jid, &key, &sid, &n); err != nil {
				return err
			}
			if jid != "" {
				page.JIDs = append(page.JIDs, jid)
				continue
			}
			page.Next, looked = SessionPosition{Key: key.Bytes, SID: sid}, n
		}
		return rows.Err()
	})
	q.Queue("commit")
	if err := s.pool.SendBatch(ctx, q).Close(); err != nil {
		return page, fmt.Errorf("ending sessions: %w", err)
	}
	page.More = looked == limit
	return page, nil
}

// EndingAccounts returns up to limit accounts behind a JID whose own rule may end sessions.
func (s *Store) EndingAccounts(ctx context.Context, after string, limit int) ([]string, error) {
	return s.jids(ctx, "ending accounts", `select subject from rules where `+endingRules+` and scope = 'account' and subject > $1 order by subject limit $2`, after, limit)
}

// ToldEnding reports whether a decision is on record that a session was to end by itself, from a time on, by a rule that is not enforced.
func (s *Store) ToldEnding(ctx context.Context, account Key, generation int64, since time.Time) (told bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from decisions where account = $1 and at >= $3 and generation = $2 and ask_id = '' and outcome = 'deny' and code = 'limit' and shadow)`,
		uuidOf(account), generation, since).Scan(&told)
	if err != nil {
		return false, fmt.Errorf("told ending: %w", err)
	}
	return told, nil
}
