package war

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Result is how a trial went.
type Result struct {
	Trial
	// Reasons say what was wrong; none: who was logged in last stayed, was never disturbed, and the other was kept waiting as it should.
	Reasons []string
	// Answered are the attempts of whoever was out that had an answer.
	Answered int
	// Displaced is how often somebody had to go, A's first time among them.
	Displaced int
	// Slowest is the longest that an answer took; a denial may be held for four seconds.
	Slowest time.Duration
	// Pace is what a device had of the attempts that it may have after the first ten seconds: 1 is all of them, one in four seconds.
	Pace float64
	// Rows are decisions that denied, MinuteRows the most of them within a minute.
	Rows, MinuteRows int
	// Void says that the machine was so slow that the loser was silent for as long as it has to be, which its policy did not ask for.
	Void bool
	// Voids is how often the trial was void and fought again.
	Voids int
	// Diary tells all that happened, line by line.
	Diary string
}

// Held reports whether the trial went as it should.
func (r *Result) Held() bool { return len(r.Reasons) == 0 }

func (r *Result) fail(format string, args ...any) {
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

func (r *Result) String() string {
	return fmt.Sprintf("%s: %s, %s, cooldown %s, %s, stream management %t, same stream %t", r.user(), r.Kind, r.Policy, r.Cooldown, r.Transport, r.SM, r.SameStream)
}

const (
	runUp    = 10 * time.Second // after the takeover the devices may be quick
	pace     = 4 * time.Second  // and then one attempt in so long a time
	rowPause = time.Minute
)

// judge looks at what the clients saw.
func (r *Result) judge(d *diary, takeover time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	in := map[string]int{}
	for _, e := range d.bindings {
		if in[e.who]++; in[e.who] == 2 {
			r.fail("%s got in again %.2f s after the takeover", e.who, e.at.Sub(takeover).Seconds())
		}
	}
	out := false
	for _, e := range d.endings {
		switch {
		case e.who == "A":
			out = true
		default:
			r.fail("B was out %.2f s after the takeover", e.at.Sub(takeover).Seconds())
		}
	}
	if !out {
		r.fail("A was never out")
	}
	r.Displaced = len(d.endings)
	r.Reasons = append(r.Reasons, d.odd...)
	r.Answered = len(d.attempts)
	if r.Answered < r.Attempts {
		r.fail("%d attempts were answered, want %d", r.Answered, r.Attempts)
	}
	late := map[string]int{}
	begin := takeover.Add(runUp)
	for _, a := range d.attempts {
		r.Slowest = max(r.Slowest, a.took)
		if a.sent.After(begin) {
			late[a.who]++
		}
	}
	for who, n := range late {
		p := float64(n) / (1 + float64(now.Sub(begin))/float64(pace))
		if r.Pace = max(r.Pace, p); p > 1 {
			r.fail("%s had %d attempts in %.1f s after the first ten", who, n, now.Sub(begin).Seconds())
		}
	}
}

// silent reports whether the loser was silent for long enough before it was admitted for the first time after the takeover: for the cooldown, and for ten times
// its longest gap as the client knows it, which is shorter than the gate knows it by the time on the way.
func (d *diary) silent(admitted time.Time, cooldown time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var last time.Time // that it heard of being out
	for _, e := range d.endings {
		if e.who == "A" {
			last = e.at
			break
		}
	}
	if last.IsZero() {
		return false
	}
	longest := time.Duration(0)
	for _, a := range d.attempts {
		heard := a.sent.Add(a.took)
		if a.who != "A" || !heard.Before(admitted) {
			break
		}
		longest = max(longest, a.sent.Sub(last))
		last = heard
	}
	return admitted.Sub(last) >= max(cooldown, 10*longest)
}

// judgeRows looks at when denials were written down.
func (r *Result) judgeRows(denials []time.Time) {
	r.Rows = len(denials)
	for i, from := range denials {
		n := 0
		for _, at := range denials[i:] {
			if at.Sub(from) < rowPause {
				n++
			}
		}
		r.MinuteRows = max(r.MinuteRows, n)
	}
	if r.MinuteRows > 1 {
		r.fail("%d rows of denials within a minute", r.MinuteRows)
	}
	if r.Rows == 0 {
		r.fail("no denial is on record")
	}
}

func collect[T any](rows pgx.Rows) ([]T, error) { return pgx.CollectRows(rows, pgx.RowTo[T]) }
