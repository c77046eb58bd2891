package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// DecisionFilter says which decisions of all accounts are listed; zero fields filter nothing.
type DecisionFilter struct {
	Domains   []string // nil: all; empty: none
	Outcome   string
	Code      string
	Platforms []string
	Since     time.Time
	Until     time.Time // before it
	After     DecisionPosition
	Limit     int // of the page
}

// chooses reports whether the filter leaves decisions out that are of the time it is about.
func (f DecisionFilter) chooses() bool {
	return f.Domains != nil || f.Outcome != "" || f.Code != "" || f.Platforms != nil
}

// DecisionPosition is a place in the list of all decisions: behind an account's decision, or with the zero Key behind all of that time. Zero is the start.
type DecisionPosition struct {
	At  time.Time
	Key Key
}

// AccountDecision is a kept decision with its account.
type AccountDecision struct {
	Key Key
	JID string
	ListedDecision
}

// DecisionPage is a piece of the list of all decisions.
type DecisionPage struct {
	Decisions []AccountDecision
	Next      *DecisionPosition // where the list goes on; nil: it ends here
}

const (
	decisionLooks = 1000               // decisions that are looked at for one page that chooses
	windowMost    = 10 * decisionLooks // that are sorted for a page
	firstWindow   = 4 * time.Second
)

// ListAllDecisions returns a page of the decisions that pass the filter, the newest first. A list read page by page has every decision exactly once that was there when it
// began; what a filter leaves out costs looks, of which a page has a bounded number. So it may have fewer than the limit, or none, and yet not be the last.
//
// No login pays for a B-tree by time. Decisions lie nearly in the order of their times, so that a BRIN index finds those of a while; what has to be found out is how long a while has as many
// as a page needs and not many more.
func (s *Store) ListAllDecisions(ctx context.Context, f DecisionFilter) (page DecisionPage, err error) {
	// One snapshot: where the page ends and what is on it must not differ.
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		q := &decisionQuery{store: s, tx: tx, filter: f, looks: f.Limit + 1}
		if f.chooses() {
			q.looks = decisionLooks
		}
		page, err = q.read(ctx)
		return err
	})
	if err != nil {
		return page, fmt.Errorf("list all decisions: %w", err)
	}
	return page, nil
}

// decisionQuery reads one page.
type decisionQuery struct {
	store  *Store
	tx     pgx.Tx
	filter DecisionFilter
	looks  int // how many are looked at
}

func (q *decisionQuery) read(ctx context.Context) (page DecisionPage, err error) {
	// What is to be found in a moment waits for no worker to start. And the whole index of the primary key is never read, however cheap that seems where all of it is visible.
	var now time.Time
	if err := q.tx.QueryRow(ctx, "select clock_timestamp() from ("+guard+", set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_indexonlyscan', 'off', true) offset 0) g").Scan(&now); err != nil {
		return page, err
	}
	from, more, err := q.window(ctx, now)
	if err != nil {
		return page, err
	}
	limit := q.filter.Limit
	if !q.filter.chooses() {
		if page.Decisions, err = q.rows(ctx, from, fmt.Sprintf("order by at desc, account desc limit %d", q.looks)); err != nil {
			return page, err
		}
		if !more || len(page.Decisions) > limit {
			page.cut(limit)
			q.remember(page.Decisions)
			return page, nil
		} // else some are of accounts that are erased just now
	}
	if from, more, err = q.bound(ctx, from); err != nil {
		return page, err
	}
	if page.Decisions, err = q.rows(ctx, from, "offset 0"); err != nil { // found by their time
		return page, err
	}
	if !page.cut(limit) && more {
		page.Next = &DecisionPosition{At: from} // it names nobody: what was looked at may be others' than the reader's
	}
	return page, nil
}

// cut makes a page of what was read: one decision more if there are more. It reports whether there are.
func (p *DecisionPage) cut(limit int) bool {
	if len(p.Decisions) <= limit {
		return false
	}
	p.Decisions = p.Decisions[:limit]
	last := p.Decisions[limit-1]
	p.Next = &DecisionPosition{last.At, last.Key}
	return true
}

// bound returns the time of the last decision that is looked at of those since a time, and whether there may be more. All of its time are looked at.
func (q *decisionQuery) bound(ctx context.Context, from time.Time) (last time.Time, more bool, err error) {
	c := q.behind(from)
	var at pgtype.Timestamptz
	err = q.tx.QueryRow(ctx, fmt.Sprintf("select at from decisions%s order by at desc offset %d limit 1", c.sql.String(), q.looks-1), c.args...).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return from, false, nil
	}
	return at.Time, true, err
}

// behind are the conditions of what comes behind the place, is of the filter's time, and not before another.
func (q *decisionQuery) behind(from time.Time) *query {
	f, c := q.filter, &query{}
	c.where("at >= ?", from)
	switch {
	case f.After.Key != (Key{}):
		c.where("at <= ?", f.After.At)
		c.where("(at < ? or account < ?)", f.After.At, uuidOf(f.After.Key))
	case !f.After.At.IsZero():
		c.where("at < ?", f.After.At)
	}
	if !f.Until.IsZero() {
		c.where("at < ?", f.Until)
	}
	return c
}

