package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/internal/webhook"
	"github.com/bindgate/bindgate/store"
)

const patience = 60 * time.Second // most of what is waited for comes within a second; an attempt that fails may take half a minute to come again

var secret = store.WebhookSecret("0123456789abcdef0123456789abcdef")

// world is a database with a gate, which sequences events, and as many deliverers as a test begins.
type world struct {
	t     *testing.T
	store *store.Store
	gate  *gate.Gate
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st := store.FromPool(pgtest.New(t))
	g := gate.New(st, gate.Config{Name: "test"})
	background(t, g.Run)
	return &world{t, st, g}
}

// background runs until the test ends or stop is called, which waits.
func background(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w *world) deliver(change ...func(*webhook.Config)) (stop func()) {
	w.t.Helper()
	cfg := webhook.Config{Store: w.store, Events: w.gate.Events(), Targets: target.Policy{Private: true}, Version: "test", Lease: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))}
	for _, f := range change {
		f(&cfg)
	}
	return background(w.t, webhook.New(cfg).Run)
}

func (w *world) hook(url string, change ...func(*store.Webhook)) int64 {
	w.t.Helper()
	h := store.Webhook{URL: url, Enabled: true}
	for _, f := range change {
		f(&h)
	}
	h, err := w.store.CreateWebhook(w.t.Context(), h, secret, store.Actor{})
	if err != nil {
		w.t.Fatal(err)
	}
	return h.ID
}

// tell writes events of an account, each with its number.
func (w *world) tell(account string, from, to int) {
	w.t.Helper()
	for n := from; n < to; n++ {
		e := store.Event{Type: "session.started", Account: account, Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
		if err := w.store.Tell(w.t.Context(), e); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
		<-tick.C
	}
}

func (w *world) find(id int64) store.Webhook {
	w.t.Helper()
	h, err := w.store.FindWebhook(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

func (w *world) deliveries(id int64, state string) []store.Delivery {
	w.t.Helper()
	list, err := w.store.ListDeliveries(w.t.Context(), id, state, store.DeliveryPosition{}, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// event is what a target got.
type event struct {
	ID      string
	Type    string
	At      time.Time
	Account *string
	Data    struct{ N int }
}

// receiver is a target. answer decides what it says to an event, 0 if it has said it itself; those it said yes to are kept, by account.
type receiver struct {
	*httptest.Server
	t      *testing.T
	answer func(w http.ResponseWriter, e event) int

	mu      sync.Mutex
	got     map[string][]int
	calls   []event
	callsAt []time.Time
	seen    map[string]bool // ids it said yes to
}

func receive(t *testing.T, answer func(http.ResponseWriter, event) int) *receiver {
	t.Helper()
	r := &receiver{t: t, answer: answer, got: map[string][]int{}, seen: map[string]bool{}}
	verifier, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // cut
		}
		if err := verifier.Verify(body, req.Header); err != nil {
			t.Errorf("the standard library's verdict: %v; headers %v", err, req.Header)
		}
		var e event
		if err := json.Unmarshal(body, &e); err != nil || req.Header.Get("Webhook-Id") != e.ID || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v: %s with %v", err, body, req.Header)
		}
		status := http.StatusNoContent
		if r.answer != nil {
			status = r.answer(rw, e)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls, r.callsAt = append(r.calls, e), append(r.callsAt, time.Now())
		if (status == 0 || status/100 == 2) && !r.seen[e.ID] {
			r.seen[e.ID] = true
			account := ""
			if e.Account != nil {
				account = *e.Account
			}
			r.got[account] = append(r.got[account], e.Data.N)
		}
		if status != 0 {
			rw.WriteHeader(status)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *receiver) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

// wantInOrder checks that every account's events came, each first time in order.
func (r *receiver) wantInOrder(accounts, each int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	want := map[string][]int{}
	for a := range accounts {
		for n := range each {
			want[account(a)] = append(want[account(a)], n)
		}
	}
	if d := cmp.Diff(want, r.got); d != "" {
		r.t.Errorf("delivered (-want +got):\n%s", d)
	}
}

func account(n int) string { return fmt.Sprintf("user%d@example.org", n) }

// tellMany writes each account's events from a goroutine of its own.
func (w *world) tellMany(accounts, each int) {
	w.t.Helper()
	var wait sync.WaitGroup
	for a := range accounts {
		wait.Go(func() { w.tell(account(a), 0, each) })
	}
	wait.Wait()
}
