package store

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// DueEviction is a session that the server has to be asked to end now.
type DueEviction struct {
	Key      Key
	JID      string
	Langs    []string // for the words to its client, the strongest first
	Session  Session
	Eviction Eviction // Attempts counts this one
	Levels   []rules.LevelRule
}

// ClaimEvictions takes up to limit sessions of a link that are due and sets when each is due again, so that an attempt is on record before it
// is made. While the link's mode is not Enforcing, those are left out that a rule made; so are for a while those whose kick waits for credentials to be
// revoked. The waits between attempts are 1, 2, 4 and then 30 seconds. (now() here is the statement's; an index can be entered by it, unlike by clock_timestamp().)
func (s *Store) ClaimEvictions(ctx context.Context, f Fence, limit int) ([]DueEviction, error) {
	rows, err := s.pool.Query(ctx, `with due as (
			select account, sid from sessions
			where link = $1 and evict_next <= now() and exists (select from links where name = $1 and fence = $2 and (mode = '`+Enforcing+`' or `+byOperator+`)) and not `+unrevoked+`
			order by evict_next limit $3 for update skip locked),
		claimed as (
			update sessions s set evict_attempts = s.evict_attempts + 1,
				evict_next = clock_timestamp() + case s.evict_attempts when 0 then interval '1s' when 1 then interval '2s' when 2 then interval '4s' else interval '30s' end
			from due where s.account = due.account and s.sid = due.sid
			returning s.*)
		select a.key, a.jid, coalesce(a.lang, ''), coalesce((select d.lang from domains d where d.name = a.domain), ''), c.sid, c.generation, c.resource, c.lang, c.device, c.state,
			c.evict_code, c.evict_device, c.evict_platform, c.evict_kick, c.evict_text, c.evict_at, c.evict_attempts, c.still_present
		from claimed c join accounts a on a.key = c.account`, f.Link, f.Value, limit)
	if err != nil {
		return nil, fmt.Errorf("claim evictions: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DueEviction, error) {
		var d DueEviction
		var key pgtype.UUID
		var account Account
		var device, kick pgtype.Int8
		err := row.Scan(&key, &d.JID, &account.Lang, &account.DomainLang, &d.Session.SID, &d.Session.Generation, &d.Session.Resource, &d.Session.Lang, &device, &d.Session.State,
			&d.Eviction.Code, &d.Eviction.Device, &d.Eviction.Platform, &kick, &d.Eviction.Text, &d.Eviction.RequestedAt, &d.Eviction.Attempts, &d.Eviction.StillPresent)
		d.Langs = account.Langs(d.Session.Lang)
		d.Key, d.Session.Device, d.Eviction.Kick, d.Session.Link = key.Bytes, device.Int64, kick.Int64, f.Link
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim evictions: %w", err)
	}
	if len(due) == 0 {
		return nil, nil
	}
	jids := make([]string, len(due))
	for i, d := range due {
		jids[i] = d.JID
	}
	levels, err := s.levels(ctx, jids)
	if err != nil {
		return nil, fmt.Errorf("claim evictions: %w", err)
	}
	for i := range due {
		due[i].Levels = levels(due[i].JID)
	}
	return due, nil
}

// HastenEvictions makes all evictions of a link due now, but for those that ride in an answer. For a link that has just come up.
func (s *Store) HastenEvictions(ctx context.Context, link string) error {
	if _, err := s.pool.Exec(ctx, `update sessions s set evict_next = clock_timestamp()
		from (select account, sid from sessions where link = $1 and evict_next > clock_timestamp() for update skip locked) w
		where s.account = w.account and s.sid = w.sid`, link); err != nil {
		return fmt.Errorf("hasten evictions: %w", err)
	}
	return nil
}

// HastenBinds lets no bind of a domain that was let in before a time be waited for longer than wait from now. For when reports of the server may have been missed.
func (s *Store) HastenBinds(ctx context.Context, domain string, before time.Time, wait time.Duration) error {
	if _, err := s.pool.Exec(ctx, `update sessions s set bind_deadline = clock_timestamp() + $2::interval
		from (select b.account, b.sid from sessions b join accounts a on a.key = b.account
			where a.domain = $1 and b.started_at < $3 and b.state = 'binding' and b.bind_deadline > clock_timestamp() + $2::interval for update of b skip locked) w
		where s.account = w.account and s.sid = w.sid`, domain, wait, before); err != nil {
		return fmt.Errorf("hasten binds: %w", err)
	}
	return nil
}

// Outcome is how far a session that was to be ended has got.
type Outcome struct {
	Generation   int64
	Resource     string
	Live         bool
	StillPresent bool
}

// Outcomes returns what is known of sessions of one account, in any order; generations that were never given are left out.
func (s *Store) Outcomes(ctx context.Context, account Key, generations []int64) ([]Outcome, error) {
	rows, err := s.pool.Query(ctx, `select generation, resource, true, coalesce(still_present, false) from sessions where account = $1 and generation = any($2)
		union all
		select generation, resource, false, false from session_history where account = $1 and generation = any($2)`,
		pgtype.UUID{Bytes: account, Valid: true}, generations)
	if err != nil {
		return nil, fmt.Errorf("outcomes: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Outcome])
	if err != nil {
		return nil, fmt.Errorf("outcomes: %w", err)
	}
	return out, nil
}

// Overdue returns accounts that have a session which should have been bound so long ago by now; with domains not nil those of the domains only.
func (s *Store) Overdue(ctx context.Context, domains []string, ago time.Duration, limit int) ([]string, error) {
	return s.jids(ctx, "overdue binds", `select distinct a.jid from sessions s join accounts a on a.key = s.account
		where s.state = 'binding' and s.bind_deadline < now() - $2::interval and ($1::text[] is null or a.domain = any($1)) limit $3`, domains, ago, limit)
}

// Unjudged returns accounts of a link that have a session which nobody decided about yet.
func (s *Store) Unjudged(ctx context.Context, link string, limit int) ([]string, error) {
	return s.jids(ctx, "unjudged sessions", `select distinct a.jid from sessions s join accounts a on a.key = s.account
		where s.decided_at is null and s.link = $1 limit $2`, link, limit)
}

func (s *Store) jids(ctx context.Context, what, sql string, args ...any) ([]string, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}

// Bound is a session as a server would list it.
type Bound struct {
	JID      string
	SID      string
	Resource string
	State    string
	Seen     time.Time
}

// BoundIn returns the bound sessions of a link's domain in count hash buckets from first, by account. If there are more than limit, it stops at the end
// of a bucket, of the first one at least; covered is how many buckets it returns. A session of the domain that is on record for another link has no
// state: its link got another name.
func (s *Store) BoundIn(ctx context.Context, link, domain string, first, count, limit int) (bound []Bound, covered int, err error) {
	for {
		bound, err = s.boundIn(ctx, link, domain, first, count, limit+1)
		if err != nil || len(bound) <= limit {
			return bound, count, err
		}
		last := KeyOf(bound[limit].JID).Bucket()
		if last > first {
			for KeyOf(bound[limit-1].JID).Bucket() == last {
				limit--
			}
			return bound[:limit], last - first, nil
		}
		count, limit = 1, math.MaxInt32 // one bucket alone has more
	}
}

func (s *Store) boundIn(ctx context.Context, link, domain string, first, count, limit int) ([]Bound, error) {
	from, _ := BucketStart(first)
	to, bounded := BucketStart(first + count)
	if !bounded {
		to = Key(bytes.Repeat([]byte{0xff}, len(to))) // no hash is
	}
	rows, err := s.pool.Query(ctx, `select a.jid, s.sid, s.resource, case when s.link = $3 then s.state else '' end, s.last_seen_at
		from sessions s join accounts a on a.key = s.account
		where s.account >= $1 and s.account < $2 and a.domain = $4 and s.state <> 'binding' order by s.account limit $5`,
		pgtype.UUID{Bytes: from, Valid: true}, pgtype.UUID{Bytes: to, Valid: true}, link, domain, limit)
	if err != nil {
		return nil, fmt.Errorf("bound sessions: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Bound])
	if err != nil {
		return nil, fmt.Errorf("bound sessions: %w", err)
	}
	return out, nil
}
