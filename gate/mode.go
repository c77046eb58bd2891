package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// The modes of a link: the emergency brake. Under observe and off every bind is let in and nobody is sent away but by an operator's kick. What would have
// been decided is kept as a shadow decision; under off the server does not ask, so that is done after the bind. Back under enforce, rules hold from each
// account's next login on, as after a change of the rule: who was let in is not judged again, unless its device is blocked.
const (
	ModeEnforce = store.Enforcing
	ModeObserve = "observe"
	ModeOff     = "off"
)

const (
	modePoll    = 500 * time.Millisecond // how late a mode that another replica was given is seen
	modeTimeout = 5 * time.Second
)

// ModeRequest asks for a mode of a link.
type ModeRequest struct {
	Link string
	Mode string
	By   store.Actor
}

// braked reports whether rules are not to be carried out on the record's link. It is read in the transaction that acts on it.
func braked(r *store.Record) bool { return r.LinkMode != ModeEnforce }

// SetMode keeps the mode of a link in the record, durably, and waits until every module of the link has confirmed it, or until wait is over; applied says
// which. From the commit on nobody is refused or evicted otherwise than the mode says, whatever the modules know of it yet. What is not applied is done by the link's
// owner as soon as the modules can be told. store.ErrNotFound if there is no such link.
func (g *Gate) SetMode(ctx context.Context, req ModeRequest, wait time.Duration) (status LinkStatus, applied bool, err error) {
	change, err := g.store.SetLinkMode(ctx, req.Link, req.Mode, req.By)
	if err != nil {
		return LinkStatus{}, false, err
	}
	g.log.WarnContext(ctx, "the mode of a link was set", "link", req.Link, "mode", req.Mode, "by", req.By.String())
	g.steerNow(req.Link)
	deadline := time.Now().Add(wait)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		links, err := g.Links(ctx)
		if err != nil {
			return LinkStatus{}, false, err
		}
		i := slices.IndexFunc(links, func(l LinkStatus) bool { return l.Name == req.Link })
		if i < 0 {
			return LinkStatus{}, false, store.ErrNotFound
		}
		if applied = links[i].ModeChange >= change; applied || time.Now().After(deadline) {
			return links[i], applied, nil
		}
		select {
		case <-ctx.Done():
			return LinkStatus{}, false, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// steerer keeps the modules of a link in the mode that the record wants.
func (g *Gate) steerer(ctx context.Context, l *link, fence store.Fence) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	t := trouble{log: g.log.With("link", l.name), what: "setting the mode of the server's modules"}
	var last string // the mode before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.steer:
		case <-timer.C:
		}
		mode, err := g.steerOnce(ctx, l, fence, last)
		if err == nil {
			last = mode
		}
		t.note(ctx, err)
		timer.Reset(modePoll)
	}
}

func (g *Gate) steerOnce(ctx context.Context, l *link, fence store.Fence, last string) (mode string, err error) {
	mode, change, err := g.store.LinkMode(ctx, l.name)
	if err != nil {
		return "", err
	}
	if mode != ModeEnforce {
		err = g.letStay(ctx, l.name)
	} else if last != mode {
		err = g.blockAgain(ctx, l.name)
	}
	if err != nil {
		return "", err
	}
	all, err := g.tellMode(ctx, l, mode)
	if err != nil || !all {
		return mode, err
	}
	return mode, g.confirmMode(ctx, l, fence, change)
}

// tellMode tells those modules that said hello on this connection and are in another mode. all: every module that ever said hello is in this one, and there is one.
func (g *Gate) tellMode(ctx context.Context, l *link, mode string) (all bool, err error) {
	var others []Source
	g.mu.Lock()
	conn := l.conn
	for src, s := range l.sources {
		if s.Mode != mode && s.helloAt.After(l.since) {
			others = append(others, src)
		}
	}
	g.mu.Unlock()
	if conn == nil {
		return false, nil
	}
	var group errgroup.Group
	for _, src := range others {
		group.Go(func() error {
			if !g.able(src, "mode") {
				return fmt.Errorf("the module of %s cannot change its mode", src.Domain)
			}
			ctx, cancel := context.WithTimeout(ctx, modeTimeout)
			defer cancel()
			err := conn.SetMode(ctx, src, mode)
			has := mode
			if err != nil {
				has = "" // not known: it is told again
			}
			g.withLink(l.name, func(l *link) { l.sources[src].Mode = has })
			return err
		})
	}
	err = group.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range l.sources {
		if s.helloAt.IsZero() {
			continue
		}
		if s.Mode != mode {
			return false, err
		}
		all = true
	}
	return all, err
}

// confirmMode keeps in the record that the modules are in the mode that the change with this number wanted.
func (g *Gate) confirmMode(ctx context.Context, l *link, fence store.Fence, change int64) error {
	g.mu.Lock()
	known := l.modeChange == change
	l.modeChange = change
	state := g.stateOf(l)
	g.mu.Unlock()
	if known {
		return nil
	}
	return g.store.RenewLink(ctx, fence, g.cfg.LeaseTTL, state)
}

// letStay takes back what rules wanted of a link's sessions before its mode held that up: they stand again.
func (g *Gate) letStay(ctx context.Context, name string) error {
	held, err := g.store.Held(ctx, name, sweepBatch)
	if err != nil {
		return err
	}
	for _, jid := range held {
		g.do(&op{want: store.Want{Key: store.KeyOf(jid), JID: jid}, fence: g.fence(name), apply: func(r *store.Record) func() {
			if r == nil || !braked(r) {
				return nil
			}
			for _, s := range r.Sessions {
				if e := s.Eviction; e != nil && !e.ByOperator() && !e.NextAt.IsZero() && !e.NextAt.After(r.Now) {
					r.Withdraw(s)
					if ended := r.Standing.Admit(partyOf(s), s.Generation); ended != nil {
						closeLoop(r, *ended)
					}
					r.StandingChanged()
				}
			}
			return nil
		}})
	}
	return nil
}

// blockAgain has the sessions of blocked devices judged that were let in while a link did not enforce: a block is an operator's word on a device and no rule.
func (g *Gate) blockAgain(ctx context.Context, name string) error {
	accounts, err := g.store.BlockedLive(ctx, name)
	if err != nil {
		return err
	}
	for _, jid := range accounts {
		g.do(&op{want: store.Want{Key: store.KeyOf(jid), JID: jid, Known: true}, fence: g.fence(name), apply: func(r *store.Record) func() {
			if r == nil {
				return nil
			}
			for _, s := range r.Sessions {
				if s.State != rules.Binding && s.Eviction == nil && blocked(r, s) {
					s.DecidedAt = time.Time{}
					r.Changed(s)
				}
			}
			return func() { g.judge(name, jid) }
		}})
	}
	return nil
}

func (g *Gate) steerNow(name string) { g.withLink(name, func(l *link) { poke(l.steer) }) }
