package war

import (
	"testing"
	"time"
)

// A trial is void only if the loser was silent for as long as the rule wants: what the gate does wrong is never put down to the machine.
func TestSilent(t *testing.T) {
	t.Parallel()
	from := time.Now()
	at := func(seconds float64) time.Time { return from.Add(time.Duration(seconds * float64(time.Second))) }
	for _, tt := range []struct {
		name     string
		attempts [][2]float64 // sent, answered
		admitted float64
		want     bool
	}{
		{"at the first attempt, in time", nil, 4.9, false},
		{"at the first attempt, too late", nil, 5, true},
		{"held for long, and tried again at once", [][2]float64{{0, 4}, {4, 8}}, 8.1, false},
		{"on its way for long", [][2]float64{{0, 4}, {4, 8}}, 13, true},
		{"after a step of its policy", [][2]float64{{1, 1}, {2, 2}}, 8, false},
		{"after ten times its longest gap", [][2]float64{{1, 1}, {2, 2}}, 12, true},
		{"after less than that, for its gap grew", [][2]float64{{1, 1}, {2, 2}, {8, 8}}, 38, false},
		{"before that, what came later does not count", [][2]float64{{1, 1}, {20, 21}}, 3, false},
	} {
		d := newDiary(0)
		d.endings = []event{{at(0), "A"}}
		for _, a := range tt.attempts {
			d.attempts = append(d.attempts, attempt{at(a[0]), at(a[1]).Sub(at(a[0])), "A"})
		}
		if got := d.silent(at(tt.admitted), 5*time.Second); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
