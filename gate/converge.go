package gate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// What bounds the evictions of a link that no login asks for, so that logins are not delayed by them.
const (
	evictRate        = 250  // sessions a second
	evictOutstanding = 1000 // sessions that the server is being asked to end; more wait until their ends are seen
	evictAccounts    = 25   // in one go
	walkAccounts     = 200  // that are looked at and judged in one read
	kickAccounts     = 2000 // that are looked at in one read for a kick, which judges only the sessions that it is for
)

const (
	convergePoll = 500 * time.Millisecond // how late a job is seen
	roomPoll     = 100 * time.Millisecond
)

// tendJobs has rules expire, and begins and finishes jobs. Any number of processes may do it: each rule expires once, each job begins once.
func (g *Gate) tendJobs(ctx context.Context) error {
	var errs []error
	for n := sweepBatch; n == sweepBatch; {
		var err error
		n, err = g.store.ExpireRules(ctx, sweepBatch)
		errs = append(errs, err)
	}
	for begun := true; begun; {
		var err error
		begun, err = g.store.BeginJob(ctx)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, g.store.FinishJobs(ctx))...)
}

// converger works on the jobs that have accounts on a link, one after the other. It goes on where whoever owned the link before has stopped.
func (g *Gate) converger(ctx context.Context, fence store.Fence) error {
	return g.every(ctx, convergePoll, "bringing accounts within their rules", func(ctx context.Context) error {
		for {
			p, err := g.store.NextPart(ctx, fence.Link)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := g.walkPage(ctx, fence, p); err != nil {
				return err
			}
		}
	})
}

// walkPage does what a part wants to the next of its accounts. How far it has come is kept after each step, so that a step which is done again finds nothing to do.
// It ends early when the job is cancelled.
func (g *Gate) walkPage(ctx context.Context, fence store.Fence, p store.JobPart) error {
	begin := time.Now()
	size, makeOps := walkAccounts, within
	if p.Kick != nil {
		size, makeOps = kickAccounts, bulkKicks
	}
	page, err := g.store.Walk(ctx, p.Crowd(), p.Cursor, size)
	if err != nil {
		return err
	}
	todo := page.JIDs
	if p.Kick == nil {
		if todo, err = g.over(ctx, page.JIDs); err != nil {
			return err
		}
	}
	pause(ctx, time.Since(begin)) // looking leaves room for logins too
	before := p.Done
	for some := range slices.Chunk(todo, evictAccounts) {
		if err := g.room(ctx, fence.Link); err != nil {
			return err
		}
		if err := g.evictSome(ctx, fence.Link, func(evicted *atomic.Int64) []*op { return makeOps(fence, p, some, evicted) }); err != nil {
			return err
		}
		last := some[len(some)-1]
		p.Cursor, p.Done = store.KeyOf(last), min(before+int64(slices.Index(page.JIDs, last)+1), p.Total)
		if goesOn, err := g.store.SavePart(ctx, fence, &p); err != nil || !goesOn {
			return err
		}
	}
	p.Cursor, p.Done, p.Walked = page.Last, min(before+int64(len(page.JIDs)), p.Total), !page.More
	if p.Walked {
		p.Done = p.Total // whoever was not met has gone since they were counted
	}
	_, err = g.store.SavePart(ctx, fence, &p)
	return err
}

// over returns those of the accounts that are over their limits.
func (g *Gate) over(ctx context.Context, jids []string) (over []string, err error) {
	records, err := g.peek(ctx, jids)
	for _, r := range records {
		if excess(r).Outcome != rules.Allow {
			over = append(over, r.JID)
		}
	}
	return over, err
}

