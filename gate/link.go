package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/store"
)

// link is what this process knows of a connection that it owns or waits for. Guarded by Gate.mu.
type link struct {
	name, driver, component string
	fence                   store.Fence // zero: not the owner
	conn                    Link        // nil: down
	connection              int         // counts the changes of conn
	since                   time.Time   // of the present state
	lastError               string
	sources                 map[Source]*source
	wake                    chan struct{} // kicker
	check                   chan struct{} // reconciler
	steer                   chan struct{} // steerer
	revoke                  chan struct{} // revoker
	selfTest                *SelfTest     // the last one in this process
	modeChange              int64         // the last change of the mode that all modules have confirmed
}

// source is one module.
type source struct {
	Hello
	helloAt    time.Time
	helloOn    int // the connection that it came over
	comparedOn int // the connection over which the record was last brought in line with it
	lastSeq    int64
	dirtySince time.Time // something was missed; zero: nothing
	snapshotAt time.Time
	problem    string
	rivalAt    time.Time // when another bindgate than this link's was last on the component, as far as its module has told
}

// reorderWindow is how long events may come out of order before the record is compared with the server.
const reorderWindow = 2 * time.Second

// rivalShown is how long the link's state speaks of another bindgate on the component: they take turns within seconds.
const rivalShown = 5 * time.Minute

// standbyPoll is how often a process that stands by asks for the lease.
const standbyPoll = 500 * time.Millisecond

// Own runs a link: it waits until no other process owns it, runs run, which connects and serves it, and stops run when the lease is lost. It goes on until
// ctx ends or run fails while the lease holds.
func (g *Gate) Own(ctx context.Context, name, driver, component string, run func(ctx context.Context) error) error {
	l := &link{name: name, driver: driver, component: component, since: time.Now(), sources: map[Source]*source{}, wake: make(chan struct{}, 1), check: make(chan struct{}, 1), steer: make(chan struct{}, 1), revoke: make(chan struct{}, 1)}
	g.mu.Lock()
	g.links[name] = l
	g.mu.Unlock()
	t := trouble{log: g.log.With("link", name), what: "asking for the link's lease"}
	for ctx.Err() == nil {
		fence, err := g.store.AcquireLink(ctx, name, driver, component, g.id, g.cfg.Name, g.cfg.LeaseTTL)
		if errors.Is(err, store.ErrHeld) {
			t.note(ctx, nil)
		} else {
			t.note(ctx, err)
		}
		if err != nil {
			pause(ctx, standbyPoll+time.Duration(rand.Int64N(int64(standbyPoll/4))))
			continue
		}
		g.log.InfoContext(ctx, "owning the link", "link", name, "fence", fence.Value)
		err = g.hold(ctx, l, fence, run)
		if err != nil && !errors.Is(err, store.ErrFenced) && ctx.Err() == nil {
			return fmt.Errorf("link %q: %w", name, err)
		}
		if errors.Is(err, store.ErrFenced) {
			g.log.WarnContext(ctx, "another process owns the link now", "link", name)
		}
	}
	return nil
}

// hold does everything for a link while its lease holds.
func (g *Gate) hold(ctx context.Context, l *link, fence store.Fence, run func(ctx context.Context) error) error {
	g.mu.Lock()
	l.fence = fence
	g.mu.Unlock()
	group, held := errgroup.WithContext(ctx)
	group.Go(func() error { return g.renew(held, l, fence) })
	group.Go(func() error { return g.kicker(held, l) })
	group.Go(func() error { return g.reconciler(held, l) })
	group.Go(func() error { return g.steerer(held, l, fence) })
	group.Go(func() error { return g.revoker(held, l) })
	group.Go(func() error { return g.converger(held, fence) })
	group.Go(func() error { return g.ender(held, fence) })
	group.Go(func() error {
		if err := run(held); err != nil {
			return err
		}
		return held.Err()
	})
	err := group.Wait()
	g.mu.Lock()
	l.fence, l.conn = store.Fence{}, nil
	state := g.stateOf(l)
	g.mu.Unlock()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if rerr := g.store.ReleaseLink(release, fence, state); rerr != nil {
		g.log.InfoContext(ctx, "the lease could not be given back, it ends by itself", "link", l.name, "error", rerr)
	}
	return err
}

