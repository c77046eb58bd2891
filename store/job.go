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

	JobRunning   = "running"
	JobDone      = "done"
	JobCancelled = "cancelled"
)

// Job is something that was accepted to be done to the live sessions of many accounts.
type Job struct {
	ID           int64
	Kind         string
	Scope        RuleScope // whose accounts
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

// acceptJob puts a job on record; whatever becomes of this process, it is done.
func acceptJob(ctx context.Context, tx pgx.Tx, kind string, scope RuleScope, by Actor) (id int64, err error) {
	filter, err := json.Marshal(jobFilter(scope))
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "insert into jobs (kind, filter, requested_at, requested_by) values ($1, $2, clock_timestamp(), $3) returning id", kind, string(filter), by.String()).Scan(&id)
	return id, err
}

// FindJob returns a job with its progress, all of one moment; ErrNotFound.
func (s *Store) FindJob(ctx context.Context, id int64) (Job, error) {
	j := Job{ID: id}
	var filter []byte
	var total pgtype.Int8
	var finished pgtype.Timestamptz
	var evicted int64
	err := s.pool.QueryRow(ctx, `select j.kind, j.filter, j.state, j.requested_at, j.requested_by, j.total, j.finished_at,
			(select coalesce(sum(done), 0)::bigint from job_parts where job = j.id),
			(select coalesce(sum(cardinality(sids)), 0)::bigint from kicks where id = -j.id and id < 0),
			l.pending, l.still
		from jobs j cross join lateral (
			select count(*) filter (where still_present is not true) as pending, count(*) filter (where still_present) as still from sessions where evict_kick = -j.id and evict_kick < 0) l
		where j.id = $1`, id).
		Scan(&j.Kind, &filter, &j.State, &j.RequestedAt, &j.RequestedBy, &total, &finished, &j.Done, &evicted, &j.Pending, &j.StillPresent)
	if errors.Is(err, pgx.ErrNoRows) {
		return j, ErrNotFound
	}
	if err != nil {
		return j, fmt.Errorf("find job: %w", err)
	}
	if j.Scope, err = scopeOf(filter); err != nil {
		return j, fmt.Errorf("find job: %w", err)
	}
	j.Begun, j.Total, j.FinishedAt = total.Valid, total.Int64, finished.Time
	j.Kicked = evicted - j.Pending - j.StillPresent
	return j, nil
}

func scopeOf(filter []byte) (RuleScope, error) {
	var f jobFilter
	err := json.Unmarshal(filter, &f)
	return RuleScope(f), err
}

// CancelJob ends a job that runs: no session is evicted for it any more, but for those of accounts that are being dealt with. Those that are evicted
// already go. A job that does not run is left as it is.
func (s *Store) CancelJob(ctx context.Context, id int64, by Actor) error {
	if _, ok, err := Made[struct{}](by); ok || err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var filter []byte
		err := tx.QueryRow(ctx, `update jobs set state = 'cancelled', finished_at = clock_timestamp() where id = $1 and state = 'running' returning filter`, id).Scan(&filter)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update job_parts set walked = true where job = $1`, id); err != nil {
			return err
		}
		e := Entry{Action: JobCancel, Target: JobID(id)}
		switch scope, err := scopeOf(filter); {
		case err != nil:
			return err
		case scope.Level == rules.LevelAccount:
			e.Account = scope.Subject
		case scope.Level == rules.LevelDomain:
			e.Domain = scope.Subject
		}
		return audit(ctx, tx, by, nil, e)
	})
	if err != nil {
		return fmt.Errorf("cancel job: %w", err)
	}
	return nil
}

// BeginJob counts the accounts of the oldest job that has not begun, link by link, so that their owners can take it up; false: there is none, or another
// process does it.
func (s *Store) BeginJob(ctx context.Context) (begun bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var id int64
		var filter []byte
		err := tx.QueryRow(ctx, "select id, filter from jobs where state = 'running' and total is null order by id limit 1 for update skip locked").Scan(&id, &filter)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		scope, err := scopeOf(filter)
		if err != nil {
			return err
		}
		c := Crowd{RuleScope: scope}
		args := c.args(Key{}, 0)
		args["job"] = id
		if _, err := tx.Exec(ctx, `insert into job_parts (job, link, total) select @job::bigint, s.link, count(distinct s.account)
			from sessions s join accounts a on a.key = s.account where s.evict_code is null and `+c.where()+` group by s.link`, args); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update jobs set total = (select coalesce(sum(total), 0) from job_parts where job = $1) where id = $1`, id)
		begun = true
		return err
	})
	if err != nil {
		return false, fmt.Errorf("begin job: %w", err)
	}
	return begun, nil
}

