// Package gate holds the use cases: it admits logins in batches, follows what the server reports, kicks and proves it, reconciles the record with
// the servers, and cleans up behind crashes.
//
// Everything that concerns an account is an operation in that account's lane. Workers take the first operation of many lanes, run them in one
// transaction under the accounts' row locks, and do what follows from it after the commit:
//
//	bridge ─ Ask, Event ─▶ queue (lanes) ─▶ worker ─▶ store.Batch: lock, load, apply, write, commit ─▶ answer, probe, kick
//	reconciler ─ parts ──▶   "                          kicker ◀─ evictions that are due
//	API ─ Kick ──────────▶   "                          sweeper ◀─ binds that never came
//
// Goroutines: the workers, one for each account that another transaction held, for each probe, for each client that is asked what it is and for each login that others are
// told of, sweeper, sequencer, follower of the event log, tender of jobs, eraser, counter, bookkeeper of tallies and keeper, for which Run waits; renewer, kicker, revoker, steerer, reconciler, converger and ender of each link that is owned, for
// which Own waits.
package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Config of a Gate. The zero value is good for production.
type Config struct {
	Logger    *slog.Logger
	Name      string          // of this process, for operators
	Workers   int             // transactions at once; 0: 2
	Batch     int             // accounts a transaction at most; 0: 256
	Queue     int             // operations that may wait; 0: 65,536. Asks beyond it are answered Undecided at once
	Reconcile time.Duration   // between periodic checks of the record; 0: a minute
	Keep      store.Retention // what is not set: sessions, decisions and devices 90 days, events and addresses 30, the audit a year
	LeaseTTL  time.Duration   // of a link; 0: 3 s
	// Answered is told of each answer to an ask and how long it took, from its arrival on. nil: nobody is. It must not block.
	Answered func(outcome Outcome, took time.Duration)
}

// Gate decides. Make one with New, run it with Run.
type Gate struct {
	cfg   Config
	log   *slog.Logger
	store *store.Store
	queue *queue
	alone chan struct{} // bounds the transactions for busy accounts
	bg    background

	previews chan struct{} // bounds how many are computed at once

	id      store.Key // of this process
	stats   Stats
	tallies tallies

	sequenced atomic.Int64 // when events were last given positions, or found to have them all, in nanoseconds; 0: before Run

	keyMu    sync.Mutex
	tokenKey []byte // of takeover tokens; nil: not loaded yet. Set once, before the first operation

	undecidedLog throttle
	conditions   rules.Conditions

	mu    sync.Mutex
	links map[string]*link

	asks    undecided
	curious allowance     // of inquiries
	telling allowance     // of new logins
	owners  chan struct{} // bounds what owners read at once

	feed *Feed
}

// New returns a gate on a migrated store.
func New(st *store.Store, cfg Config) *Gate {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Answered == nil {
		cfg.Answered = func(Outcome, time.Duration) {}
	}
	if cfg.Workers == 0 {
		cfg.Workers = 2
	}
	if cfg.Batch == 0 {
		cfg.Batch = 256
	}
	if cfg.Queue == 0 {
		cfg.Queue = 65536
	}
	if cfg.Reconcile == 0 {
		cfg.Reconcile = time.Minute
	}
	cfg.Keep = keeping(cfg.Keep)
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = 3 * time.Second
	}
	g := &Gate{cfg: cfg, log: cfg.Logger, store: st, queue: newQueue(cfg.Queue), alone: make(chan struct{}, 8), links: map[string]*link{}, previews: make(chan struct{}, 2), feed: newFeed(st)}
	g.asks.open = map[askKey]*asking{}
	g.owners = make(chan struct{}, ownersAtOnce)
	_, _ = rand.Read(g.id[:]) // never fails
	return g
}

// ErrOverloaded is what an operation gets that found the queue full.
var ErrOverloaded = errors.New("gate: too many operations are waiting")

// ErrStopped is what an operation gets that was waiting when the gate stopped.
var ErrStopped = errors.New("gate: stopping")

