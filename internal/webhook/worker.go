package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// Bounds of what a worker takes up.
const (
	takeChunk   = 256    // events in one look at the log
	takeRounds  = 16     // looks in one step
	maxBegun    = 256    // deliveries that are begun; those beyond the slots wait for one
	maxWaiting  = 50_000 // deliveries that wait; nothing more is taken up until they are fewer
	maxBodies   = 2048   // of these, whose text is kept in memory
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

// start is a request that is made once its step is written.
type start struct {
	lane  *lane
	probe bool
}

// result is a request that is over.
type result struct {
	start
	outcome
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

// load reads the webhook and the deliveries that the worker does not know yet: at first all, later those that were asked for by hand.
func (w *worker) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	hook, err := w.d.cfg.Store.OwnWebhook(ctx, w.held.lease)
	if err != nil {
		return err
	}
	now := time.Now()
	if w.hook.URL != hook.URL || w.hook.Enabled != hook.Enabled {
		w.health.renew(hook.Failing, now)
	}
	w.hook, w.secretsTo = hook, time.Time{}
	if hook.SecretsFor > 0 {
		w.secretsTo = now.Add(hook.SecretsFor)
	}
	pending, err := w.d.cfg.Store.PendingDeliveries(ctx, hook.ID)
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
			d.body = bodyOf(e)
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

// fill reads the texts that are to be sent and not in memory. An event that is not kept any more has failed.
func (w *worker) fill(ctx context.Context, now time.Time) error {
	var missing []int64
	for _, s := range w.begun {
		if d := s.lane.queue[0]; d.body == nil && d.id > 0 {
			missing = append(missing, d.id)
		} else if d.body == nil {
			d.body = testBody(w.hook.ID, d.id, now)
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
			d.body = bodies[d.id]
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

// send makes a request when there is a slot for it. One that has to wait for it is given up, as if it had not been begun, when nothing is to be sent any more.
func (w *worker) send(ctx context.Context, s start) {
	d := s.lane.queue[0]
	m := message{url: w.hook.URL, id: messageID(d.id), body: d.body, secrets: w.hook.Secrets}
	byHand := d.byHand
	w.sending.Go(func() {
		free, ok := w.slot(ctx)
		if !ok || !byHand && time.Now().UnixNano() < w.halted.Load() {
			free()
			w.results <- result{s, outcome{cancelled: true}}
			return
		}
		out := w.d.client.send(ctx, m)
		free()
		w.results <- result{s, out}
	})
}

// slot waits for a slot: one of the webhook's own, or of those that all webhooks share.
func (w *worker) slot(ctx context.Context) (free func(), ok bool) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return func() {}, false
	}
	select {
	case w.own <- struct{}{}:
		return func() { <-w.own; <-w.slots }, true
	case w.d.shared <- struct{}{}:
		return func() { <-w.d.shared; <-w.slots }, true
	case <-ctx.Done():
		return func() { <-w.slots }, false
	}
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
