package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// BeginJob counts the accounts of the oldest job that has not begun, link by link, so that their owners can take it up; false: there is none, or another
// process does it.
func (s *Store) BeginJob(ctx context.Context) (begun bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var id int64
		var kind string
		var filter, kick []byte
		var domains []string
		var at time.Time
		err := tx.QueryRow(ctx, "select id, kind, filter, kick, domains, requested_at from jobs where state = 'running' and total is null order by id limit 1 for update skip locked").
			Scan(&id, &kind, &filter, &kick, &domains, &at)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		scope, bulk, err := jobOf(kind, filter, kick)
		if err != nil {
			return err
		}
		p := JobPart{Kind: kind, Scope: scope, Kick: bulk, Domains: domains, RequestedAt: at}
		c := p.Crowd()
		args := c.args(Key{}, 0)
		args["job"] = id
		if _, err := tx.Exec(ctx, `insert into job_parts (job, link, total) select @job::bigint, s.link, count(distinct s.account)
			from sessions s join accounts a on a.key = s.account where `+c.session()+` and `+c.where()+` group by s.link`, args); err != nil {
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

// JobPart is a job's accounts on one link.
type JobPart struct {
	Job    int64
	Kind   string
	Scope  RuleScope // of an apply_rule
	Kick   *BulkKick // of a kick
	Link   string
	By     string // who asked for the job
	Total  int64
	Done   int64
	Cursor Key // the last account that was looked at
	Walked bool

	Domains     []string // only accounts of these; nil: all
	RequestedAt time.Time

	kept Key // the cursor on record
}

// Crowd is the part's accounts.
func (p *JobPart) Crowd() Crowd {
	c := Crowd{RuleScope: p.Scope, Link: p.Link, Domains: p.Domains}
	if p.Kick != nil {
		c.RuleScope, c.kick, c.until = RuleScope{Level: rules.LevelDefault}, p.Kick, p.RequestedAt
		if p.Kick.Filter.Group != "" {
			c.RuleScope = RuleScope{rules.LevelGroup, p.Kick.Filter.Group}
		}
	}
	return c
}

// unheld is the condition for a job j on a link to go on: the brake holds up what rules want, not what an operator asks for.
const unheld = `(j.kind = '` + JobKick + `' or exists (select from links where name = $1 and mode = '` + Enforcing + `'))`

// NextPart returns the part of a link that is to be worked on now: the oldest that is not done, of a kick if there is one. ErrNotFound if there is none, or if the
// link's mode holds up what rules want.
func (s *Store) NextPart(ctx context.Context, link string) (JobPart, error) {
	p := JobPart{Link: link}
	var filter, kick []byte
	var cursor pgtype.UUID
	err := s.pool.QueryRow(ctx, `select p.job, j.kind, j.filter, j.kick, j.domains, j.requested_at, j.requested_by, p.total, p.done, p.cursor from job_parts p join jobs j on j.id = p.job
		where p.link = $1 and not p.walked and j.state = 'running' and `+unheld+` order by j.kind = '`+JobKick+`' desc, p.job limit 1`, link).
		Scan(&p.Job, &p.Kind, &filter, &kick, &p.Domains, &p.RequestedAt, &p.By, &p.Total, &p.Done, &cursor)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrNotFound
	}
	if err != nil {
		return p, fmt.Errorf("next part: %w", err)
	}
	p.Cursor, p.kept = cursor.Bytes, cursor.Bytes
	if p.Scope, p.Kick, err = jobOf(p.Kind, filter, kick); err != nil {
		return p, fmt.Errorf("next part: %w", err)
	}
	return p, nil
}

// SavePart keeps how far the owner of the link has come; false: the job was cancelled or has to look again, or the link belongs to another process now. What was done
// while the job was cancelled counts.
func (s *Store) SavePart(ctx context.Context, f Fence, p *JobPart) (goesOn bool, err error) {
	err = s.pool.QueryRow(ctx, `update job_parts o set done = $4, cursor = $5, walked = o.walked or $6 from jobs j where o.job = $2 and o.link = $1 and o.cursor = $7 and j.id = o.job
			and (j.state = 'cancelled' or j.state = 'running' and not o.walked and `+unheld+`) and exists (select from links where name = $1 and fence = $3) returning j.state = 'running'`,
		f.Link, p.Job, f.Value, p.Done, uuidOf(p.Cursor), p.Walked, uuidOf(p.kept)).Scan(&goesOn)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("save part: %w", err)
	}
	p.kept = p.Cursor
	return goesOn, nil
}

// Outstanding counts the sessions of a link that the server is being asked to end, up to limit. Those that live on in spite of it do not count.
func (s *Store) Outstanding(ctx context.Context, link string, limit int) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (select from sessions where link = $1 and evict_next is not null and still_present is not true limit $2) o`, link, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("outstanding evictions: %w", err)
	}
	return n, nil
}
