package webhook

import (
	"fmt"
	"net/http"
	"time"

	"github.com/bindgate/bindgate/store"
)

// health is how a target does.
type health struct {
	failures int       // in a row, that speak against the target
	since    time.Time // of the first of them, maybe before this process; zero: there is none
	refused  string    // the lane whose event was refused since the last success; "": none
	several  bool      // others were too
	down     bool      // the target is at fault
	probes   int       // that failed since
	paused   time.Time // nothing is sent before
}

// renew forgets what is known of the target, but for how long it has failed.
func (h *health) renew(failing time.Duration, now time.Time) {
	*h = health{}
	if failing > 0 {
		h.since = now.Add(-failing)
	}
}

// alone reports whether a failure speaks against one account's event, and not against the target: a target that is there has refused it, and no other
// account's since the last success.
func (h *health) alone(r result) bool {
	switch {
	case r.status/100 != 4, r.status == http.StatusRequestTimeout, r.status == http.StatusGone, r.status == http.StatusTooManyRequests:
		return false
	case h.refused == "":
		h.refused = r.lane.key
	case h.refused != r.lane.key:
		h.several = true
	}
	return !h.several
}

// settle notes how a request ended, in its lane, the webhook's health and the step that is written next.
func (w *worker) settle(r result, now time.Time) {
	w.begunNow--
	d := r.lane.queue[0]
	a := store.AttemptedDelivery{ID: d.id, State: store.DeliveryDelivered, Status: r.status, Duration: r.took, Answer: r.answer, Error: r.problem}
	if w.d.cfg.Events.Erasures() != r.erasures { // an answer may say of an event what has been erased
		a.Answer = ""
	}
	h := &w.health
	gone := r.status == http.StatusGone
	switch {
	case r.cancelled: // by us: nothing is known of it
		w.lost = w.lost || r.late
		w.lanes.again(r.lane, now)
		return
	case r.ok:
		h.refused, h.several = "", false
		w.well(d.byHand, now)
		w.over(r.lane, a, now)
		return
	case d.byHand:
		a.State = store.DeliveryFailed
		w.over(r.lane, a, now)
		if gone {
			w.disable("the target answered 410 Gone")
		}
		return
	}
	if h.alone(r) {
		w.well(false, now)
	} else {
		h.failures++
		if h.since.IsZero() {
			h.since = now
		}
		w.step.Health = store.HealthFailing
	}
	pause, again := jitter(retries[0]), true // while the target is at fault, what is not a probe waits for one
	switch {
	case r.probe && h.down:
		pause = probeIn(h.probes, r.retryAfter)
		h.probes++
		h.paused = now.Add(pause)
	case !h.down:
		d.tries++
		pause, again = retryIn(d.tries, r.retryAfter)
	}
	if r.retryAfter > 0 {
		r.lane.hold = now.Add(r.retryAfter)
		h.paused = later(h.paused, now.Add(min(r.retryAfter, maxPause)))
	}
	if h.failures >= strikes && !h.down {
		h.down, h.probes = true, 0
		h.paused = later(h.paused, now.Add(probeIn(0, 0)))
	}
	w.halted.Store(max(w.halted.Load(), h.paused.UnixNano()))
	switch failing := now.Sub(h.since); {
	case gone:
		w.disable("the target answered 410 Gone")
	case !h.since.IsZero() && failing >= disableAfter:
		w.disable(fmt.Sprintf("no attempt has succeeded for %d hours; the last error: %s", int(failing.Hours()), r.problem))
	}
	if !again {
		a.State, a.Error = store.DeliveryFailed, r.problem+"; given up after the last attempt"
		w.over(r.lane, a, now)
		return
	}
	a.State, a.Retry, a.Tries = store.DeliveryPending, pause, d.tries
	w.step.Ended = append(w.step.Ended, a)
	r.lane.settled = true
	w.settled = append(w.settled, r.lane)
	w.lanes.again(r.lane, later(now.Add(pause), r.lane.hold))
}

// well notes that the target is there. If it was not for a while, all that waits is due. What was sent by hand does not decide that, but has it tried at once.
func (w *worker) well(byHand bool, now time.Time) {
	h := &w.health
	if h.down && byHand {
		h.paused = time.Time{}
		w.halted.Store(0)
		w.lanes.hasten(now)
		return
	}
	if h.down {
		if h.probes > 0 {
			w.lanes.hasten(now)
		}
		h.down, h.paused = false, time.Time{}
		w.halted.Store(0)
	}
	if !h.since.IsZero() {
		w.step.Health = store.HealthGood
	}
	h.failures, h.probes, h.since = 0, 0, time.Time{}
}

// over notes that the first of a lane is over.
func (w *worker) over(l *lane, a store.AttemptedDelivery, now time.Time) {
	w.step.Ended = append(w.step.Ended, a)
	w.lanes.done(l, now)
}

func (w *worker) disable(reason string) {
	if w.hook.Enabled {
		w.step.Disable = reason
	}
}
