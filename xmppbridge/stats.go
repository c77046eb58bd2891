package xmppbridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats of a bridge since it was made.
type Stats struct {
	Connected bool
	Since     time.Time // when it connected or lost the connection; zero before the first connection
	LastError string    // why it is, or last was, not connected

	Connects, Failures int64 // connections made; attempts that failed
	Hellos, Refused    int64 // hellos taken; refused, for their version, domain or form
	Asks, Answers      int64 // asks passed on; answers sent
	Late               int64 // answers that came after their deadline or their connection
	Events             int64
	Requests, Timeouts int64 // kicks, probes, snapshots, modes sent; not answered in time
	Malformed          int64 // protocol stanzas that could not be read
	Strays             int64 // other stanzas, of users and servers
	Owners, TurnedAway int64 // requests of owners of accounts answered; refused since they were too many
	Dropped            int64 // answers to users and notices that were not sent
	Skipped            int64 // stanzas that were too large, too deep or unreadable
	Queued             int   // stanzas that wait for the server to read
}

// counters are the live Stats.
type counters struct {
	connects, failures, hellos, refused, asks, answers, late, events, requests, timeouts, malformed, strays, dropped, skipped, owners, turnedAway, queued atomic.Int64

	mu      sync.Mutex
	up      bool
	since   time.Time
	lastErr string
}

func (s *counters) connected(up bool) {
	if up {
		s.connects.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.since = up, time.Now()
}

// setError says whether the error is another than before. A connection in between makes it another.
func (s *counters) setError(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.lastErr
	s.lastErr = text
	return was != text
}

// Stats may be called at any time.
func (b *Bridge) Stats() Stats {
	s := &b.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Connected: s.up, Since: s.since, LastError: s.lastErr,
		Connects: s.connects.Load(), Failures: s.failures.Load(),
		Hellos: s.hellos.Load(), Refused: s.refused.Load(),
		Asks: s.asks.Load(), Answers: s.answers.Load(), Late: s.late.Load(),
		Events:   s.events.Load(),
		Requests: s.requests.Load(), Timeouts: s.timeouts.Load(),
		Malformed: s.malformed.Load(), Strays: s.strays.Load(), Dropped: s.dropped.Load(), Skipped: s.skipped.Load(),
		Owners: s.owners.Load(), TurnedAway: s.turnedAway.Load(),
		Queued: int(s.queued.Load()),
	}
}
