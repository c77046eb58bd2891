package webhook_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/internal/webhook"
	"github.com/bindgate/bindgate/store"
)

// One event that is always refused speaks against itself alone, however long; events of two accounts speak against the target.
func TestOneEventIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all atomic.Bool
	r := receive(t, func(_ http.ResponseWriter, e event) int {
		if all.Load() || *e.Account == account(0) {
			return 400
		}
		return 200
	})
	id := w.hook(r.URL)
	stop := w.deliver()
	w.tell(account(0), 0, 1)
	attempts := func(n int) func() bool {
		return func() bool {
			d := w.deliveries(id, "pending")
			return len(d) == 1 && d[0].Attempts >= n && d[0].Status == 400 && !d[0].NextAt.IsZero()
		}
	}
	hurry := func(n int) {
		t.Helper()
		w.until("an attempt has ended", attempts(n))
		if err := w.store.Redeliver(t.Context(), id, w.deliveries(id, "pending")[0].ID, store.Actor{}); err != nil { // rather than wait for its time
			t.Fatal(err)
		}
	}
	for n := range 5 {
		hurry(n + 1)
	}
	w.until("six refusals", attempts(6))
	if h := w.find(id); !h.Enabled || !h.FailingSince.IsZero() {
		t.Errorf("one event's refusals speak against the target: %+v", h)
	}
	w.tell(account(1), 0, 3)
	w.until("another account's events", func() bool { return r.count() == 3 })
	// It was away for days, and is there again.
	stop()
	if _, err := w.store.Pool().Exec(t.Context(), "update webhooks set failing_since = clock_timestamp() - interval '80 hours'"); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	hurry(6)
	w.until("the target is known to be there", func() bool { return w.find(id).FailingSince.IsZero() })
	all.Store(true)
	w.tell(account(1), 3, 4)
	w.until("two accounts' refusals speak against it", func() bool { return !w.find(id).FailingSince.IsZero() })
	if !w.find(id).Enabled {
		t.Error("it is disabled")
	}
}

// What waits for its turn in a process that has lost the database, and so its lease, is not sent behind what the next process sends.
func TestLeaseEndsByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const first, events = 32, 60 // as many as are sent at once, and more
	var came, left atomic.Int32
	release := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, event) int {
		if came.Add(1) <= first {
			<-release
			left.Add(1)
			return 500
		}
		return 200
	})
	w.hook(r.URL)
	cfg := w.store.Pool().Config()
	var silent atomic.Bool // the database, to the first process
	cfg.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
		if silent.Load() {
			<-ctx.Done()
		}
		return true, ctx.Err()
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	stop := w.deliver(func(c *webhook.Config) { c.Store = store.FromPool(pool) })
	w.tellMany(events, 1)
	w.until("the first are on their way, the others wait", func() bool {
		var begun int
		err := w.store.Pool().QueryRow(t.Context(), "select count(*) from webhook_deliveries where attempts = 1").Scan(&begun)
		return err == nil && begun == events && came.Load() == first
	})
	silent.Store(true)
	w.deliver()
	w.until("the next process has sent all", func() bool { return r.count() == events })
	close(release)
	w.until("the first are over", func() bool { return left.Load() == first })
	stop()
	if n := came.Load(); n != first+events {
		t.Errorf("%d requests, want %d: what waited was sent late", n, first+events)
	}
}

// An event that is erased is not sent any more, wherever it waits, and nothing is left of what was answered to it.
func TestErasedEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, func(rw http.ResponseWriter, e event) int {
		status := 200
		if *e.Account == account(0) && e.Data.N == 1 {
			status = 500
		}
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, "about "+*e.Account)
		return 0
	})
	id := w.hook(r.URL)
	w.deliver()
	w.tell(account(1), 0, 1)
	w.tell(account(0), 0, 3)
	w.until("one event waits for its next attempt, and one behind it", func() bool {
		p := w.deliveries(id, "pending")
		return len(p) == 2 && p[1].Attempted && len(w.deliveries(id, "delivered")) == 2
	})
	called := r.called()
	const erasure = "insert into erasures (account, id, jid, erased_at) values (md5($1)::uuid, 1, $1, clock_timestamp())"
	if _, err := w.store.Pool().Exec(t.Context(), erasure, account(0)); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		var err error
		if more, err = w.store.EraseSome(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.until("it is known", func() bool { return w.gate.Events().Erasures() > 0 })
	for _, d := range w.deliveries(id, "") {
		if kept := d.Account == account(1); kept != (d.Answer != "") || !kept && d.Error != "" {
			t.Errorf("after the erasure: %+v", d)
		}
	}
	for _, d := range w.deliveries(id, "pending") {
		if err := w.store.Redeliver(t.Context(), id, d.ID, store.Actor{}); err != nil {
			t.Fatal(err)
		}
	}
	w.until("both are given up", func() bool { return len(w.deliveries(id, "failed")) == 2 })
	for _, d := range w.deliveries(id, "failed") {
		if d.Error != "the event is not kept any more" {
			t.Errorf("%+v", d)
		}
	}
	if n := r.called(); n != called {
		t.Errorf("%d calls after the erasure", n-called)
	}
}

// Deliveries go by age, also those of a process that has just begun.
func TestForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, nil)
	id := w.hook(r.URL)
	stop := w.deliver()
	w.tell(account(0), 0, 2)
	w.until("two events", func() bool { return len(w.deliveries(id, "delivered")) == 2 })
	stop()
	if _, err := w.store.Pool().Exec(t.Context(), "update webhook_deliveries set finished_at = finished_at - interval '8 days' where id = 1"); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	w.until("the old one is forgotten", func() bool { d := w.deliveries(id, ""); return len(d) == 1 && d[0].ID == 2 })
}