// Run works until ctx ends and waits for everything it started.
func (g *Gate) Run(ctx context.Context) error {
	if err := g.keepPartitions(ctx); err != nil { // before anyone writes; what fails is tried again below
		g.log.WarnContext(ctx, "history is not partitioned yet", "error", err)
	}
	g.sequenced.Store(time.Now().UnixNano())
	group, ctx := errgroup.WithContext(ctx)
	for range g.cfg.Workers {
		group.Go(func() error { return g.work(ctx) })
	}
	group.Go(func() error { return g.every(ctx, time.Second, "sweeping", g.sweep) })
	group.Go(func() error { return g.every(ctx, 100*time.Millisecond, "sequencing events", g.sequence) })
	group.Go(func() error { return g.feed.follow(ctx, trouble{log: g.log, what: "following the event log"}) })
	group.Go(func() error { return g.every(ctx, 500*time.Millisecond, "tending jobs", g.tendJobs) })
	group.Go(func() error { return g.every(ctx, time.Second, "counting", g.store.TakeCensus) })
	group.Go(func() error { return g.every(ctx, tallyPeriod, "adding up what was counted", g.writeTallies) })
	group.Go(func() error { return g.every(ctx, 250*time.Millisecond, "erasing", g.eraseLeft) })
	group.Go(func() error { return g.every(ctx, time.Hour, "keep history", g.keepHistory) })
	err := group.Wait()
	for _, o := range g.queue.close() {
		if o.failed != nil {
			o.failed(ErrStopped)
		}
	}
	g.bg.end()
	g.writeLastTallies(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// every runs once at once and then each period.
func (g *Gate) every(ctx context.Context, period time.Duration, what string, once func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	t := trouble{log: g.log, what: what}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := once(ctx)
		t.note(ctx, err)
		if err != nil {
			timer.Reset(min(period, retry))
		} else {
			timer.Reset(period)
		}
	}
}

// retry is how soon at the latest what failed is tried again.
const retry = 30 * time.Second

// do appends an operation to its account's lane; if that cannot be, the operation is told.
func (g *Gate) do(o *op) {
	if err := g.queue.push(o); err != nil && o.failed != nil {
		o.failed(err)
	}
}

// begin is do, and tells done of the operation's end, which must have room.
func (g *Gate) begin(o *op, done chan<- error) {
	apply := o.apply
	o.apply = func(r *store.Record) func() {
		after := apply(r)
		return func() {
			if after != nil {
				after()
			}
			done <- nil
		}
	}
	o.failed = func(err error) { done <- err }
	g.do(o)
}

// await runs an operation and waits for its end.
func (g *Gate) await(ctx context.Context, o *op) error {
	done := make(chan error, 1)
	g.begin(o, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gate) work(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.queue.filled:
		}
		for {
			runtime.Gosched() // whoever was just answered may have the next question ready: a fuller batch is a cheaper one
			ops := g.queue.take(g.cfg.Batch)
			if len(ops) == 0 {
				break
			}
			g.run(ctx, ops)
		}
	}
}

// txTimeout bounds a transaction; a module's own timeout is 5 s by default.
const txTimeout = 4 * time.Second

// run does the operations in one transaction, and the ones that cannot be done together one by one.
func (g *Gate) run(ctx context.Context, ops []*op) {
	busy, err := g.transact(ctx, ops, store.SkipBusy)
	switch {
	case err == nil:
		for _, i := range busy {
			g.bg.run(func() { g.runAlone(ctx, ops[i]) })
		}
	case hopeless(err) || len(ops) == 1 && !errors.Is(err, store.ErrBusy):
		for _, o := range ops {
			g.fail(o, err)
		}
	case len(ops) == 1:
		g.bg.run(func() { g.runAlone(ctx, ops[0]) })
	default:
		g.log.WarnContext(ctx, "a batch failed, its operations are tried one by one", "operations", len(ops), "error", err)
		for i := range ops {
			if ctx.Err() != nil || hopeless(err) {
				g.fail(ops[i], err)
				continue
			}
			err = g.runOne(ctx, ops[i])
		}
	}
}

