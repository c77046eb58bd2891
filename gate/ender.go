package gate

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const (
	enderPoll  = 2 * time.Second        // between two walks
	endScan    = 5000                   // sessions that are looked at in one read
	endPause   = 100 * time.Millisecond // between two reads
	endTimeout = 5 * time.Second        // for a server to say how idle sessions are
)

// ender ends the sessions of a link that are older, or longer idle, than their rule allows. While no rule says so it asks for the rules and no more.
//
// The record knows of a session's activity no more than was last told of it. So one that seems idle is ended only by what its server says now; while the link is
// down nobody is found idle.
func (g *Gate) ender(ctx context.Context, fence store.Fence) error {
	w := &endWalk{gate: g, fence: fence}
	return g.every(ctx, enderPoll, "ending sessions that are over their time", w.run)
}

// endWalk is one walk through a link's sessions after the other.
type endWalk struct {
	gate  *Gate
	fence store.Fence
	// told are the sessions that a rule which is not enforced would have ended, as of the last walk and of this: each is told once.
	told, telling map[ending]bool
	deaf          map[Source]error // of this walk: modules that did not answer
}

type ending struct {
	account    store.Key
	generation int64
}

func (w *endWalk) run(ctx context.Context) error {
	if mode, _, err := w.gate.store.LinkMode(ctx, w.fence.Link); err != nil || mode != ModeEnforce {
		return err
	}
	e, err := w.gate.store.Endings(ctx)
	if err != nil {
		return err
	}
	w.telling, w.deaf = map[ending]bool{}, map[Source]error{}
	if w.gate.connOf(w.fence.Link) == nil {
		e = e.WithoutIdle()
	}
	if e.Wide() {
		if err := w.wide(ctx, e); err != nil {
			return err
		}
	}
	if e.Accounts {
		if err := w.accounts(ctx); err != nil {
			return err
		}
	}
	w.told = w.telling
	var errs []error
	for _, err := range w.deaf {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// wide walks all sessions of the link, for the rules of many accounts.
func (w *endWalk) wide(ctx context.Context, e store.Endings) error {
	var at store.SessionPosition
	for {
		page, err := w.gate.store.Ending(ctx, w.fence.Link, e, at, endScan)
		if err != nil {
			return err
		}
		if err := w.look(ctx, page.JIDs); err != nil {
			return err
		}
		if !page.More {
			return nil
		}
		at = page.Next
		if !pause(ctx, endPause) {
			return ctx.Err()
		}
	}
}

// accounts walks the accounts whose own rules end sessions.
func (w *endWalk) accounts(ctx context.Context) error {
	for after := ""; ; {
		jids, err := w.gate.store.EndingAccounts(ctx, after, walkAccounts)
		if err != nil {
			return err
		}
		if err := w.look(ctx, jids); err != nil {
			return err
		}
		if len(jids) < walkAccounts {
			return nil
		}
		after = jids[len(jids)-1]
	}
}

// look judges accounts by what is on record, ends the sessions that are too old, and asks the server about those that may be idle.
func (w *endWalk) look(ctx context.Context, jids []string) error {
	for some := range slices.Chunk(jids, walkAccounts) {
		records, err := w.gate.peek(ctx, some)
		if err != nil {
			return err
		}
		var old, idle []due
		for _, r := range records {
			o, i, err := w.judge(ctx, r)
			if err != nil {
				return err
			}
			old, idle = append(old, o...), append(idle, i...)
		}
		for some := range slices.Chunk(old, evictAccounts) {
			if err := w.end(ctx, some, nil); err != nil {
				return err
			}
		}
		if err := w.ask(ctx, idle); err != nil {
			return err
		}
	}
	return nil
}

// due is a session that is over its time.
type due struct {
	jid string
	ending
}

// judge returns the sessions of an account on the link that are too old, and those that are idle for too long as far as the record knows; but for those of
// which that was told already, and nothing else follows.
func (w *endWalk) judge(ctx context.Context, r *store.Record) (old, idle []due, err error) {
	rule := rules.Merge(r.Levels...)
	enforced := rule.Enforce
	rule.Enforce = true // to have them named
	f := factsOf(r, rule)
	all := rules.Overdue(f, r.Now).Evict
	f.Rule.MaxIdleSeconds = nil
	aged := rules.Overdue(f, r.Now).Evict
	for _, n := range all {
		s, d := r.ByGeneration(n), due{r.JID, ending{r.Key, n}}
		if s.Link != w.fence.Link {
			continue
		}
		isOld := slices.Contains(aged, n)
		if !enforced {
			since := s.LastSeenAt
			limit := rule.MaxIdleSeconds
			if isOld {
				since, limit = s.StartedAt, rule.MaxSessionAgeSeconds
			}
			told := w.told[d.ending]
			if !told {
				if told, err = w.gate.store.ToldEnding(ctx, r.Key, n, since.Add(time.Duration(*limit)*time.Second)); err != nil {
					return nil, nil, err
				}
			}
			if told {
				w.telling[d.ending] = true
				continue
			}
		}
		if isOld {
			old = append(old, d)
		} else {
			idle = append(idle, d)
		}
	}
	return old, idle, nil
}

// ask has the server say how idle sessions are, bucket by bucket, and ends those that it says are.
func (w *endWalk) ask(ctx context.Context, idle []due) error {
	for len(idle) > 0 {
		_, domain := split(idle[0].jid)
		bucket := idle[0].account.Bucket()
		same := func(d due) bool {
			_, other := split(d.jid)
			return other == domain && d.account.Bucket() == bucket
		}
		var here, rest []due
		for _, d := range idle {
			if same(d) {
				here = append(here, d)
			} else {
				rest = append(rest, d)
			}
		}
		idle = rest
		src := w.gate.sourceOf(w.fence.Link, domain)
		conn := w.gate.connOf(w.fence.Link)
		if w.deaf[src] != nil || conn == nil || !w.gate.able(src, "snapshot") {
			continue
		}
		if err := w.gate.room(ctx, w.fence.Link); err != nil {
			return err
		}
		v := &fresh{asked: time.Now()}
		if err := v.fetch(ctx, conn, src, bucket); err != nil {
			w.deaf[src] = err
			continue
		}
		if err := w.end(ctx, here, v); err != nil {
			return err
		}
	}
	return nil
}

// fresh is what a server says of the sessions of a bucket.
type fresh struct {
	Part
	asked time.Time
}

func (v *fresh) fetch(ctx context.Context, conn Link, src Source, bucket int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	v.Part, err = conn.Snapshot(ctx, src, bucket, 1, "")
	if err == nil && (v.First != bucket || v.Count != 1) {
		err = errors.New("the module answered for other buckets than it was asked for")
	}
	return err
}

// of are the sessions of one account.
func (v *fresh) of(user string) (listed []Listed) {
	for _, l := range v.Sessions {
		if l.User == user {
			listed = append(listed, l)
		}
	}
	return listed
}

// end has sessions end that are over their time when that is looked at again under their account's lock: by age, or with what the server says by idleness too.
// Each gets a decision of its own.
func (w *endWalk) end(ctx context.Context, list []due, v *fresh) error {
	for len(list) > 0 {
		if err := w.gate.room(ctx, w.fence.Link); err != nil {
			return err
		}
		var now, later []due // one of each account now
		for _, d := range list {
			if slices.ContainsFunc(now, func(o due) bool { return o.account == d.account }) {
				later = append(later, d)
			} else {
				now = append(now, d)
			}
		}
		list = later
		if err := w.gate.evictSome(ctx, w.fence.Link, func(evicted *atomic.Int64) (ops []*op) {
			for _, d := range now {
				ops = append(ops, w.ends(d, v, evicted))
			}
			return ops
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *endWalk) ends(d due, v *fresh, evicted *atomic.Int64) *op {
	g := w.gate
	want := store.Want{Key: d.account, JID: d.jid}
	var listed []Listed
	if v != nil {
		user, _ := split(d.jid)
		listed = v.of(user)
		want.Create = len(listed) > 0
		for _, l := range listed {
			want.SIDs = append(want.SIDs, l.SID)
		}
	}
	return &op{want: want, fence: w.fence, apply: func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		at := r.Now
		if v != nil {
			old := time.Since(v.asked)
			heal(r, view{Source: v.Source, epoch: v.Epoch, seq: v.Seq, sessions: listed, old: old})
			at = at.Add(-old) // how idle it was when the server looked, and no more
		}
		ended := !braked(r) && overTime(r, d.generation, at, v != nil)
		return func() {
			if ended {
				evicted.Add(1)
			}
			if unjudged(r) {
				g.judge(w.fence.Link, r.JID)
			}
		}
	}}
}

// overTime judges one session, and evicts it if it is over its time; that is kept as a decision, also where the rule is not enforced.
func overTime(r *store.Record, generation int64, at time.Time, idleToo bool) (ends bool) {
	s := r.ByGeneration(generation)
	if s == nil || s.Eviction != nil {
		return false
	}
	rule := rules.Merge(r.Levels...)
	if !idleToo {
		rule.MaxIdleSeconds = nil
	}
	f := factsOf(r, rule)
	f.Sessions = slices.DeleteFunc(f.Sessions, func(o rules.Session) bool { return o.Generation != generation })
	d := rules.Overdue(f, at)
	if d.Outcome == rules.Allow {
		return false
	}
	r.Decide(decisionOf(s, d, ""))
	if d.Shadow {
		return false
	}
	r.Evict(s, store.Eviction{Code: "expired", NextAt: r.Now})
	return true
}
