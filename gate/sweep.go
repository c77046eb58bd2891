package gate

import (
	"context"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const sweepBatch = 500

// sweep gives up binds that never came, closes loops whose time is over, and judges sessions that a crash left without a decision.
func (g *Gate) sweep(ctx context.Context) error {
	overdue, err := g.store.Overdue(ctx, sweepBatch)
	if err != nil {
		return err
	}
	for _, jid := range overdue {
		g.do(&op{want: store.Want{Key: store.KeyOf(jid), JID: jid}, apply: abandon(g)})
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

func abandon(g *Gate) func(*store.Record) func() {
	return func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		link := ""
		for _, s := range slices.Clone(r.Sessions) {
			if s.State == rules.Binding && s.BindDeadline.Before(r.Now) {
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
