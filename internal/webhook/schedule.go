package webhook

import (
	"math/rand/v2"
	"time"
)

// Schedules.
const (
	strikes       = 3               // failures in a row after which the target is at fault
	probeFirst    = 2 * time.Second // between probes of a target that is at fault, at first
	probeLongest  = 2 * time.Minute // and at last: so soon after it is back, it gets what waits
	disableAfter  = 72 * time.Hour  // without any success
	maxRetryAfter = 24 * time.Hour  // what a target asks for is heeded as far as that for the account,
	maxPause      = time.Minute     // and so far for all of its webhook
)

// retries are the pauses after an event's attempts, after the example of Standard Webhooks. After the last one it is given up.
var retries = []time.Duration{
	time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// retryIn returns the pause after an event's attempt number n, counted from 1; false: there was the last one.
func retryIn(n int, asked time.Duration) (time.Duration, bool) {
	if n > len(retries) {
		return 0, false
	}
	pause := retries[max(n, 1)-1]
	if asked > 0 {
		// A target that knows better is believed, but not so far that it is asked every second for days.
		return jitter(max(asked, min(pause, 30*time.Second))), true
	}
	return jitter(pause), true
}

// probeIn returns the pause before the next probe after n of them failed.
func probeIn(n int, asked time.Duration) time.Duration {
	pause := probeLongest
	if n < 7 {
		pause = min(probeFirst<<n, probeLongest)
	}
	return jitter(max(pause, min(asked, maxPause)))
}

// jitter adds up to a fifth, so that what failed together does not come back together. It takes nothing off: Retry-After is the least.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/5+1) }
