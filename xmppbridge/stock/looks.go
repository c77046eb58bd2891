package stock

import (
	"context"
	"sync"
	"time"
)

// lookEvery is how often an account is listed alone because of what its clients do: any of them can send as much presence as it likes. Kicks and probes look when they have to.
const lookEvery = time.Second

// maxWanted is how many accounts may wait to be listed alone; those beyond wait for the next whole list.
const maxWanted = 4096

type account struct{ domain, user string }

// looks are the accounts that are listed alone: each by one at a time, and those that are wanted because something has happened to them as often as lookEvery allows. What
// happens to one while it is listed or too soon after is remembered, and has it listed once more.
type looks struct {
	changed chan struct{} // poked when an account may have become ready

	mu     sync.Mutex
	states map[account]*state
	ready  []account // in the order in which they became so
	recent []account // that cool, in the order in which their looks began
	wanted int
}

// state is kept while one of the flags holds.
type state struct {
	wanted  bool          // something has happened since the last look began
	ready   bool          // it is in ready
	cooling bool          // the last look because of a want began less than lookEvery ago; it is in recent
	began   time.Time     // of that look
	busy    chan struct{} // somebody looks; closed at the end. nil: nobody
}

func newLooks(changed chan struct{}) *looks {
	return &looks{changed: changed, states: map[account]*state{}}
}

// of is for who holds mu.
func (l *looks) of(a account) *state {
	s := l.states[a]
	if s == nil {
		s = &state{}
		l.states[a] = s
	}
	return s
}

// want asks for a look at an account. false: too many wait already.
func (l *looks) want(a account) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.states[a]; s == nil || !s.wanted {
		if l.wanted == maxWanted {
			return false
		}
		l.wanted++
		l.of(a).wanted = true
		l.settle(a)
	}
	return true
}

// settle moves an account to where it belongs now, for who holds mu.
func (l *looks) settle(a account) {
	s := l.states[a]
	switch {
	case s.busy != nil || s.cooling || s.ready:
	case s.wanted:
		s.ready = true
		l.ready = append(l.ready, a)
		poke(l.changed)
	default:
		delete(l.states, a)
	}
}

// next takes the account whose turn it is; the caller lets it go. ok is false if there is none: the next one may be ready after so long, or, with 0, when changed says so.
func (l *looks) next(now time.Time) (a account, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.recent) > 0 {
		s := l.states[l.recent[0]]
		if wait = lookEvery - now.Sub(s.began); wait > 0 {
			break
		}
		wait, s.cooling = 0, false
		l.settle(l.recent[0])
		l.recent = l.recent[1:]
	}
	for len(l.ready) > 0 {
		a, l.ready = l.ready[0], l.ready[1:]
		s := l.states[a]
		if s.ready = false; s.busy != nil { // a kick or a probe looks; it is settled at the end of that
			continue
		}
		s.wanted, s.cooling, s.began, s.busy = false, true, now, make(chan struct{})
		l.wanted--
		l.recent = append(l.recent, a)
		return a, 0, true
	}
	return account{}, wait, false
}

// hold waits until nobody looks at the account, and takes it; the caller lets it go. false: ctx ended first.
func (l *looks) hold(ctx context.Context, a account) bool {
	for {
		l.mu.Lock()
		s := l.of(a)
		busy := s.busy
		if busy == nil {
			s.busy = make(chan struct{})
			l.mu.Unlock()
			return true
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return false
		}
	}
}

func (l *looks) letGo(a account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.states[a]
	close(s.busy)
	s.busy = nil
	l.settle(a)
}
