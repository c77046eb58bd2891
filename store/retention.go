package store

import (
	"context"
	"fmt"
	"time"
)

// Retention says how long each kind of data is kept; 0: for ever. What is kept by months is hidden or dropped at the latest when the whole month is over.
type Retention struct {
	Sessions  time.Duration // that have ended; and kicks, revocations and jobs that are done
	Decisions time.Duration
	Events    time.Duration // events hold addresses: not longer than those
	Audit     time.Duration
	Addresses time.Duration // of ended sessions, and of whom the audit names
	Devices   time.Duration // unseen, that are known by their resource alone, unless they are registered, blocked or logged in
}

// of returns how long the rows of a partitioned table are kept.
func (k Retention) of(table string) time.Duration {
	switch table {
	case "session_history":
		return k.Sessions
	case "decisions":
		return k.Decisions
	case "event_batches":
		return k.events()
	}
	return k.Audit
}

func (k Retention) events() time.Duration {
	if k.Addresses > 0 && (k.Events == 0 || k.Addresses < k.Events) {
		return k.Addresses
	}
	return k.Events
}

// forgetBatch is how many rows are forgotten in one transaction.
const forgetBatch = 5000

// Forget deletes what is older than it is kept at a time and in no partition of its own, and blanks addresses.
func (s *Store) Forget(ctx context.Context, now time.Time, keep Retention) error {
	// Positions grow with time, and so do the numbers of batches: the first of them tell whether there is anything to do.
	const positions = `delete from event_positions p using (select first, at from event_positions order by first limit $2) o where p.first = o.first and o.at < $1`
	const events = `delete from event_batches b using (select id, at from event_batches order by id limit $2) o where b.id = o.id and b.at = o.at and o.at < $1`
	// The row that a login writes now is left alone.
	const devices = `delete from devices d using (select account, id from devices where identity = 'probable' and not registered and not blocked and last_seen_at < $1
		and not exists (select from sessions s where s.account = devices.account and s.device = devices.id) limit $2 for update skip locked) o where d.account = o.account and d.id = o.id`
	const jobs = `with old as (delete from jobs where id in (select id from jobs where finished_at < $1 order by id limit $2) returning id),
			parts as (delete from job_parts using old where job = old.id)
		delete from kicks using old where kicks.id = -old.id and kicks.id < 0`
	const kicks = `delete from kicks k using (select account, id from kicks where id > 0 and requested_at < $1
		and not exists (select from sessions s where s.account = kicks.account and s.evict_kick = kicks.id) limit $2) o where k.account = o.account and k.id = o.id`
	const addresses = `update session_history h set ip = '' from (select account, ended_at, generation from session_history where ip <> '' and ended_at < $1 order by ended_at limit $2) o
		where h.account = o.account and h.ended_at = o.ended_at and h.generation = o.generation`
	for _, st := range []struct {
		sql  string
		kept time.Duration
	}{
		{positions, keep.events()},
		{events, keep.events()},
		{jobs, keep.Sessions},
		{kicks, keep.Sessions},
		{devices, keep.Devices},
		{"delete from revocations where ctid = any (array(select ctid from revocations where next_at is null and requested_at < $1 limit $2))", keep.Sessions},
		{"delete from session_history_default where ctid = any (array(select ctid from session_history_default where ended_at < $1 limit $2))", keep.Sessions},
		{"delete from decisions_default where ctid = any (array(select ctid from decisions_default where at < $1 limit $2))", keep.Decisions},
		{"delete from audit_default where ctid = any (array(select ctid from audit_default where at < $1 limit $2))", keep.Audit},
		{addresses, keep.Addresses},
		{"delete from idempotency_keys where hash = any (array(select hash from idempotency_keys where created_at < $1 limit $2 for update skip locked))", keysKept},
		{"delete from tallies where ctid = any (array(select ctid from tallies where seconds = 60 and at < $1 limit $2))", MinutesKept},
		{"delete from tallies where ctid = any (array(select ctid from tallies where seconds = 900 and at < $1 limit $2))", QuartersKept},
		{"delete from tallies where ctid = any (array(select ctid from tallies where seconds = 3600 and at < $1 limit $2))", HoursKept},
		{"delete from erased_sessions where ctid = any (array(select ctid from erased_sessions where at < $1 limit $2))", erasedKept},
		{"delete from logins where id = any (array(select id from logins where expires_at < $1 limit $2 for update skip locked))", loginsKept},
		{"delete from login_attempts where subject = any (array(select subject from login_attempts where last_at < $1 limit $2 for update skip locked))", attemptsKept},
	} {
		for st.kept > 0 {
			tag, err := s.pool.Exec(ctx, st.sql, now.Add(-st.kept), forgetBatch)
			if err != nil {
				return fmt.Errorf("forget: %w", err)
			}
			if tag.RowsAffected() < forgetBatch {
				break
			}
		}
	}
	for more := keep.Addresses > 0; more; {
		var err error
		if more, err = s.forgetCallers(ctx, now.Add(-keep.Addresses)); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
	}
	return nil
}

// forgetCallers blanks addresses of some entries of the audit, and reports whether there are more. It goes on where it was the last time, so that no index is
// paid for by those who are audited.
func (s *Store) forgetCallers(ctx context.Context, before time.Time) (more bool, err error) {
	err = s.pool.QueryRow(ctx, `with
		entries as (select at, id from audit where address <> '' and at < $1 and at >= coalesce((select until from forgotten where what = 'callers'), '-infinity') order by at, id limit $2),
		blank as (update audit a set address = '' from entries e where a.at = e.at and a.id = e.id),
		kept as (
			insert into forgotten (what, until) select 'callers', case when count(*) < $2 then $1 else max(at) end from entries
			on conflict (what) do update set until = greatest(forgotten.until, excluded.until))
		select count(*) = $2 from entries`, before, forgetBatch).Scan(&more)
	return more, err
}
