package gate

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/store"
)

// bulkKicks are the operations that kick what a job's filter finds of accounts. They add the sessions that go to evicted. One that is done again finds that they go.
func bulkKicks(fence store.Fence, p store.JobPart, jids []string, evicted *atomic.Int64) (ops []*op) {
	selector := jobSelector(p)
	for _, jid := range jids {
		ops = append(ops, &op{want: store.Want{Key: store.KeyOf(jid), JID: jid, Known: p.Kick.Block || p.Kick.Revoke}, fence: fence, apply: func(r *store.Record) func() {
			if r == nil || p.Kick.Filter.Group != "" && r.Group != p.Kick.Filter.Group {
				return nil
			}
			n := applyBulkKick(r, p, selector)
			return func() { evicted.Add(int64(n)) }
		}})
	}
	return ops
}

// applyBulkKick kicks the sessions of an account on the part's link that the job is for, and returns how many go.
func applyBulkKick(r *store.Record, p store.JobPart, selector []byte) int {
	k := newKicking(r, -p.Job, p.Kick.Text)
	var hit []*store.Session
	var generations []int64
	for _, s := range r.Sessions {
		if s.Link == p.Link && p.Kick.For(s, p.RequestedAt) {
			hit, generations = append(hit, s), append(generations, s.Generation)
		}
	}
	if len(hit) == 0 {
		return 0
	}
	if p.Kick.Block {
		for _, s := range hit {
			k.block(r.Device(s.Device))
		}
	}
	for _, s := range r.Sessions {
		if !s.Going() && (slices.Contains(hit, s) || k.bars(s)) {
			k.kick(s)
			if p.Kick.Cooldown > 0 {
				makeWait(r, s, time.Duration(p.Kick.Cooldown)*time.Second)
			}
		}
	}
	if p.Kick.Revoke {
		revoke(r, -p.Job, KickSelect{All: p.Kick.Filter.OfAccounts(), Sessions: generations})
	}
	thaw(r)
	k.close(p.By, p.Kick.Reason, selector)
	return len(k.sids)
}

// named gives a kick the platforms that its filter's name stands for now.
func (g *Gate) named(ctx context.Context, k store.BulkKick) (store.BulkKick, error) {
	if k.Filter.Platform == "" {
		return k, nil
	}
	platforms, err := g.store.FindPlatforms(ctx)
	if err == nil {
		k.Platforms = platforms.Named(k.Filter.Platform)
	}
	return k, err
}

// CountKick counts what KickMany would end if it were asked for now. It shares its turns with Preview: ErrOverloaded if one does not come soon enough, or the
// count takes too long.
func (g *Gate) CountKick(ctx context.Context, k store.BulkKick, domains []string) (accounts, sessions int64, err error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	leave, err := g.previewTurn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	if k, err = g.named(ctx, k); err == nil {
		accounts, sessions, err = g.store.CountKick(ctx, k, domains)
	}
	if err != nil && ctx.Err() != nil && caller.Err() == nil {
		return 0, 0, ErrOverloaded
	}
	return accounts, sessions, err
}

// KickMany accepts the kick of all sessions that a filter finds: those that live when it is put on record. They are kicked bit by bit, at a bounded rate for each link, by the
// links' owners; while a link is down they wait for it. domains limit it to their accounts; nil: not.
func (g *Gate) KickMany(ctx context.Context, k store.BulkKick, domains []string, by store.Actor) (job int64, err error) {
	if k, err = g.named(ctx, k); err != nil {
		return 0, err
	}
	return g.store.AcceptKick(ctx, k, domains, by)
}