// within are the operations that bring accounts within their limits for a job. They add the sessions that go to evicted.
func within(fence store.Fence, p store.JobPart, jids []string, evicted *atomic.Int64) (ops []*op) {
	selector := jobSelector(p)
	for _, jid := range jids {
		ops = append(ops, &op{want: store.Want{Key: store.KeyOf(jid), JID: jid}, fence: fence, apply: func(r *store.Record) func() {
			if r == nil || braked(r) {
				return nil
			}
			d := excess(r)
			if d.Outcome == rules.Allow {
				return nil
			}
			sids := make([]string, 0, len(d.Evict))
			for _, n := range d.Evict {
				s := r.ByGeneration(n)
				r.Evict(s, store.Eviction{Code: "rule", Kick: -p.Job, NextAt: r.Now})
				sids = append(sids, s.SID)
			}
			if len(sids) > 0 {
				r.SaveKick(store.Kick{ID: -p.Job, RequestedBy: p.By, Selector: selector, SIDs: sids})
			}
			r.Decide(decisionOf(&store.Session{}, d, ""))
			return func() { evicted.Add(int64(len(sids))) }
		}})
	}
	return ops
}

// jobSelector is how a kick on record names the job that it is of.
func jobSelector(p store.JobPart) []byte {
	b, _ := json.Marshal(map[string]string{"job": store.JobID(p.Job)}) // strings always encode
	return b
}

// excess judges an account by its present rule.
func excess(r *store.Record) rules.Decision {
	rule := rules.Merge(r.Levels...)
	return rules.Excess(factsOf(r, rule), r.Now)
}

// factsOf are those of an account that nobody logs in to.
func factsOf(r *store.Record, rule rules.Effective) rules.Facts {
	f := rules.Facts{Account: r.JID, Group: r.Group, Rule: rule, Groups: r.Platforms.Groups}
	for _, s := range r.Sessions {
		if s.Eviction == nil {
			f.Sessions = append(f.Sessions, factOf(r, s, &rule))
		}
	}
	return f
}

// peek looks at accounts. One that cannot be read, whose rule is none, is left out, lest it keep the others from what is due.
func (g *Gate) peek(ctx context.Context, jids []string) ([]*store.Record, error) {
	records, err := g.store.Peek(ctx, jids)
	if err == nil || hopeless(err) || ctx.Err() != nil {
		return records, err
	}
	for _, jid := range jids {
		one, err := g.store.Peek(ctx, []string{jid})
		if err != nil && (hopeless(err) || ctx.Err() != nil) {
			return nil, err
		}
		if err != nil {
			g.log.WarnContext(ctx, "an account cannot be looked at", "account", jid, "error", err)
		}
		records = append(records, one...)
	}
	return records, nil
}

// room waits until the server is not being asked to end too many of a link's sessions; while the link is down, until it is back.
func (g *Gate) room(ctx context.Context, link string) error {
	for {
		n, err := g.store.Outstanding(ctx, link, evictOutstanding)
		if err != nil || n < evictOutstanding {
			return err
		}
		if !pause(ctx, roomPoll) {
			return ctx.Err()
		}
	}
}

// evictSome does operations on distinct accounts that evict sessions of a link, and takes its time behind them. An account that cannot be dealt with at all is
// passed over; one that is busy is an error, to be tried again.
func (g *Gate) evictSome(ctx context.Context, link string, prepare func(evicted *atomic.Int64) []*op) error {
	var evicted atomic.Int64
	begin := time.Now()
	err := g.awaitAll(ctx, prepare(&evicted))
	g.wake(link)
	if err != nil {
		return err
	}
	pause(ctx, time.Duration(evicted.Load())*time.Second/evictRate-time.Since(begin))
	return ctx.Err()
}

// awaitAll does operations on distinct accounts and waits for all of them.
func (g *Gate) awaitAll(ctx context.Context, ops []*op) error {
	done := make(chan error, len(ops))
	for _, o := range ops {
		g.begin(o, done)
	}
	var first error
	for range ops {
		select {
		case err := <-done:
			switch {
			case err == nil:
			case hopeless(err) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrStopped) || errors.Is(err, store.ErrBusy):
				if first == nil {
					first = err
				}
			default:
				g.log.WarnContext(ctx, "an account could not be dealt with", "link", ops[0].fence.Link, "error", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}
