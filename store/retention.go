package store

import (
	"context"
	"fmt"
	"time"
)

// forgetBatch is how many rows are forgotten in one transaction.
const forgetBatch = 5000

// Forget deletes history from before a time that is in no partition of its own, the positions of events from before it, answered revocations, finished jobs, and devices
// that are known by their resource alone and were not seen since seen, unless they are registered, blocked or logged in.
func (s *Store) Forget(ctx context.Context, before, seen time.Time) error {
	// Positions grow with time, so the first of them tell whether there is anything to do.
	const positions = `delete from event_positions p using (select first, at from event_positions order by first limit $2) o where p.first = o.first and o.at < $1`
	// The row that a login writes now is left alone.
	const devices = `delete from devices d using (select account, id from devices where identity = 'probable' and not registered and not blocked and last_seen_at < $1
		and not exists (select from sessions s where s.account = devices.account and s.device = devices.id) limit $2 for update skip locked) o where d.account = o.account and d.id = o.id`
	const jobs = `with old as (delete from jobs where id in (select id from jobs where finished_at < $1 order by id limit $2) returning id),
			parts as (delete from job_parts using old where job = old.id)
		delete from kicks using old where kicks.id = -old.id and kicks.id < 0`
	statements := []struct {
		sql  string
		time time.Time
	}{
		{positions, before},
		{jobs, before},
		{devices, seen},
		{"delete from revocations where ctid = any (array(select ctid from revocations where next_at is null and requested_at < $1 limit $2))", before},
		{"delete from session_history_default where ctid = any (array(select ctid from session_history_default where ended_at < $1 limit $2))", before},
		{"delete from decisions_default where ctid = any (array(select ctid from decisions_default where at < $1 limit $2))", before},
		{"delete from event_batches_default where ctid = any (array(select ctid from event_batches_default where at < $1 limit $2))", before},
	}
	for _, st := range statements {
		for {
			tag, err := s.pool.Exec(ctx, st.sql, st.time, forgetBatch)
			if err != nil {
				return fmt.Errorf("forget: %w", err)
			}
			if tag.RowsAffected() < forgetBatch {
				break
			}
		}
	}
	return nil
}
