package webhook

import (
	"net/http"
	"testing"
	"time"

	"github.com/bindgate/bindgate/store"
)

func TestRetryAfterHeader(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "86401": 24 * time.Hour, "99999999999999999999999999": 24 * time.Hour,
		"-1": 0, "1.5": 0, "soon": 0, "7s": 0,
		"Mon, 23 Nov 2026 08:00:09 GMT": 9 * time.Second, "Mon, 23 Nov 2026 07:59:00 GMT": 0, "Fri, 23 Nov 2126 08:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After: %q is %s, want %s", value, got, want)
		}
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	var least, most time.Duration
	for n := 1; ; n++ {
		low, high := 1000*time.Hour, time.Duration(0)
		last := false
		for range 200 {
			pause, again := retryIn(n, 0)
			if last = !again; last {
				break
			}
			low, high = min(low, pause), max(high, pause)
		}
		if last {
			break
		}
		if low < retries[n-1] || high > retries[n-1]*6/5 || low == high {
			t.Errorf("after attempt %d: from %s to %s", n, low, high)
		}
		least, most = least+low, most+high
	}
	if least < 72*time.Hour || most > 100*time.Hour {
		t.Errorf("an event is tried for %s to %s", least, most)
	}
	if pause, _ := retryIn(1, time.Hour); pause < time.Hour {
		t.Errorf("a target that asked for an hour is asked again after %s", pause)
	}
	if pause, _ := retryIn(8, time.Second); pause < 30*time.Second || pause > time.Minute {
		t.Errorf("a target that asked for a second, the eighth time, is asked again after %s", pause)
	}
	for n := range 100 {
		if pause := probeIn(n, 0); pause < probeFirst || pause > probeLongest*6/5 {
			t.Errorf("probe %d after %s", n, pause)
		}
	}
}

// A test that a target takes after an outage has it tried at once; that all is well says only an event that is taken.
func TestATestThatIsTakenHastens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := &worker{lanes: newLanes(), health: health{down: true, failures: 9, probes: 5, since: now.Add(-time.Hour), paused: now.Add(time.Minute)}}
	w.halted.Store(w.health.paused.UnixNano())
	w.lanes.add(&delivery{id: 1, account: "ada@example.org"}, now.Add(time.Minute))
	w.well(true, now)
	if l := w.lanes.top(); l.due.After(now) || w.health.paused.After(now) || w.halted.Load() > now.UnixNano() {
		t.Error("what waits is not tried at once")
	}
	if !w.health.down || w.health.since.IsZero() || w.step.Health != 0 {
		t.Errorf("%+v, %+v: a test alone says that all is well", w.health, w.step)
	}
	w.well(false, now)
	if w.health.down || !w.health.since.IsZero() || w.step.Health != store.HealthGood {
		t.Errorf("%+v", w.health)
	}
}
