package gate

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const (
	kickerPoll   = 500 * time.Millisecond // how late a kick accepted by another replica is seen
	kickerBatch  = 200
	kickerAtOnce = 32
	kickTimeout  = 5 * time.Second
	stillPresent = 4 // attempts after which an operator is told
)

// kicker asks the server to end the sessions that have to go, again and again until their end is seen.
func (g *Gate) kicker(ctx context.Context, l *link) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	t := trouble{log: g.log.With("link", l.name), what: "looking for sessions that have to go"}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		}
		n, err := g.kickDue(ctx, l)
		t.note(ctx, err)
		if n == kickerBatch {
			timer.Reset(0)
		} else {
			timer.Reset(kickerPoll)
		}
	}
}

func (g *Gate) kickDue(ctx context.Context, l *link) (int, error) {
	conn := g.connOf(l.name)
	if conn == nil {
		return 0, nil // what is due waits for the link
	}
	due, err := g.store.ClaimEvictions(ctx, g.fence(l.name), kickerBatch)
	if err != nil {
		return 0, err
	}
	var group errgroup.Group
	group.SetLimit(kickerAtOnce)
	for _, d := range due {
		group.Go(func() error {
			g.kickOne(ctx, l, conn, d)
			return nil
		})
	}
	return len(due), group.Wait()
}

func (g *Gate) kickOne(ctx context.Context, l *link, conn Link, d store.DueEviction) {
	rule := rules.Merge(d.Levels...)
	k := kickOf(d.JID, d.Langs, rule, &d.Session, &d.Eviction)
	ctx, cancel := context.WithTimeout(ctx, kickTimeout)
	defer cancel()
	_, domain := split(d.JID)
	g.stats.KicksSent.Add(1)
	result, err := conn.Kick(ctx, g.sourceOf(l.name, domain), k)
	if err != nil {
		g.log.InfoContext(ctx, "a kick got no answer", "link", l.name, "attempt", d.Eviction.Attempts, "error", err)
	}
	if result != KickGone && d.Eviction.Attempts < stillPresent {
		return // its unbind is the proof, and comes by itself
	}
	sid, attempts := d.Session.SID, d.Eviction.Attempts
	g.do(&op{want: store.Want{Key: d.Key, JID: d.JID}, fence: g.fence(l.name), apply: func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		s := r.Live(sid)
		if s == nil || s.Eviction == nil {
			return nil
		}
		switch {
		case result == KickGone && s.State == rules.Binding: // not there yet; its bind or its deadline tells
		case result == KickGone:
			end(r, s, s.Eviction.Code)
		case !s.Eviction.StillPresent:
			s.Eviction.StillPresent = true
			r.EvictionChanged(s)
			r.Tell("kick.unverified", kickData{
				KickID: store.KickID(r.Key, s.Eviction.Kick), Sessions: []string{store.SessionID(r.Key, s.Generation)},
				Reason: fmt.Sprintf("still there after %d attempts", attempts),
			})
		}
		return nil
	}})
}
