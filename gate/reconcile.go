package gate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bindgate/bindgate/store"
)

const (
	partSessions = 100  // aimed at in a part
	partRecord   = 1000 // sessions on record in a part: a server that has lost all of its own is to be healed piece by piece, logins between
	partTimeout  = 20 * time.Second
	// bindOverdue is how long a bind that was let in before a comparison may still be reported: what tells of its end may be what was missed. One that
	// comes later yet is decided as a login at that moment.
	bindOverdue = 2 * time.Second
)

// reconciler compares the record with each module's sessions: when a module says hello, when something was missed, and every now and then.
func (g *Gate) reconciler(ctx context.Context, l *link) error {
	troubles := map[Source]*trouble{}
	for {
		timer := time.NewTimer(reorderWindow / 4)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.check:
		case <-timer.C:
		}
		timer.Stop()
		for _, src := range g.dueSources(l) {
			if troubles[src] == nil {
				troubles[src] = &trouble{log: g.log.With("link", l.name, "domain", src.Domain), what: "comparing the record with the server"}
			}
			err := g.reconcile(ctx, l, src)
			troubles[src].note(ctx, err)
			if err != nil {
				g.resync(src)
			}
		}
	}
}

// dueSources returns the modules to compare with now, of those whose hello was understood and says
// that they can be, and notes that it is being done.
func (g *Gate) dueSources(l *link) (due []Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.conn == nil {
		return nil
	}
	now := time.Now()
	for key, s := range l.sources {
		dirty := !s.dirtySince.IsZero() && now.Sub(s.dirtySince) >= reorderWindow
		if s.Epoch == "" || !slices.Contains(s.Abilities, "snapshot") || !dirty && now.Sub(s.snapshotAt) < g.cfg.Reconcile {
			continue
		}
		s.dirtySince, s.snapshotAt = time.Time{}, now
		due = append(due, key)
	}
	return due
}

// reconcile walks the hash buckets. The digest of what the record has goes with each request, so only parts that differ are sent.
func (g *Gate) reconcile(ctx context.Context, l *link, src Source) error {
	conn := g.connOf(l.name)
	if conn == nil {
		return nil // the next hello starts it again
	}
	began, err := g.store.Now(ctx)
	if err != nil {
		return err
	}
	total, connection := 0, 0
	g.withLink(l.name, func(l *link) { total, connection = l.sources[src].Sessions, l.connection })
	for first := 0; first < Buckets; {
		count := min(max(Buckets*partSessions/max(total, 1), 1), Buckets-first)
		n, sessions, err := g.reconcilePart(ctx, conn, src, first, count)
		if err != nil {
			return fmt.Errorf("buckets from %d: %w", first, err)
		}
		first += n
		total = sessions
	}
	// What was let in before is bound by now, as far as the server knows of it.
	if err := g.store.HastenBinds(ctx, src.Domain, began, bindOverdue); err != nil {
		return err
	}
	g.withLink(l.name, func(l *link) { l.sources[src].Sessions, l.sources[src].comparedOn = total, connection })
	return nil
}

// reconcilePart compares count buckets from first, or fewer, as the module likes; it returns how many and the host's sessions.
func (g *Gate) reconcilePart(ctx context.Context, conn Link, src Source, first, count int) (covered, total int, err error) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	record, count, err := g.store.BoundIn(ctx, src.Link, src.Domain, first, count, partRecord)
	if err != nil {
		return 0, 0, err
	}
	part, err := conn.Snapshot(ctx, src, first, count, digest(record))
	if err != nil {
		return 0, 0, err
	}
	if part.First != first || part.Count < 1 || part.Count > count {
		return 0, 0, fmt.Errorf("the module answered for buckets %d+%d when asked for %d+%d", part.First, part.Count, first, count)
	}
	g.stats.Parts.Add(1)
	if part.Same {
		return part.Count, part.Total, nil
	}
	g.stats.PartsDiffering.Add(1)
	return part.Count, part.Total, g.applyPart(ctx, part, record)
}