func (g *Gate) renew(ctx context.Context, l *link, fence store.Fence) error {
	t := trouble{log: g.log.With("link", l.name), what: "renewing the link's lease"}
	for {
		g.mu.Lock()
		state := g.stateOf(l)
		g.mu.Unlock()
		attempt, cancel := context.WithTimeout(ctx, g.cfg.LeaseTTL)
		err := g.store.RenewLink(attempt, fence, g.cfg.LeaseTTL, state)
		cancel()
		switch {
		case errors.Is(err, store.ErrFenced):
			return err
		case err == nil && t.failing:
			// What was reported while the database was away could not be written.
			for _, src := range g.sourcesOf(l.name) {
				g.resync(src)
			}
		}
		t.note(ctx, err)
		if !pause(ctx, g.cfg.LeaseTTL/3) {
			return nil
		}
	}
}

// Connected tells that a link's server is there; conn is used until Disconnected.
func (g *Gate) Connected(name string, conn Link) {
	g.withLink(name, func(l *link) { l.conn, l.connection, l.since, l.lastError = conn, l.connection+1, time.Now(), "" })
	g.bg.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), txTimeout)
		defer cancel()
		if err := g.store.HastenEvictions(ctx, name); err != nil {
			g.log.Warn("kicks that wait may come late", "link", name, "error", err)
		}
		g.tellLink(ctx, "link.up", name, "")
		g.wake(name)
	})
}

// Disconnected tells that a link's server cannot be reached, and why.
func (g *Gate) Disconnected(name string, reason error) {
	was := false
	g.withLink(name, func(l *link) {
		was = l.conn != nil
		l.conn = nil
		if was {
			l.connection++
			l.since = time.Now()
		}
		if reason != nil {
			l.lastError = reason.Error()
		}
	})
	if !was {
		return
	}
	g.bg.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), txTimeout)
		defer cancel()
		text := ""
		if reason != nil {
			text = reason.Error()
		}
		g.tellLink(ctx, "link.down", name, text)
	})
}

func (g *Gate) tellLink(ctx context.Context, kind, name, reason string) {
	data, err := json.Marshal(map[string]string{"link": name, "reason": reason})
	if err == nil {
		err = g.store.Tell(ctx, store.Event{Type: kind, At: time.Now().UTC(), Data: data})
	}
	if err != nil {
		g.log.WarnContext(ctx, "an event of a link was not written", "type", kind, "link", name, "error", err)
	}
}

// Hello notes a module and has the record compared with its sessions.
func (g *Gate) Hello(h Hello) {
	problem := ""
	switch {
	case h.Refused != "":
		problem = h.Refused + "; until then its logins are decided by its failure policy"
	case h.Nodes > 1:
		problem = fmt.Sprintf("its server is one of %d nodes of a cluster, and its module knows the sessions of its own node only: logins on the others are not governed; let all clients connect to this node", h.Nodes)
	case h.Timeout > 0 && h.Timeout < LeastTimeout:
		problem = fmt.Sprintf("its bindgate_timeout is %g s: there is no time to find out whether a session's client still answers, so that dead sessions keep logins out; set it to %g or more",
			h.Timeout.Seconds(), LeastTimeout.Seconds())
	}
	g.withLink(h.Link, func(l *link) {
		s := l.sources[h.Source]
		if s == nil {
			s = &source{}
			l.sources[h.Source] = s
		}
		if problem != "" && s.problem != problem {
			g.log.Warn("a module cannot do all that it should", "link", h.Link, "domain", h.Domain, "problem", problem)
		}
		if s.rivalAt = (time.Time{}); h.Rival != (Rival{}) {
			s.rivalAt = time.Now()
			g.log.Error("two bindgates use one component", "link", h.Link, "domain", h.Domain, "problem", rivalProblem(l.component, h.Rival))
		}
		s.Hello, s.helloAt, s.helloOn, s.lastSeq, s.problem = h, time.Now(), l.connection, h.Seq, problem
		s.dirtySince = time.Now().Add(-reorderWindow)
	})
	g.checkNow(h.Link)
	g.steerNow(h.Link)
	g.revokeNow()
}

func rivalProblem(component string, r Rival) string {
	if r.Database == "" {
		return fmt.Sprintf("another bindgate on this database was on the component %s until this one took its place, for a link of another name (%s): they take it from each other again and again; stop one of them, or give both links one name, so that they take turns",
			component, r.Link)
	}
	return fmt.Sprintf("another bindgate, with another database (%s), was on the component %s until this one took its place: they take it from each other again and again, and each lets in and evicts by its own record; stop one of them, or give it a component and virtual hosts of its own",
		r.Database, component)
}

// Problem notes what is wrong with a domain of a link, for operators.
func (g *Gate) Problem(name, domain, text string) {
	g.withLink(name, func(l *link) {
		key := Source{Link: name, Domain: domain}
		if l.sources[key] == nil {
			l.sources[key] = &source{Hello: Hello{Source: key}}
		}
		l.sources[key].problem = text
	})
}

