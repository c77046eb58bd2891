// Package webhook sends events to webhooks (https://www.standardwebhooks.com): at least once, and in order for each account.
//
// A webhook is a place in the event log. Whoever holds its lease takes up what comes behind that place, as rows in the database, before anything is sent. Each account
// has a lane: its events are sent one after the other, and one that fails keeps those behind it waiting and nobody else. What a process that dies had begun
// is sent again by the next holder of the lease, with the same webhook-id.
//
//	event log ─▶ take up ─▶ lanes ─▶ POST ─▶ outcome
//	             └────── one transaction a step: what was taken, is begun, has ended ──────┘
//
// An event that fails is tried again by a schedule over days and then given up. Where one attempt after the other fails, whatever the account, it is the target that
// is at fault: nothing more is taken up, one event at a time is tried as a probe, and with the first success all that waits is due. A target that fails for days
// or says 410 Gone disables its webhook, which keeps its place.
//
// Goroutines: Run, one that forgets, one worker for each webhook that is held, one for each request; all are waited for.
package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/store"
)

// Config of a Deliverer. Store and Events are required.
type Config struct {
	Store   *store.Store
	Events  *gate.Feed
	Targets target.Policy
	Version string // of the sender, for the User-Agent
	Logger  *slog.Logger
	Lease   time.Duration // of a webhook: a process that dies is replaced after it; 0: 5 s
	Keep    time.Duration // how long deliveries are kept after their end; 0: 7 days
}

// Bounds of deliveries.
const (
	ownSlots    = 4   // requests at once of each webhook, whatever the others do
	sharedSlots = 256 // and those that all of them share
	maxSlots    = 32  // of one webhook
	claimPeriod = 500 * time.Millisecond
	stopGrace   = 2 * time.Second // what is on its way when Run ends may take so long; after it, it is sent again by the next
)

// Deliverer sends events. Make one with New, run it with Run.
type Deliverer struct {
	cfg    Config
	log    *slog.Logger
	id     store.Key // of this process
	client *sender
	shared chan struct{}
}

// New returns a deliverer.
func New(cfg Config) *Deliverer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Lease == 0 {
		cfg.Lease = 5 * time.Second
	}
	if cfg.Keep == 0 {
		cfg.Keep = 7 * 24 * time.Hour
	}
	d := &Deliverer{cfg: cfg, log: cfg.Logger, client: newSender(cfg.Targets, cfg.Version), shared: make(chan struct{}, sharedSlots)}
	_, _ = rand.Read(d.id[:]) // never fails
	return d
}

// held is a webhook whose worker runs.
type held struct {
	lease   store.WebhookLease
	cancel  context.CancelFunc
	changed chan int64   // the webhook's newest change; one waits
	until   atomic.Int64 // Unix nanoseconds: nothing is sent that would begin later, whoever has the webhook then
}

// leaseMargin is the part of a lease at its end in which nothing is begun any more: for clocks that do not run alike, and for what lies between a look at the
// clock and the first byte.
const leaseMargin = 0.1

// prolong notes how long a lease lasts that was read not before a time.
func (h *held) prolong(l store.WebhookLease, read time.Time, whole time.Duration) {
	h.until.Store(read.Add(l.Left - time.Duration(leaseMargin*float64(whole))).UnixNano())
}

// over reports whether the lease may have ended. A process that was frozen, or cannot reach the database, learns of it by the clock alone.
func (h *held) over() bool { return time.Now().UnixNano() > h.until.Load() }

// Run delivers until ctx ends.
func (d *Deliverer) Run(ctx context.Context) error {
	defer d.client.close()
	var workers sync.WaitGroup
	defer workers.Wait()
	workers.Go(func() { d.forget(ctx) })
	ended := make(chan store.WebhookLease)
	running := map[int64]*held{}
	resting := map[int64]time.Time{} // webhooks whose worker failed, until when
	tick := time.NewTimer(0)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			for len(running) > 0 {
				delete(running, (<-ended).Webhook)
			}
			return nil
		case l := <-ended:
			if h := running[l.Webhook]; h != nil && h.lease.Fence == l.Fence {
				h.cancel()
				delete(running, l.Webhook)
				resting[l.Webhook] = time.Now().Add(time.Second)
			}
			continue
		case <-tick.C:
		}
		tick.Reset(claimPeriod)
		read := time.Now()
		leases, err := d.claim(ctx)
		if err != nil {
			if !failing && ctx.Err() == nil {
				d.log.WarnContext(ctx, "claiming webhooks fails and is tried again", "error", err)
			}
			failing = true
			continue
		}
		failing = false
		now := time.Now()
		for id, until := range resting {
			if now.After(until) {
				delete(resting, id)
			}
		}
		have := map[int64]store.WebhookLease{}
		for _, l := range leases {
			have[l.Webhook] = l
		}
		for id, h := range running {
			switch l, ok := have[id]; {
			case !ok || l.Fence != h.lease.Fence:
				h.cancel() // another process has it, or it is gone
			default:
				h.prolong(l, read, d.cfg.Lease)
				h.tell(l.Change)
			}
			delete(have, id)
		}
		for id, l := range have {
			if !resting[id].IsZero() {
				continue
			}
			work, cancel := context.WithCancel(ctx)
			h := &held{lease: l, cancel: cancel, changed: make(chan int64, 1)}
			h.prolong(l, read, d.cfg.Lease)
			running[id] = h
			workers.Go(func() {
				d.work(work, h)
				ended <- h.lease
			})
		}
	}
}

// tell leaves the newest change for the worker.
func (h *held) tell(change int64) {
	select {
	case <-h.changed:
	default:
	}
	h.changed <- change
}

func (d *Deliverer) claim(ctx context.Context) ([]store.WebhookLease, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Lease/2)
	defer cancel()
	return d.cfg.Store.ClaimWebhooks(ctx, d.id, d.cfg.Lease)
}

// work delivers for one webhook until its lease is lost, ctx ends, or there is nothing to do for a disabled one.
func (d *Deliverer) work(ctx context.Context, h *held) {
	log := d.log.With("webhook", store.WebhookID(h.lease.Webhook))
	err := newWorker(d, h, log).run(ctx)
	if errors.Is(err, store.ErrFenced) {
		return
	}
	if err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "delivering failed and is begun anew", "error", err)
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := d.cfg.Store.ReleaseWebhook(release, h.lease); err != nil {
		log.InfoContext(ctx, "the lease could not be given back, it ends by itself", "error", err)
	}
}
