package webhook

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/store"
)

// Bounds of a worker.
const (
	maxBegun    = 256 // deliveries that are begun; those beyond the slots wait for one
	cursorEvery = 5 * time.Second
	stepTimeout = 10 * time.Second
)

// worker delivers for one webhook. What it knows is its goroutine's alone, and a part of what the database has: whatever fails with the database ends the worker,
// and the next one reads all of it again.
type worker struct {
	d      *Deliverer
	held   *held
	log    *slog.Logger
	hook   store.OwnedWebhook
	lanes  *lanes
	rows   map[int64]bool // that are in lanes, or whose end is not written yet
	health health

	cursor    int64 // of the last event that was looked at
	written   int64 // as the database has it
	writtenAt time.Time
	secretsTo time.Time // when the secrets are to be read again; zero: never

	lost     bool          // the lease may have ended before something could be sent
	begunNow int           // deliveries that are begun and not settled
	halted   atomic.Int64  // Unix nanoseconds until which what is begun and not on its way yet is not sent
	slots    chan struct{} // bounds the requests at once
	own      chan struct{} // of these, those for which none is needed of what all webhooks share
	results  chan result   // has room for all that is begun
	sending  sync.WaitGroup
	stop     context.CancelFunc // of the requests

	step    store.WebhookStep
	begun   []start
	settled []*lane // that failed in this step, and are to be sent in a later one
}

func newWorker(d *Deliverer, h *held, log *slog.Logger) *worker {
	return &worker{d: d, held: h, log: log, lanes: newLanes(), rows: map[int64]bool{}, results: make(chan result, maxBegun),
		slots: make(chan struct{}, maxSlots), own: make(chan struct{}, ownSlots)}
}

func (w *worker) run(ctx context.Context) error {
	requests, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	defer func() {
		stop()
		w.sending.Wait()
	}()
	if err := w.load(ctx); err != nil {
		return err
	}
	w.written, w.cursor, w.writtenAt = w.hook.Position, w.hook.Position, time.Now()
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		grown := w.d.cfg.Events.Grown()
		more, err := w.once(ctx, requests)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if !w.hook.Enabled && w.begunNow == 0 && w.lanes.count == 0 {
			return nil
		}
		if !w.takes(time.Now()) {
			grown = nil
		}
		wake.Reset(w.idle(time.Now()))
		select {
		case <-ctx.Done():
			return w.finish(ctx)
		case r := <-w.results:
			w.settle(r, time.Now())
		case change := <-w.held.changed:
			if change != w.hook.Change {
				if err := w.load(ctx); err != nil {
					return err
				}
			}
		case <-grown:
		case <-wake.C:
			if !w.secretsTo.IsZero() && time.Now().After(w.secretsTo) {
				if err := w.load(ctx); err != nil {
					return err
				}
			}
		}
	}
}

// load reads the webhook and the deliveries that the worker does not know yet: all when it begins to deliver, later those that were asked for by hand.
func (w *worker) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	hook, err := w.d.cfg.Store.OwnWebhook(ctx, w.held.lease)
	if err != nil {
		return err
	}
	now := time.Now()
	asked := !hook.Enabled || w.hook.Enabled // all that waits otherwise is known, or nobody's business
	if w.hook.URL != hook.URL || w.hook.Enabled != hook.Enabled {
		w.health.renew(hook.Failing, now)
	}
	w.hook, w.secretsTo = hook, time.Time{}
	if hook.SecretsFor > 0 {
		w.secretsTo = now.Add(hook.SecretsFor)
	}
	pending, err := w.d.cfg.Store.PendingDeliveries(ctx, hook.ID, asked)
	if err != nil {
		return err
	}
	for _, p := range pending {
		switch {
		case !hook.Enabled && !p.ByHand:
		case w.rows[p.ID]:
			if p.Wait <= 0 {
				w.lanes.hurry(p.Account, p.ID, now)
			}
		default:
			w.add(&delivery{id: p.ID, account: p.Account, byHand: p.ByHand, tries: p.Tries}, now.Add(p.Wait))
		}
	}
	return nil
}

func (w *worker) add(d *delivery, due time.Time) {
	w.rows[d.id] = true
	w.lanes.add(d, due)
}