// rows returns those that fit of some since a time, and no more than one more than the page has.
func (q *decisionQuery) rows(ctx context.Context, from time.Time, some string) ([]AccountDecision, error) {
	f, c := q.filter, q.behind(from)
	if f.Outcome != "" {
		c.where("outcome = ?", f.Outcome)
	}
	if f.Code != "" {
		c.where("code = ?", f.Code)
	}
	if f.Platforms != nil {
		c.where("platform = any(?)", f.Platforms)
	}
	looked := "select * from decisions" + c.sql.String() + " " + some
	c = &query{args: c.args}
	if f.Domains != nil {
		c.where("a.domain = any(?)", f.Domains)
	}
	rows, err := q.tx.Query(ctx, `select d.account, a.jid, d.at, d.resource, coalesce(d.device, 0), d.platform, coalesce(d.generation, 0), d.outcome, d.code, d.evicted, coalesce(d.rule_field, ''), d.rule_level,
			d.explanation, d.shadow, coalesce(d.retry_after, 0), d.repeats, d.last_at
		from (`+looked+`) d join accounts a on a.key = d.account`+c.sql.String()+fmt.Sprintf(" order by d.at desc, d.account desc limit %d", f.Limit+1), c.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d AccountDecision, err error) {
		var key pgtype.UUID
		err = row.Scan(&key, &d.JID, &d.At, &d.Resource, &d.Device, &d.Platform, &d.Generation, &d.Outcome, &d.Code, &d.Evicted, &d.RuleField, &d.RuleLevel,
			&d.Explanation, &d.Shadow, &d.RetryAfter, &d.Repeats, &d.LastAt)
		d.Key = key.Bytes
		return d, err
	})
}

// beginning is before any decision.
var beginning = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// window returns a time behind which there are at least as many decisions before the place as are needed, and not so many that to sort them takes long; or one behind which there are all.
// many: there are as many as are needed.
func (q *decisionQuery) window(ctx context.Context, now time.Time) (from time.Time, many bool, err error) {
	f := q.filter
	until := f.After.At
	if until.IsZero() {
		until = now.Add(time.Millisecond)
		if !f.Until.IsZero() && f.Until.Before(until) {
			until = f.Until
		}
	}
	earliest := beginning
	if f.Since.After(earliest) {
		earliest = f.Since
	}
	count := func(from time.Time) (time.Time, int, error) {
		if from.Before(earliest) {
			from = earliest
		}
		n, err := q.count(ctx, from)
		return from, n, err
	}
	width := q.expected()
	if newest := time.UnixMicro(q.store.newestDecision.Load()); f.After.At.IsZero() && newest.After(earliest) && newest.Before(until) { // the while since, if nothing has happened in it
		from, n, err := count(newest.Add(-width))
		if err != nil || n >= q.looks && n <= windowMost {
			return from, true, err
		}
	}
	tooFew, tooMany := time.Duration(0), time.Duration(math.MaxInt64)
	for {
		from, n, err := count(until.Add(-width))
		switch {
		case err != nil:
			return from, false, err
		case n > windowMost && tooFew < tooMany-time.Millisecond && float64(width) > 1.05*float64(tooFew) && width > time.Millisecond:
			tooMany = width
		case n >= q.looks || n > windowMost || from.Equal(earliest):
			return from, n >= q.looks, nil
		default:
			tooFew = width
		}
		width = q.next(width, n, tooFew, tooMany)
	}
}

// remember keeps how many there are a second on a page, and when the newest was.
func (q *decisionQuery) remember(list []AccountDecision) {
	if len(list) < 2 {
		return
	}
	newest := list[0].At
	if q.filter.After.At.IsZero() && q.filter.Until.IsZero() {
		q.store.newestDecision.Store(newest.UnixMicro())
	}
	if span := newest.Sub(list[len(list)-1].At); span > 0 {
		q.store.decisionRate.Store(math.Float64bits(float64(len(list)) / span.Seconds()))
	}
}

// expected is how wide a window probably has to be.
func (q *decisionQuery) expected() time.Duration {
	rate := math.Float64frombits(q.store.decisionRate.Load()) // 0: none was found
	if rate <= 0 {
		return firstWindow
	}
	return time.Duration(min(max(2*float64(q.looks)/rate, 1e-3), 1e8) * float64(time.Second))
}

// next is how wide a window is tried when one had n.
func (q *decisionQuery) next(width time.Duration, n int, tooFew, tooMany time.Duration) time.Duration {
	switch {
	case tooFew == 0: // too many in the first already
		return width / 8
	case tooMany == math.MaxInt64:
		factor := 32.0
		if n > 0 {
			factor = min(max(2*float64(q.looks)/float64(n), 1.5), factor)
		}
		return time.Duration(min(float64(width)*factor, float64(math.MaxInt64/2)))
	}
	return time.Duration(math.Sqrt(float64(tooFew) * float64(tooMany)))
}

// count returns how many there are from a time on; of more than windowMost, one more than that.
func (q *decisionQuery) count(ctx context.Context, from time.Time) (n int, err error) {
	c := q.behind(from)
	err = q.tx.QueryRow(ctx, "select count(*) from (select from decisions"+c.sql.String()+fmt.Sprintf(" limit %d) d", windowMost+1), c.args...).Scan(&n)
	return n, err
}
