package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/store"
)

// Credentials says what became of an account's stored login credentials.
type Credentials struct {
	Outcome string         // OutcomeRevoked, OutcomeNothing, OutcomeUnable or OutcomePending
	Revoked map[string]int // kind → how many
	Reason  string         // why nothing, or what was left
}

// The outcomes of a revocation, beside OutcomePending.
const (
	OutcomeRevoked = "revoked"
	OutcomeNothing = "nothing" // none were stored
	OutcomeUnable  = "unable"
)

const (
	revokerPoll    = 500 * time.Millisecond // how late a revocation accepted by another replica is seen
	revokerBatch   = 100
	revokerAtOnce  = 8
	revokeTimeout  = 3 * time.Second // ends before the revocation is due again
	devicesAtOnce  = 32              // of one request: user-agent ids may be long
	reasonNoDevice = "None of the selected sessions is of a device with a SASL2 user-agent id (XEP-0388), by which its credentials could be told apart from those of others."
	reasonSomeLeft = "Some of the selected sessions are of no device with a SASL2 user-agent id (XEP-0388): what is theirs cannot be told apart and is left."
)

// revoke keeps a kick's wish to have credentials revoked. What the kick selects decides which: all, or those that can be told apart by device.
func revoke(r *store.Record, kick int64, by KickSelect) Credentials {
	v := store.Revocation{Kick: kick, Generation: r.Generation, Others: by.Except != 0}
	if !by.All {
		ids, unknown := userAgents(r, by)
		v.Devices = ids
		switch {
		case v.Others:
		case len(ids) == 0:
			return Credentials{Outcome: OutcomeUnable, Reason: reasonNoDevice}
		case unknown:
			v.Reason = reasonSomeLeft
		}
	}
	r.Revoke(v)
	return Credentials{Outcome: OutcomePending}
}

// userAgents returns the SASL2 user-agent ids of the selected sessions and devices, those that are to be kept if all others are meant. unknown: there were
// sessions or devices without.
func userAgents(r *store.Record, by KickSelect) (ids []string, unknown bool) {
	ids = []string{}
	add := func(d *store.Device) {
		switch {
		case d == nil || d.UserAgentID == "":
			unknown = true
		case !slices.Contains(ids, d.UserAgentID):
			ids = append(ids, d.UserAgentID)
		}
	}
	for _, d := range by.Devices {
		add(r.Device(d))
	}
	for _, s := range r.Sessions {
		if len(by.Devices) == 0 && by.picks(s, r.Platforms) != (by.Except != 0) {
			add(r.Device(s.Device))
		}
	}
	return ids, unknown
}

// revoker asks the server to revoke what kicks want revoked, again and again until it has answered.
func (g *Gate) revoker(ctx context.Context, l *link) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	t := trouble{log: g.log.With("link", l.name), what: "looking for credentials to revoke"}
	last := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.revoke:
		case <-timer.C:
		}
		n, err := g.revokeDue(ctx, l, &last)
		t.note(ctx, err)
		if n == revokerBatch {
			timer.Reset(0)
		} else {
			timer.Reset(revokerPoll)
		}
	}
}

// revokeDue asks for what is due; last is the connection that was asked over before.
func (g *Gate) revokeDue(ctx context.Context, l *link, last *int) (int, error) {
	conn, connection := g.connOf(l.name), g.connection(l.name)
	if conn == nil {
		return 0, nil // what is due waits for the link
	}
	domains := []string{}
	for _, src := range g.sourcesOf(l.name) {
		domains = append(domains, src.Domain)
	}
	if *last != connection {
		if err := g.store.HastenRevocations(ctx, domains); err != nil {
			return 0, err
		}
		*last = connection
	}
	due, err := g.store.ClaimRevocations(ctx, g.fence(l.name), domains, revokerBatch)
	if err != nil {
		return 0, err
	}
	var group errgroup.Group
	group.SetLimit(revokerAtOnce)
	for _, d := range due {
		group.Go(func() error {
			g.revokeOne(ctx, l, conn, d)
			return nil
		})
	}
	return len(due), group.Wait()
}