// applyPart heals the accounts in which the part and the record differ, and waits for it, so that a large difference does not flood the queue.
func (g *Gate) applyPart(ctx context.Context, part Part, record []store.Bound) error {
	type pair struct{ listed, kept map[string]string }
	accounts := map[string]*pair{}
	at := func(jid string) *pair {
		p := accounts[jid]
		if p == nil {
			p = &pair{map[string]string{}, map[string]string{}}
			accounts[jid] = p
		}
		return p
	}
	lists := map[string][]Listed{}
	for _, s := range part.Sessions {
		jid := s.User + "@" + part.Domain
		at(jid).listed[s.SID] = s.Resource + "\n" + s.State
		lists[jid] = append(lists[jid], s)
	}
	for _, b := range record {
		if store.KeyOf(b.JID).Bucket() < part.First+part.Count {
			at(b.JID).kept[b.SID] = b.Resource + "\n" + b.State
		}
	}
	done := make(chan error, len(accounts))
	n := 0
	for jid, p := range accounts {
		if same(p.listed, p.kept) {
			continue
		}
		n++
		g.heal(part, jid, lists[jid], func(err error) { done <- err })
	}
	for range n {
		select {
		case err := <-done:
			switch {
			case err == nil:
			case hopeless(err) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrStopped):
				return err
			case errors.Is(err, store.ErrBusy):
				g.resync(part.Source)
			default: // the others' record is not to be worse for it; the next comparison tries again
				g.log.WarnContext(ctx, "an account could not be brought in line with the server", "link", part.Link, "domain", part.Domain, "error", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func (g *Gate) heal(part Part, jid string, listed []Listed, done func(error)) {
	want := store.Want{Key: store.KeyOf(jid), JID: jid, Create: len(listed) > 0}
	for _, l := range listed {
		want.SIDs = append(want.SIDs, l.SID)
	}
	g.do(&op{want: want, fence: g.fence(part.Link), failed: done, apply: func(r *store.Record) func() {
		if r != nil {
			heal(r, view{Source: part.Source, epoch: part.Epoch, seq: part.Seq, sessions: listed})
		}
		return func() {
			g.stats.Healed.Add(1)
			done(nil)
			if r != nil && unjudged(r) {
				g.judge(part.Link, jid)
			}
		}
	}})
}

// Digest is that of sessions as PROTOCOL.md defines it for snapshots.
type Digest struct {
	n   int
	sum uint64
}

// Add adds a bound session, in any order.
func (d *Digest) Add(sid, resource, state string) {
	h := sha256.Sum256([]byte(sid + "\n" + resource + "\n" + state))
	d.n++
	d.sum += binary.BigEndian.Uint64(h[:8]) >> 16
}

func (d *Digest) String() string { return fmt.Sprintf("%d-%012x", d.n, d.sum&(1<<48-1)) }

// BucketOf is the bucket of an account's sessions, 0 … Buckets-1.
func BucketOf(account string) int { return store.KeyOf(account).Bucket() }

func digest(sessions []store.Bound) string {
	var d Digest
	for _, s := range sessions {
		d.Add(s.SID, s.Resource, s.State)
	}
	return d.String()
}

// Recorded are the bound sessions of a link's domain on record, with their sid, user, resource and state. What stands for a module beside a stock server has
// no other memory of what it called them.
func (g *Gate) Recorded(ctx context.Context, link, domain string) ([]Listed, error) {
	var out []Listed
	for first := 0; first < Buckets; {
		bound, covered, err := g.store.BoundIn(ctx, link, domain, first, Buckets-first, partRecord)
		if err != nil {
			return nil, err
		}
		for _, b := range bound {
			if b.State != "" { // else it is another link's
				user, _ := split(b.JID)
				out = append(out, Listed{SID: b.SID, User: user, Resource: b.Resource, State: b.State})
			}
		}
		first += covered
	}
	return out, nil
}
