package gate

import (
	"sync"
	"time"
)

// throttle lets one message a second through, so that a fault which every login meets does not fill the log.
type throttle struct {
	mu     sync.Mutex
	next   time.Time
	unsaid int
}

// pass reports whether to say it now, and how many went unsaid since the last time.
func (t *throttle) pass(now time.Time) (ok bool, unsaid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		t.unsaid++
		return false, 0
	}
	unsaid, t.unsaid, t.next = t.unsaid, 0, now.Add(time.Second)
	return true, unsaid
}
