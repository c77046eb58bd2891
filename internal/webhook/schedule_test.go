package webhook

import (
	"net/http"
	"testing"
	"time"
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
