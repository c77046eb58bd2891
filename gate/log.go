package gate

import (
	"context"
	"log/slog"
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

// trouble logs when something that is tried again and again begins to fail and when it works again, and nothing in between.
// It belongs to one goroutine.
type trouble struct {
	log     *slog.Logger // with what says which
	what    string
	failing bool
}

func (t *trouble) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // stopping
	case err != nil && !t.failing:
		t.log.WarnContext(ctx, t.what+" fails and is tried again", "error", err)
		t.failing = true
	case err == nil && t.failing:
		t.log.InfoContext(ctx, t.what+" works again")
		t.failing = false
	}
}