// runOne does one operation of a batch that failed. Its error is the operation's, which has been told.
func (g *Gate) runOne(ctx context.Context, o *op) error {
	busy, err := g.transact(ctx, []*op{o}, store.SkipBusy)
	switch {
	case len(busy) > 0 || errors.Is(err, store.ErrBusy):
		g.bg.run(func() { g.runAlone(ctx, o) })
		return nil
	case err != nil:
		g.fail(o, err)
	}
	return err
}

// hopeless reports whether what failed with err fails for every operation of the batch.
func hopeless(err error) bool { return errors.Is(err, store.ErrFenced) || store.Unreachable(err) }

// runAlone does one operation on an account that another transaction held.
func (g *Gate) runAlone(ctx context.Context, o *op) {
	select {
	case g.alone <- struct{}{}:
		defer func() { <-g.alone }()
	case <-ctx.Done():
		g.fail(o, ErrStopped)
		return
	}
	var err error
	for range 4 { // a second each
		if _, err = g.transact(ctx, []*op{o}, store.WaitBusy); !errors.Is(err, store.ErrBusy) {
			break
		}
	}
	if err != nil {
		g.fail(o, err)
	}
}

func (g *Gate) fail(o *op, err error) {
	g.stats.Failed.Add(1)
	if o.failed != nil {
		o.failed(err)
	}
	g.queue.done(o.want.Key)
}

// transact runs the operations in one transaction; those it has done are finished, the others are the caller's.
func (g *Gate) transact(ctx context.Context, ops []*op, mode store.Mode) (busy []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	if err := g.loadTokenKey(ctx); err != nil {
		return nil, err
	}
	wants := make([]store.Want, len(ops))
	for i, o := range ops {
		wants[i] = o.want
	}
	after, counts := make([]func(), len(ops)), make([][]store.Count, len(ops))
	busy, err = g.store.Batch(ctx, ops[0].fence, mode, wants, func(i int, r *store.Record) {
		if r != nil && r.Spoiled {
			g.log.Error("what an account's takeovers left behind cannot be read and is forgotten: cooldowns, grants and repeated denials begin anew", "account", r.JID)
		}
		after[i] = ops[i].apply(r)
		if r != nil {
			counts[i] = r.Counts()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("transaction of %d: %w", len(ops), err)
	}
	g.stats.Batches.Add(1)
	g.stats.Operations.Add(int64(len(ops) - len(busy)))
	skip := make(map[int]bool, len(busy))
	for _, i := range busy {
		skip[i] = true
	}
	for i, o := range ops {
		_, domain := split(o.want.JID)
		g.tallies.add(domain, counts[i]...)
	}
	for i, o := range ops {
		if skip[i] {
			continue
		}
		// What follows may append to the same lane; the lane is still ours, so it comes behind what is there already.
		if after[i] != nil {
			after[i]()
		}
		g.queue.done(o.want.Key)
	}
	return busy, nil
}

func (g *Gate) loadTokenKey(ctx context.Context) (err error) {
	g.keyMu.Lock()
	defer g.keyMu.Unlock()
	if g.tokenKey == nil {
		g.tokenKey, err = g.store.TokenKey(ctx)
	}
	return err
}

// SequencedAge is how long ago this process last gave events their positions, or found that none waits: a moment, unless the log stands still. 0 before Run.
func (g *Gate) SequencedAge() time.Duration {
	if at := g.sequenced.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

func (g *Gate) sequence(ctx context.Context) error {
	for {
		n, err := g.store.Sequence(ctx, 200)
		if n > 0 {
			g.feed.wake()
		}
		if err == nil {
			g.sequenced.Store(time.Now().UnixNano())
		}
		if err != nil || n < 200 {
			return err
		}
	}
}

// keepPartitions makes room for what is to come and drops what is too old, by the database's clock: one process with a wrong one must not drop history.
func (g *Gate) keepPartitions(ctx context.Context) error {
	now, err := g.store.Now(ctx)
	if err != nil {
		return err
	}
	return g.store.KeepPartitions(ctx, now, g.cfg.Keep)
}

func (g *Gate) keepHistory(ctx context.Context) error {
	if err := g.keepPartitions(ctx); err != nil {
		return err
	}
	now, err := g.store.Now(ctx)
	if err != nil {
		return err
	}
	return g.store.Forget(ctx, now, g.cfg.Keep)
}