// FinishJobs ends the jobs that have looked at all of their accounts and whose sessions have a proven outcome.
func (s *Store) FinishJobs(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `update jobs set state = 'done', finished_at = clock_timestamp()
		where state = 'running' and total is not null and not exists (select from job_parts where job = jobs.id and not walked)
			and not exists (select from sessions where evict_kick = -jobs.id and evict_kick < 0 and still_present is not true)`); err != nil {
		return fmt.Errorf("finish jobs: %w", err)
	}
	return nil
}

// JobPart is a job's accounts on one link.
type JobPart struct {
	Job    int64
	Kind   string
	Scope  RuleScope
	Link   string
	By     string // who asked for the job
	Total  int64
	Done   int64
	Cursor Key // the last account that was looked at
	Walked bool

	kept Key // the cursor on record
}

// NextPart returns the oldest part of a link that is not done; ErrNotFound if there is none, or if the link's mode holds up what rules want.
func (s *Store) NextPart(ctx context.Context, link string) (JobPart, error) {
	p := JobPart{Link: link}
	var filter []byte
	var cursor pgtype.UUID
	err := s.pool.QueryRow(ctx, `select p.job, j.kind, j.filter, j.requested_by, p.total, p.done, p.cursor from job_parts p join jobs j on j.id = p.job
		where p.link = $1 and not p.walked and j.state = 'running' and exists (select from links where name = $1 and mode = '`+Enforcing+`') order by p.job limit 1`, link).Scan(&p.Job, &p.Kind, &filter, &p.By, &p.Total, &p.Done, &cursor)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrNotFound
	}
	if err != nil {
		return p, fmt.Errorf("next part: %w", err)
	}
	p.Cursor, p.kept = cursor.Bytes, cursor.Bytes
	if p.Scope, err = scopeOf(filter); err != nil {
		return p, fmt.Errorf("next part: %w", err)
	}
	return p, nil
}

// SavePart keeps how far the owner of the link has come; false: the job was cancelled or has to look again, or the link belongs to another process now.
func (s *Store) SavePart(ctx context.Context, f Fence, p *JobPart) (goesOn bool, err error) {
	tag, err := s.pool.Exec(ctx, `update job_parts set done = $5, cursor = $6, walked = $7 where job = $1 and link = $2 and not walked and cursor = $8
			and exists (select from jobs where id = $1 and state = 'running') and exists (select from links where name = $3 and fence = $4 and mode = '`+Enforcing+`')`,
		p.Job, p.Link, f.Link, f.Value, p.Done, uuidOf(p.Cursor), p.Walked, uuidOf(p.kept))
	if err != nil {
		return false, fmt.Errorf("save part: %w", err)
	}
	p.kept = p.Cursor
	return tag.RowsAffected() > 0, nil
}

// Outstanding counts the sessions of a link that the server is being asked to end, up to limit. Those that live on in spite of it do not count.
func (s *Store) Outstanding(ctx context.Context, link string, limit int) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (select from sessions where link = $1 and evict_next is not null and still_present is not true limit $2) o`, link, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("outstanding evictions: %w", err)
	}
	return n, nil
}
