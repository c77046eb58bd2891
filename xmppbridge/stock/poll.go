package stock

import (
	"context"
	"errors"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	leastPoll    = time.Second            // between the beginnings of two whole lists
	soonPoll     = 250 * time.Millisecond // the same for one that is wanted sooner
	mostPoll     = 30 * time.Second       // however long one takes
	dutyCycle    = 5                      // a whole list may keep the server busy for a fifth of the time; with those that are wanted sooner for two sevenths
	soonCycle    = 2                      // one that is wanted sooner, for half of it
	listTimeout  = 20 * time.Second
	pollFailures = 3 // whole lists in a row that fail until the link is down
)

// list lists all domains.
func (o *Observer) list(ctx context.Context, server *Server) (map[string][]Session, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return server.Lister.List(ctx, o.domains)
}

// poll lists everything, about once a second while that is cheap.
func (o *Observer) poll(ctx context.Context, l *link, began time.Time, took time.Duration) error {
	for failed, soon := 0, false; ; {
		soon = o.untilPoll(ctx, began, took, !soon)
		if ctx.Err() != nil {
			return nil
		}
		began = time.Now()
		all, err := o.list(ctx, l.server)
		if ctx.Err() != nil {
			return nil
		}
		took = time.Since(began)
		if err != nil {
			switch {
			case soon:
				poke(o.sooner) // what was wanted still is
			case failed == pollFailures-1:
				return err
			default:
				failed++
			}
			o.log.Warn("the sessions could not be listed; tried again", "error", err)
			continue
		}
		failed = 0
		for domain, h := range o.hosts {
			if n, told := h.takeAll(all[domain], began); !told {
				o.log.Info("much has changed, the record is compared", "domain", domain, "differences", n)
				o.gate.Hello(l.helloOf(h))
			}
		}
	}
}

// untilPoll waits until the next whole list is due, after one that began at began. A list that is wanted sooner comes sooner where that may be, and soon is true then: of two
// in a row one may, so that those who want it do not keep the server busy.
func (o *Observer) untilPoll(ctx context.Context, began time.Time, took time.Duration, may bool) (soon bool) {
	due := time.NewTimer(time.Until(began.Add(min(max(leastPoll, dutyCycle*took), mostPoll))))
	defer due.Stop()
	wanted := o.sooner
	if !may {
		wanted = nil
	}
	select {
	case <-ctx.Done():
	case <-due.C:
	case <-wanted:
		pause(ctx, time.Until(began.Add(min(max(soonPoll, soonCycle*took), mostPoll))))
		soon = true
	}
	select { // whoever wanted it before it begins gets what they want
	case <-o.sooner:
	default:
	}
	return soon
}

// attend has the accounts listed to which something has happened, and says again what the link can when that has changed.
func (o *Observer) attend(ctx context.Context, l *link) error {
	var group errgroup.Group
	defer group.Wait() //nolint:errcheck // they return none
	places := make(chan struct{}, looksAtOnce)
	seen := l.presence()
	for {
		select {
		case <-ctx.Done():
			return nil
		case places <- struct{}{}:
		}
		a, ok := o.nextLook(ctx, func() {
			if now := l.presence(); !maps.Equal(now, seen) {
				seen = now
				l.hello()
			}
		})
		if !ok {
			return nil
		}
		group.Go(func() error {
			defer func() { <-places }()
			defer o.looks.letGo(a)
			err := o.look(ctx, l.server, a)
			if err != nil && !errors.Is(err, ErrWholeList) && ctx.Err() == nil { // if there is more to it, poll meets it too
				l.dropped(err)
				o.log.Debug("an account was not looked at", "domain", a.domain, "error", err)
				poke(o.sooner) // the next whole list does
			}
			return nil
		})
	}
}

// nextLook waits for an account to look at and takes it; awake is called each time that something may have changed. false: ctx has ended.
func (o *Observer) nextLook(ctx context.Context, awake func()) (account, bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		awake()
		a, wait, ok := o.looks.next(time.Now())
		if ok {
			return a, true
		}
		var later <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			later = timer.C
		}
		select {
		case <-ctx.Done():
			return account{}, false
		case <-o.wake:
		case <-later:
		}
	}
}

// maxLooks is how often an account is listed again because a whole list came in between.
const maxLooks = 3

// look lists one account, which the caller holds, and tells of what has changed. ErrWholeList: the next whole list does, and comes sooner for it.
func (o *Observer) look(ctx context.Context, server *Server, a account) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	h := o.hosts[a.domain]
	for range maxLooks {
		lists := h.lists()
		sessions, err := server.Lister.ListUser(ctx, a.domain, a.user)
		if errors.Is(err, ErrWholeList) {
			poke(o.sooner)
		}
		if err != nil {
			return err
		}
		if h.takeUser(a.user, sessions, lists) {
			return nil
		}
	}
	return nil // whole lists follow each other so quickly that the next one does
}

// see looks at an account for a kick or a probe. ErrWholeList: it is listed only with all others, and no list that began after since came within proofWithin.
func (o *Observer) see(ctx context.Context, server *Server, a account, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if !o.looks.hold(ctx, a) {
		return ctx.Err()
	}
	err := o.look(ctx, server, a)
	o.looks.letGo(a)
	if errors.Is(err, ErrWholeList) {
		ctx, cancel := context.WithTimeout(ctx, proofWithin)
		defer cancel()
		if o.hosts[a.domain].listedAfter(ctx, since) {
			return nil
		}
	}
	return err
}
