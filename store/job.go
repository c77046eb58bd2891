package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// The kinds and states of jobs.
const (
	JobApplyRule = "apply_rule" // brings accounts within their rules
	JobKick      = "kick"       // ends the sessions that a filter finds

	JobRunning   = "running"
	JobDone      = "done"
	JobCancelled = "cancelled"
)

// Job is something that was accepted to be done to the live sessions of many accounts.
type Job struct {
	ID           int64
	Kind         string
	Scope        RuleScope // of an apply_rule: whose accounts
	Kick         *BulkKick // of a kick
	Domains      []string  // only accounts of these; nil: all
	State        string
	RequestedAt  time.Time
	RequestedBy  string
	Begun        bool // Total is known
	Total        int64
	Done         int64 // accounts that were looked at
	Kicked       int64 // sessions that it evicted whose end was seen
	Pending      int64 // whose end was not seen yet
	StillPresent int64 // that live on although the server was asked to end them several times
	FinishedAt   time.Time
}

// jobFilter is a job's filter as it is kept.
type jobFilter struct {
	Level   rules.Level `json:"level"`
	Subject string      `json:"subject"`
}

// domains are those that a rule's accounts are of; nil: any.
func (s RuleScope) domains() []string {
	switch s.Level {
	case rules.LevelDomain:
		return []string{s.Subject}
	case rules.LevelAccount:
		return []string{domainOf(s.Subject)}
	case rules.LevelGroup, rules.LevelDefault:
	}
	return nil
}

// acceptJob puts a job on record that applies a rule; whatever becomes of this process, it is done.
func acceptJob(ctx context.Context, tx pgx.Tx, scope RuleScope, by Actor) (id int64, err error) {
	filter, err := json.Marshal(jobFilter(scope))
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "insert into jobs (kind, filter, domains, requested_at, requested_by) values ($1, $2, $3, clock_timestamp(), $4) returning id",
		JobApplyRule, string(filter), scope.domains(), by.String()).Scan(&id)
	return id, err
}

// jobColumns are a job with its progress, all of one moment. What it has marked is counted while that may grow, and kept from then on.
const jobColumns = `j.id, j.kind, j.filter, j.kick, j.domains, j.state, j.requested_at, j.requested_by, j.total, j.finished_at,
		(select coalesce(sum(done), 0)::bigint from job_parts where job = j.id),
		coalesce(j.marked, (select coalesce(sum(cardinality(sids)), 0)::bigint from kicks where id = -j.id and id < 0)), l.pending, l.still
	from jobs j cross join lateral (
		select count(*) filter (where still_present is not true) as pending, count(*) filter (where still_present) as still from sessions where evict_kick = -j.id and evict_kick < 0) l`

func scanJob(row pgx.CollectableRow) (Job, error) {
	var j Job
	var filter, kick []byte
	var total pgtype.Int8
	var finished pgtype.Timestamptz
	var marked int64
	err := row.Scan(&j.ID, &j.Kind, &filter, &kick, &j.Domains, &j.State, &j.RequestedAt, &j.RequestedBy, &total, &finished, &j.Done, &marked, &j.Pending, &j.StillPresent)
	if err != nil {
		return j, err
	}
	j.Begun, j.Total, j.FinishedAt = total.Valid, total.Int64, finished.Time
	j.Kicked = marked - j.Pending - j.StillPresent
	j.Scope, j.Kick, err = jobOf(j.Kind, filter, kick)
	return j, err
}

// jobOf reads what a job is to do.
func jobOf(kind string, filter, kick []byte) (scope RuleScope, k *BulkKick, err error) {
	if kind == JobKick {
		k = &BulkKick{}
		return scope, k, errors.Join(json.Unmarshal(filter, &k.Filter), json.Unmarshal(kick, k))
	}
	var f jobFilter
	err = json.Unmarshal(filter, &f)
	return RuleScope(f), nil, err
}

// FindJob returns a job with its progress. With domains not nil one that may concern others is not there; ErrNotFound.
func (s *Store) FindJob(ctx context.Context, id int64, domains []string) (Job, error) {
	rows, err := s.pool.Query(ctx, "select "+jobColumns+" where j.id = $1 and ($2::text[] is null or j.domains <@ $2)", id, domains)
	if err != nil {
		return Job{}, fmt.Errorf("find job: %w", err)
	}
	j, err := pgx.CollectOneRow(rows, scanJob)
	if errors.Is(err, pgx.ErrNoRows) {
		return j, ErrNotFound
	}
	if err != nil {
		return j, fmt.Errorf("find job: %w", err)
	}
	return j, nil
}

// ListJobs returns jobs, the newest first: those before an id, or from the newest on if it is 0; of a kind and in a state, or of any if that is
// "". With domains not nil those that may concern others are left out.
func (s *Store) ListJobs(ctx context.Context, domains []string, kind, state string, before int64, limit int) ([]Job, error) {
	q := &query{}
	q.where("(?::text[] is null or j.domains <@ ?)", domains, domains)
	if kind != "" {
		q.where("j.kind = ?", kind)
	}
	if state != "" {
		q.where("j.state = ?", state)
	}
	if before != 0 {
		q.where("j.id < ?", before)
	}
	rows, err := s.pool.Query(ctx, "select "+jobColumns+q.sql.String()+fmt.Sprintf(" order by j.id desc limit %d", limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return list, nil
}

// onlyOne returns the domain that a job is limited to, for the audit; "" if there are none or several.
func onlyOne(domains []string) string {
	if len(domains) == 1 {
		return domains[0]
	}
	return ""
}

// CancelJob ends a job that runs: no session is evicted for it any more, but for those of accounts that are being dealt with. Those that are evicted
// already go. A job that does not run is left as it is.
func (s *Store) CancelJob(ctx context.Context, id int64, by Actor) error {
	if _, ok, err := Made[struct{}](by); ok || err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var kind string
		var filter, kick []byte
		var domains []string
		err := tx.QueryRow(ctx, `update jobs set state = 'cancelled', finished_at = clock_timestamp() where id = $1 and state = 'running' returning kind, filter, kick, domains`, id).
			Scan(&kind, &filter, &kick, &domains)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update job_parts set walked = true where job = $1`, id); err != nil {
			return err
		}
		e := Entry{Action: JobCancel, Target: JobID(id), Domain: onlyOne(domains)}
		scope, _, err := jobOf(kind, filter, kick)
		if err != nil {
			return err
		}
		if scope.Level == rules.LevelAccount {
			e.Account = scope.Subject
		}
		return audit(ctx, tx, by, nil, e)
	})
	if err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	return nil
}

// FinishJobs ends the jobs that have looked at all of their accounts and whose sessions have a proven outcome, and keeps how many sessions they marked; so it
// does for those that were cancelled, when no session of theirs is left to go.
func (s *Store) FinishJobs(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `update jobs set state = case state when 'running' then 'done' else state end, finished_at = coalesce(finished_at, clock_timestamp()),
			marked = (select coalesce(sum(cardinality(sids)), 0) from kicks where id = -jobs.id and id < 0)
		where marked is null and (total is not null or state <> 'running') and not exists (select from job_parts where job = jobs.id and not walked)
			and not exists (select from sessions where evict_kick = -jobs.id and evict_kick < 0 and still_present is not true)`); err != nil {
		return fmt.Errorf("finish jobs: %w", err)
	}
	return nil
}
