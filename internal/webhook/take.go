package webhook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// Bounds of what a worker takes up.
const (
	takeChunk  = 256    // events in one look at the log
	takeRounds = 16     // looks in one step
	maxWaiting = 50_000 // deliveries that wait; nothing more is taken up until they are fewer
	maxBodies  = 2048   // of these, whose text is kept in memory
)

// takes reports whether more is to be taken up: there is nothing that could be sent instead.
func (w *worker) takes(now time.Time) bool {
	if !w.hook.Enabled || w.lanes.count >= maxWaiting || w.step.Disable != "" {
		return false
	}
	top := w.lanes.top()
	return top == nil || top.due.After(now)
}

// takeUp looks at the next events of the log.
func (w *worker) takeUp(ctx context.Context, now time.Time) (more bool, err error) {
	erasures := w.d.cfg.Events.Erasures() // before the events are read
	events, err := w.d.cfg.Events.Read(ctx, w.cursor, takeChunk)
	if errors.Is(err, gate.ErrEventsGone) {
		oldest, _, err := w.d.cfg.Events.Bounds(ctx)
		if err != nil {
			return false, err
		}
		if oldest-1 <= w.cursor { // they go just now
			return false, nil
		}
		w.log.WarnContext(ctx, "events were dropped by age before they could be delivered", "events", oldest-1-w.cursor)
		w.cursor = oldest - 1
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range events {
		w.cursor = e.Position
		if !w.wants(e) {
			continue
		}
		d := &delivery{id: e.Position, account: e.Account}
		if w.lanes.count < maxBodies {
			d.body, d.asOf = bodyOf(e), erasures
		}
		w.add(d, now)
		w.step.Taken = append(w.step.Taken, store.TakenDelivery{Position: d.id})
	}
	return len(events) > 0, nil
}

func (w *worker) wants(e gate.Told) bool {
	return e.Type != store.EventErased && (w.hook.Types == nil || slices.Contains(w.hook.Types, e.Type)) && (w.hook.Domains == nil || e.Domain != "" && slices.Contains(w.hook.Domains, e.Domain))
}

// choose has what is due be sent, as far as that goes. It reports whether something is due in the next step at once.
func (w *worker) choose(now time.Time) (next bool) {
	if w.step.Disable != "" {
		return true
	}
	for l := w.lanes.top(); l != nil; l = w.lanes.top() {
		byHand := l.queue[0].byHand
		probe := w.health.down && !byHand
		switch {
		case byHand:
		case w.health.paused.After(now), probe && (w.begunNow > 0 || l.hold.After(now)), !probe && l.due.After(now):
			return false
		}
		if l.settled {
			return true
		}
		if w.begunNow >= maxBegun {
			return false
		}
		w.begunNow++
		w.lanes.take(l)
		w.begun = append(w.begun, start{lane: l, probe: probe})
	}
	return false
}

// fill reads the texts that are to be sent and not in memory, or were there when something was erased. An event that is not kept any more has failed.
func (w *worker) fill(ctx context.Context, now time.Time) error {
	erasures := w.d.cfg.Events.Erasures()
	var missing []int64
	for i := range w.begun {
		w.begun[i].erasures = erasures
		switch d := w.begun[i].lane.queue[0]; {
		case d.id < 0:
			d.body = testBody(w.hook.ID, d.id, now)
		case d.body == nil || d.asOf != erasures:
			d.body = nil
			missing = append(missing, d.id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	events, err := w.d.cfg.Store.EventsAt(ctx, missing)
	if err != nil {
		return err
	}
	bodies := make(map[int64][]byte, len(events))
	for _, e := range events {
		if e.Type != store.EventErased {
			bodies[e.Position] = bodyOf(gate.TellOf(e))
		}
	}
	w.begun = slices.DeleteFunc(w.begun, func(s start) bool {
		d := s.lane.queue[0]
		if d.body == nil {
			d.body, d.asOf = bodies[d.id], erasures
		}
		if d.body != nil {
			return false
		}
		w.begunNow--
		w.over(s.lane, store.AttemptedDelivery{ID: d.id, State: store.DeliveryFailed, Error: "the event is not kept any more"}, now)
		return true
	})
	return nil
}
