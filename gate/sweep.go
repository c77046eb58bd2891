package gate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const (
	sweepBatch = 500
	// settleWithin is how long after a module's hello the comparison with it may take before binds are given up without.
	settleWithin = time.Minute
	// orphanedBind is how long a bind is waited for while its server cannot report it. When the server is back, a bind that was waited for stands as it was let in; one that was not
	// is decided anew, without its grant. So it is longer than what it may have been let in past: a displaced device waits for an hour at most. A link that was
	// removed for good leaves no session binding for longer.
	orphanedBind = time.Hour
)

// sweep gives up binds that never came, closes loops whose time is over, and judges sessions that a crash left without a decision.
func (g *Gate) sweep(ctx context.Context) error {
	for _, l := range g.owned() {
		if domains := g.settled(l); len(domains) > 0 {
			if err := g.abandonOverdue(ctx, domains, 0, g.fence(l)); err != nil {
				return err
			}
		}
	}
	if err := g.abandonOverdue(ctx, nil, orphanedBind, store.Fence{}); err != nil {
		return err
	}
	loops, err := g.store.OverdueLoops(ctx, sweepBatch)
	if err != nil {
		return err
	}
	for _, l := range loops {
		g.do(&op{want: store.Want{Key: l.Account, JID: l.JID}, apply: func(r *store.Record) func() {
			if r == nil {
				return nil
			}
			thaw(r)
			if d := r.Standing.Of(l.Party); d == nil || d.FrozenUntil.IsZero() {
				r.CloseLoop(l) // also where nothing is known of it any more
			}
			return nil
		}})
	}
	erasing, err := g.store.Erasing(ctx, sweepBatch)
	if err != nil {
		return err
	}
	for _, jid := range erasing {
		g.endAgain(jid)
	}
	for _, l := range g.owned() {
		waiting, err := g.store.Unjudged(ctx, l, sweepBatch)
		if err != nil {
			return err
		}
		for _, jid := range waiting {
			g.judge(l, jid)
		}
	}
	return nil
}

// abandonOverdue gives up the binds that should have come so long ago. Only who hears of the binds of some domains may do that at once.
func (g *Gate) abandonOverdue(ctx context.Context, domains []string, ago time.Duration, fence store.Fence) error {
	overdue, err := g.store.Overdue(ctx, domains, ago, sweepBatch)
	if err != nil {
		return err
	}
	for _, jid := range overdue {
		g.do(&op{want: store.Want{Key: store.KeyOf(jid), JID: jid}, fence: fence, apply: abandon(g, ago)})
	}
	return nil
}

func abandon(g *Gate, ago time.Duration) func(*store.Record) func() {
	return func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		link := ""
		for _, s := range slices.Clone(r.Sessions) {
			if s.State == rules.Binding && s.BindDeadline.Before(r.Now.Add(-ago)) {
				end(r, s, "abandoned")
				g.stats.Abandoned.Add(1)
				link = s.Link
			}
		}
		if link == "" || !unjudged(r) {
			return nil
		}
		return func() { g.judge(link, r.JID) }
	}
}

func split(bareJID string) (user, domain string) {
	user, domain, _ = strings.Cut(bareJID, "@")
	return user, domain
}