// noteSeq follows a module's numbers. An event has the next one; an ask names the last. A gap, or a load of the module that said no hello, has the
// record compared with the server soon.
func (g *Gate) noteSeq(src Source, epoch string, seq int64, event bool) {
	g.withLink(src.Link, func(l *link) {
		s := l.sources[src]
		if s == nil {
			s = &source{Hello: Hello{Source: src}}
			l.sources[src] = s
		}
		expected := s.lastSeq
		if event {
			expected++
		}
		gap := s.Epoch != epoch || seq > expected
		if gap && s.dirtySince.IsZero() {
			g.stats.Gaps.Add(1)
			s.dirtySince = time.Now()
		}
		if s.Epoch != epoch {
			s.Epoch, s.lastSeq = epoch, seq
		}
		s.lastSeq = max(s.lastSeq, seq)
	})
}

// resync has the record compared with a module's sessions soon: something that it reported was not written.
func (g *Gate) resync(src Source) {
	g.withLink(src.Link, func(l *link) {
		if s := l.sources[src]; s != nil && s.dirtySince.IsZero() {
			s.dirtySince = time.Now()
		}
	})
}

func (g *Gate) withLink(name string, f func(*link)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.links[name]; l != nil {
		f(l)
	}
}

func (g *Gate) connOf(name string) (conn Link) {
	g.withLink(name, func(l *link) { conn = l.conn })
	return conn
}

// anyUp reports whether one of the links is up, here or, as far as its owner has told, in another process.
func (g *Gate) anyUp(ctx context.Context, names []string) bool {
	var elsewhere []string
	for _, name := range names {
		known, up := false, false
		g.withLink(name, func(l *link) { known, up = l.fence.Value != 0, l.conn != nil })
		if up {
			return true
		}
		if !known {
			elsewhere = append(elsewhere, name)
		}
	}
	if len(elsewhere) == 0 {
		return false
	}
	up, err := g.store.AnyLinkUp(ctx, elsewhere)
	return up || err != nil
}

func (g *Gate) connection(name string) (n int) {
	g.withLink(name, func(l *link) { n = l.connection })
	return n
}

// fence returns the proof that this process owns the link; one that is refused if it does not.
func (g *Gate) fence(name string) (f store.Fence) {
	g.withLink(name, func(l *link) {
		f = l.fence
		if f.Link == "" {
			f = store.Fence{Link: name, Value: -1}
		}
	})
	return f
}

// Up reports for each link that Own was called for whether this process is connected to its server.
func (g *Gate) Up() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	up := make(map[string]bool, len(g.links))
	for name, l := range g.links {
		up[name] = l.conn != nil
	}
	return up
}

func (g *Gate) owned() (names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, l := range g.links {
		if l.fence.Link != "" {
			names = append(names, name)
		}
	}
	return names
}

// settled returns the domains of a link that this process owns whose record tells what their server has: they were compared since the link is up, or could not be in all
// that time.
func (g *Gate) settled(name string) (domains []string) {
	g.withLink(name, func(l *link) {
		if l.conn == nil || l.fence.Link == "" {
			return
		}
		for src, s := range l.sources {
			if s.helloOn == l.connection && (s.comparedOn == l.connection || time.Since(s.helloAt) >= settleWithin) {
				domains = append(domains, src.Domain)
			}
		}
	})
	return domains
}

func (g *Gate) sourcesOf(name string) (out []Source) {
	g.withLink(name, func(l *link) {
		for src := range l.sources {
			out = append(out, src)
		}
	})
	return out
}

// sourceOf returns the module that a domain's sessions are on.
func (g *Gate) sourceOf(name, domain string) Source {
	for _, src := range g.sourcesOf(name) {
		if src.Domain == domain {
			return src
		}
	}
	return Source{Link: name, Domain: domain}
}

// able reports whether a module can do what is to be asked of it. One that has not said hello is taken to.
func (g *Gate) able(src Source, ability string) bool {
	able := true
	g.withLink(src.Link, func(l *link) {
		if s := l.sources[src]; s != nil && !s.helloAt.IsZero() {
			able = slices.Contains(s.Abilities, ability)
		}
	})
	return able
}

// why is what a server without a module says of an ability; "": it says nothing.
func (g *Gate) why(src Source, ability string) (why string) {
	g.withLink(src.Link, func(l *link) {
		if s := l.sources[src]; s != nil {
			why = s.Why[ability]
		}
	})
	return why
}

func (g *Gate) wake(name string)     { g.withLink(name, func(l *link) { poke(l.wake) }) }
func (g *Gate) checkNow(name string) { g.withLink(name, func(l *link) { poke(l.check) }) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