func (g *Gate) revokeOne(ctx context.Context, l *link, conn Link, d store.DueRevocation) {
	user, domain := split(d.JID)
	src := g.sourceOf(l.name, domain)
	if !g.able(src, "revoke") {
		g.settle(l, src, d, Revocation{}, store.Settled{Outcome: OutcomeUnable, Reason: cmp.Or(g.why(src, "revoke"), "The server's module is too old to revoke credentials.")})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	v, err := revokeAll(ctx, conn, src, user, d.Revocation)
	if err != nil {
		g.log.InfoContext(ctx, "a revocation of credentials got no answer", "link", l.name, "attempt", d.Attempts, "error", err)
		return
	}
	g.settle(l, src, d, v, settledOf(v, d.Reason))
}

// settle keeps a server's answer and has those sessions end too that came in between the request and the revocation: they may have come by what was
// revoked. The server's list tells of those that the record does not have yet.
func (g *Gate) settle(l *link, src Source, d store.DueRevocation, v Revocation, answer store.Settled) {
	received := time.Now()
	want := store.Want{Key: d.Key, JID: d.JID, Known: true}
	for _, s := range v.Sessions {
		want.SIDs = append(want.SIDs, s.SID)
	}
	if v.Epoch != "" {
		g.noteSeq(src, v.Epoch, v.Seq, false)
	}
	g.do(&op{want: want, fence: g.fence(l.name), apply: func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		r.Settle(d.Kick, answer)
		if answer.Outcome == OutcomeRevoked {
			heal(r, view{Source: src, epoch: v.Epoch, seq: v.Seq, sessions: v.Sessions, more: v.More, old: time.Since(received)})
			endThoseBetween(r, d.Revocation)
		}
		judge := unjudged(r)
		return func() {
			g.wake(l.name)
			if judge {
				g.judge(l.name, r.JID)
			}
		}
	}})
}

// revokeAll asks in as many requests as it takes.
func revokeAll(ctx context.Context, conn Link, src Source, user string, v store.Revocation) (Revocation, error) {
	if v.Devices == nil || v.Others {
		return conn.Revoke(ctx, src, user, v.Devices, v.Others)
	}
	all := Revocation{Revoked: map[string]int{}, Unable: map[string]string{}}
	for some := range slices.Chunk(v.Devices, devicesAtOnce) {
		one, err := conn.Revoke(ctx, src, user, some, false)
		if err != nil {
			return all, err
		}
		for kind, n := range one.Revoked {
			all.Revoked[kind] += n
		}
		maps.Copy(all.Unable, one.Unable)
		all.Epoch, all.Seq, all.Sessions, all.More = one.Epoch, one.Seq, one.Sessions, one.More
	}
	return all, nil
}

// settledOf puts a server's answer into words; left is what was left out of the request.
func settledOf(v Revocation, left string) store.Settled {
	s := store.Settled{Outcome: OutcomeNothing, Revoked: map[string]int{}}
	for kind, n := range v.Revoked {
		if n > 0 {
			s.Outcome, s.Revoked[kind] = OutcomeRevoked, n
		}
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(v.Unable)) {
		words = append(words, fmt.Sprintf("%s: %s.", kind, strings.TrimSuffix(v.Unable[kind], ".")))
	}
	switch {
	case s.Outcome == OutcomeRevoked:
	case len(words) > 0:
		s.Outcome = OutcomeUnable
	case len(v.Revoked) == 0:
		words = append(words, "The server has no module that stores login credentials.")
	default:
		words = append(words, "No credentials were stored.")
	}
	if left != "" {
		words = append(words, left)
	}
	s.Reason = strings.Join(words, " ")
	return s
}

// endThoseBetween marks the sessions that came in after the request.
func endThoseBetween(r *store.Record, v store.Revocation) {
	var ids []string
	for _, s := range r.Sessions {
		agent := ""
		if d := r.Device(s.Device); d != nil {
			agent = d.UserAgentID
		}
		if s.Generation > v.Generation && v.About(agent) && (s.Eviction == nil || !s.Eviction.ByOperator()) {
			r.Evict(s, store.Eviction{Code: "kick", Kick: v.Kick, NextAt: r.Now})
			ids = append(ids, store.SessionID(r.Key, s.Generation))
		}
	}
	if len(ids) > 0 {
		r.Tell("kick.requested", kickData{KickID: store.KickID(r.Key, v.Kick), Reason: "logged in before the account's credentials were revoked", Sessions: ids})
	}
}

// proveRevocation waits until the server has answered, or until the wait is over. It reads the record, so it sees what any replica did.
func (g *Gate) proveRevocation(ctx context.Context, account store.Key, kick int64, wait time.Duration) (Credentials, error) {
	deadline := time.Now().Add(wait)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		found, err := g.store.FindRevocation(ctx, account, kick)
		if err != nil && !errors.Is(err, context.Canceled) {
			g.log.WarnContext(ctx, "an accepted revocation of credentials could not be followed", "error", err)
			return Credentials{Outcome: OutcomePending}, nil
		}
		if found.Outcome != "" || time.Now().After(deadline) {
			return Credentials{Outcome: cmp.Or(found.Outcome, OutcomePending), Revoked: found.Revoked, Reason: found.Reason}, nil
		}
		select {
		case <-ctx.Done():
			return Credentials{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// revokeNow has all links look for what is to be revoked: whose an account without sessions is, only the record tells.
func (g *Gate) revokeNow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.links {
		poke(l.revoke)
	}
}