// rest has what waits go on waiting in the database alone, but for what was asked for by hand.
func (w *worker) rest() {
	for _, l := range slices.Clone(w.lanes.heap) {
		if l.queue[0].byHand {
			continue
		}
		w.lanes.take(l)
		for _, d := range l.queue {
			delete(w.rows, d.id)
		}
		w.lanes.count -= len(l.queue)
		delete(w.lanes.byKey, l.key)
	}
}

// once settles what has ended, takes up what is new, chooses what is sent now, writes all that, and sends. It reports whether there may be more to do at once.
func (w *worker) once(ctx, requests context.Context) (more bool, err error) {
	for drained := false; !drained; {
		select {
		case r := <-w.results:
			w.settle(r, time.Now())
		default:
			drained = true
		}
	}
	if w.lost { // the next one, who may be in this process, reads how things are
		return false, store.ErrFenced
	}
	if !w.hook.Enabled {
		w.rest()
	}
	now := time.Now()
	for range takeRounds {
		if more = w.choose(now); more {
			break
		}
		if more = w.takes(now); !more {
			break
		}
		if more, err = w.takeUp(ctx, now); err != nil || !more {
			break
		}
	}
	if err != nil {
		return false, err
	}
	if err := w.fill(ctx, now); err != nil {
		return false, err
	}
	if err := w.write(ctx, now); err != nil {
		return false, err
	}
	for _, s := range w.begun {
		w.send(requests, s)
	}
	w.begun = w.begun[:0]
	return more, nil
}

// write writes the step, if there is something to write.
func (w *worker) write(ctx context.Context, now time.Time) error {
	taken := make(map[int64]int, len(w.step.Taken))
	for i, t := range w.step.Taken {
		taken[t.Position] = i
	}
	for _, s := range w.begun {
		d := s.lane.queue[0]
		if i, ok := taken[d.id]; ok {
			w.step.Taken[i].Begun = true
		} else {
			w.step.Begun = append(w.step.Begun, d.id)
		}
	}
	idle := len(w.step.Taken)+len(w.step.Begun)+len(w.step.Ended) == 0
	if idle && (w.cursor == w.written || now.Sub(w.writtenAt) < cursorEvery) {
		return nil
	}
	w.step.Position = w.cursor
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := w.d.cfg.Store.StepWebhook(ctx, w.held.lease, w.step); err != nil {
		return err
	}
	for _, e := range w.step.Ended {
		if e.State != store.DeliveryPending {
			delete(w.rows, e.ID)
		}
	}
	if w.step.Disable != "" {
		w.log.WarnContext(ctx, "a webhook is disabled", "reason", w.step.Disable)
		w.hook.Enabled = false
	}
	for _, l := range w.settled {
		l.settled = false
	}
	w.settled = w.settled[:0]
	w.written, w.writtenAt = w.cursor, now
	w.step = store.WebhookStep{Taken: w.step.Taken[:0], Begun: w.step.Begun[:0], Ended: w.step.Ended[:0]}
	return nil
}

// idle returns how long there is nothing to do unless something happens.
func (w *worker) idle(now time.Time) time.Duration {
	next := now.Add(time.Minute)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if !w.secretsTo.IsZero() {
		earlier(w.secretsTo)
	}
	if w.cursor != w.written {
		earlier(w.writtenAt.Add(cursorEvery))
	}
	// Where as much is begun as may be, it is a result that goes on, and so it is while a probe is on its way.
	if l := w.lanes.top(); l != nil && w.begunNow < maxBegun {
		switch {
		case l.queue[0].byHand:
			earlier(l.due)
		case w.health.down && w.begunNow == 0:
			earlier(later(w.health.paused, l.hold))
		case !w.health.down:
			earlier(later(w.health.paused, l.due))
		}
	}
	return max(next.Sub(now), 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// finish waits for what is on its way, for a while, and writes how it ended.
func (w *worker) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	w.halted.Store(math.MaxInt64)
	for w.begunNow > 0 {
		select {
		case r := <-w.results:
			w.settle(r, time.Now())
		case <-ctx.Done():
			w.stop() // it is sent again by the next
			w.settle(<-w.results, time.Now())
		}
	}
	write, end := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer end()
	return w.write(write, time.Now())
}
