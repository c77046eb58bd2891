package webhook

import (
	"context"
	"time"
)

// start is a request that is made once its step is written.
type start struct {
	lane     *lane
	probe    bool
	erasures int64 // that had been made when its text was read
}

// result is a request that is over.
type result struct {
	start
	outcome
}

// send makes a request when there is a slot for it. One that has to wait for it is given up, as if it had not been begun, when nothing is to be sent any more,
// when the lease may have ended, so that no late copy comes behind what another process sends, and when its text may have been erased.
func (w *worker) send(ctx context.Context, s start) {
	d := s.lane.queue[0]
	m := message{url: w.hook.URL, id: messageID(d.id), body: d.body, secrets: w.hook.Secrets}
	byHand := d.byHand
	w.sending.Go(func() {
		free, ok := w.slot(ctx)
		late := w.held.over()
		if !ok || late || !byHand && time.Now().UnixNano() < w.halted.Load() || w.d.cfg.Events.Erasures() != s.erasures {
			free()
			w.results <- result{s, outcome{cancelled: true, late: late}}
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
