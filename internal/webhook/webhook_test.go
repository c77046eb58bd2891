package webhook_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/internal/webhook"
	"github.com/bindgate/bindgate/store"
)

func TestDelivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, nil)
	w.tell("early@example.org", 0, 1) // before the webhook
	w.until("the early event is in the log", func() bool { _, n, err := w.store.LogBounds(t.Context()); return err == nil && n == 1 })
	id := w.hook(r.URL)
	w.deliver()
	w.tellMany(8, 50)
	w.until("400 events", func() bool { return r.count() == 400 })
	r.wantInOrder(8, 50)
	w.until("all is written", func() bool { return len(w.deliveries(id, "delivered")) == 400 })
	for _, d := range w.deliveries(id, "") {
		if d.Status != http.StatusNoContent || d.Attempts != 1 || d.FinishedAt.IsZero() || d.Error != "" || d.Type != "session.started" || d.Account == "" {
			t.Fatalf("delivery %+v", d)
		}
	}
	if r.called() != 400 {
		t.Errorf("%d calls for 400 events", r.called())
	}
}

// A target that is away for a while gets everything afterwards, in order per account.
func TestTargetRecovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var failing atomic.Bool
	failing.Store(true)
	r := receive(t, func(http.ResponseWriter, event) int {
		if failing.Load() {
			return []int{500, 503, 404, 302}[rand.IntN(4)]
		}
		return 200
	})
	id := w.hook(r.URL)
	w.deliver()
	w.tellMany(10, 10)
	w.until("the target is known to fail", func() bool { return !w.find(id).FailingSince.IsZero() && r.called() >= 5 })
	if n := r.called(); n > 60 {
		t.Errorf("a target that fails was called %d times", n)
	}
	failing.Store(false)
	w.until("100 events", func() bool { return r.count() == 100 })
	r.wantInOrder(10, 10)
	w.until("it is well again", func() bool { return w.find(id).FailingSince.IsZero() && len(w.deliveries(id, "delivered")) == 100 })
}

// One account whose events always fail keeps nobody else waiting, and its own in order.
func TestOneAccountFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var poisoned atomic.Bool
	poisoned.Store(true)
	r := receive(t, func(_ http.ResponseWriter, e event) int {
		if poisoned.Load() && *e.Account == account(0) {
			return 500
		}
		return 200
	})
	id := w.hook(r.URL)
	w.deliver()
	for n := range 20 {
		for a := range 5 {
			w.tell(account(a), n, n+1)
		}
	}
	w.until("the others' events", func() bool { return r.count() == 80 })
	w.until("the parked ones are rows", func() bool { return len(w.deliveries(id, "pending")) == 20 })
	poisoned.Store(false)
	pending := w.deliveries(id, "pending")
	if err := w.store.Redeliver(t.Context(), id, pending[len(pending)-1].ID, store.Actor{}); err != nil { // rather than wait for its time
		t.Fatal(err)
	}
	w.until("all events", func() bool { return r.count() == 100 })
	r.wantInOrder(5, 20)
}

// A slow target keeps no other one waiting.
func TestSlowTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	slow := receive(t, func(http.ResponseWriter, event) int { <-release; return 200 })
	t.Cleanup(func() { close(release) })
	fast := receive(t, nil)
	w.hook(slow.URL)
	w.hook(fast.URL)
	w.deliver()
	w.tellMany(64, 5)
	w.until("320 events at the fast one", func() bool { return fast.count() == 320 })
	fast.wantInOrder(64, 5)
}

func TestGoneDisables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var gone atomic.Bool
	gone.Store(true)
	r := receive(t, func(_ http.ResponseWriter, e event) int {
		if gone.Load() {
			return 410
		}
		return 200
	})
	id := w.hook(r.URL)
	w.deliver()
	w.tell(account(0), 0, 3)
	w.until("the webhook is disabled", func() bool { return !w.find(id).Enabled })
	if h := w.find(id); !strings.Contains(h.DisabledReason, "410") {
		t.Errorf("reason %q", h.DisabledReason)
	}
	var told int
	w.until("an event tells of it", func() bool {
		err := w.store.Pool().QueryRow(t.Context(), "select count(*) from events where type = 'webhook.disabled' and data ->> 'webhook_id' = $1", store.WebhookID(id)).Scan(&told)
		return err == nil && told == 1
	})
	w.tell(account(0), 3, 5)
	gone.Store(false)
	on := true
	if _, err := w.store.ChangeWebhook(t.Context(), id, store.WebhookChange{Enabled: &on, Types: &[]string{"session.started"}}, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	w.until("what was written meanwhile", func() bool { return r.count() == 5 })
	r.wantInOrder(1, 5)
}

// Three days without a success disable a webhook; a success begins them anew.
func TestFailsForDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var status atomic.Int32
	status.Store(500)
	r := receive(t, func(http.ResponseWriter, event) int { return int(status.Load()) })
	id := w.hook(r.URL)
	stop := w.deliver()
	w.tell(account(0), 0, 1)
	w.until("it fails", func() bool { return !w.find(id).FailingSince.IsZero() })
	stop()
	if _, err := w.store.Pool().Exec(t.Context(), "update webhooks set failing_since = failing_since - interval '73 hours'"); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	w.until("it is disabled", func() bool { return !w.find(id).Enabled })
	if h := w.find(id); !strings.Contains(h.DisabledReason, "73 hours") || !strings.Contains(h.DisabledReason, "500") {
		t.Errorf("reason %q", h.DisabledReason)
	}
	status.Store(200)
	on := true
	if h, err := w.store.ChangeWebhook(t.Context(), id, store.WebhookChange{Enabled: &on}, store.Actor{}); err != nil || !h.FailingSince.IsZero() || h.DisabledReason != "" {
		t.Fatalf("%+v, %v", h, err)
	}
	w.until("the event", func() bool { return r.count() == 1 })
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]func() string{
		"seconds": func() string { return "4" },
		"date":    func() string { return time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat) }, // whole seconds: 4 at least
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var calls atomic.Int32
			r := receive(t, func(rw http.ResponseWriter, e event) int {
				if calls.Add(1) == 1 {
					rw.Header().Set("Retry-After", value())
					return 429
				}
				return 200
			})
			w.hook(r.URL)
			w.deliver()
			w.tell(account(0), 0, 2)
			w.until("both events", func() bool { return r.count() == 2 })
			if waited := r.callsAt[1].Sub(r.callsAt[0]); waited < 3900*time.Millisecond {
				t.Errorf("called again after %s", waited)
			}
			if r.calls[0].ID != r.calls[1].ID {
				t.Errorf("ids of the attempts: %s, %s", r.calls[0].ID, r.calls[1].ID)
			}
			r.wantInOrder(1, 2)
		})
	}
}

// Deliverers that are ended, or cut off in the middle of anything, lose nothing.
func TestRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, func(http.ResponseWriter, event) int {
		if rand.IntN(20) == 0 {
			return 500
		}
		return 200
	})
	w.hook(r.URL)
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.tellMany(8, 60)
	}()
	rounds := 0
	for done := false; !done; rounds++ {
		// Its connections are closed under it: whatever the deliverer does with the database fails from then on, as if the process were gone.
		st, err := store.Open(t.Context(), store.Config{URL: w.store.Pool().Config().ConnString(), MaxConns: 4})
		if err != nil {
			t.Fatal(err)
		}
		stop := w.deliver(func(c *webhook.Config) { c.Store = st })
		timer := time.NewTimer(time.Duration(50+rand.IntN(700)) * time.Millisecond)
		select {
		case <-timer.C:
		case <-t.Context().Done():
		}
		if rounds%2 == 0 {
			st.Close()
		}
		stop()
		st.Close()
		select {
		case <-written:
			done = rounds > 10
		default:
		}
	}
	w.deliver()
	w.until("all events", func() bool { return r.count() == 480 })
	r.wantInOrder(8, 60)
	t.Logf("%d restarts, %d calls for 480 events", rounds, r.called())
}

// Of several deliverers one has a webhook at a time; when it dies another takes over. What it has sent and not noted is sent again.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var at atomic.Int32
	var most atomic.Int32
	r := receive(t, func(http.ResponseWriter, event) int {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		return 200
	})
	w.hook(r.URL)
	stops := []func(){w.deliver(), w.deliver(), w.deliver()}
	w.tell(account(0), 0, 50)
	w.until("50 events", func() bool { return r.count() == 50 })
	for i, stop := range stops[:2] {
		stop()
		w.tell(account(0), 50*(i+1), 50*(i+2))
		w.until("the next 50", func() bool { return r.count() == 50*(i+2) })
	}
	r.wantInOrder(1, 150)
	if most.Load() != 1 || r.called() > 150+len(stops[:2]) {
		t.Errorf("%d requests at once, %d calls for 150 events of one account and two deaths", most.Load(), r.called())
	}
}

func TestTypesAndDomains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, nil)
	w.hook(r.URL, func(h *store.Webhook) {
		h.Types, h.Domains = []string{"session.started", "rule.changed"}, []string{"example.org"}
	})
	w.deliver()
	w.tell("a@other.example", 0, 1)
	for _, e := range []store.Event{
		{Type: "session.ended", Account: account(0), Data: json.RawMessage(`{"n":1}`)},
		{Type: "link.up", Data: json.RawMessage(`{"n":2}`)},
		{Type: "rule.changed", Data: json.RawMessage(`{"n":3,"level":"domain","domain":"other.example"}`)},
		{Type: "rule.changed", Data: json.RawMessage(`{"n":4,"level":"default"}`)},
		{Type: "rule.changed", Data: json.RawMessage(`{"n":5,"level":"domain","domain":"example.org"}`)},
	} {
		if err := w.store.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	w.tell(account(0), 6, 7)
	w.until("two events", func() bool { return r.count() == 2 })
	if d := cmp.Diff(map[string][]int{"": {5}, account(0): {6}}, r.got); d != "" {
		t.Error(d)
	}
}

// Both secrets sign for a while.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := store.WebhookSecret("another secret of thirty-two byt")
	verifier, err := standardwebhooks.NewWebhookRaw(second)
	if err != nil {
		t.Fatal(err)
	}
	var byNew, signatures atomic.Int32
	r := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if verifier.Verify(body, req.Header) == nil {
			byNew.Add(1)
		}
		signatures.Store(int32(len(strings.Fields(req.Header.Get("Webhook-Signature")))))
	}))
	t.Cleanup(r.Close)
	old := receive(t, nil) // verifies with the old one
	id, oldID := w.hook(r.URL), w.hook(old.URL)
	for _, id := range []int64{id, oldID} {
		if h, err := w.store.RotateWebhook(t.Context(), id, second, 3*time.Second, store.Actor{}); err != nil || h.OldSecretUntil.IsZero() {
			t.Fatal(h, err)
		}
	}
	w.deliver()
	w.tell(account(0), 0, 1)
	w.until("the event at both", func() bool { return old.count() == 1 && byNew.Load() == 1 })
	if signatures.Load() != 2 {
		t.Errorf("%d signatures", signatures.Load())
	}
	w.until("the old secret's time is over", func() bool { return w.find(id).OldSecretUntil.IsZero() })
	if err := w.store.DeleteWebhook(t.Context(), oldID, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	w.until("one signature", func() bool {
		w.tell(account(0), 1, 2)
		return signatures.Load() == 1
	})
}

// What is asked for by hand is sent at once, even by a webhook that is disabled.
func TestByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var status atomic.Int32
	status.Store(200)
	r := receive(t, func(http.ResponseWriter, event) int { return int(status.Load()) })
	id := w.hook(r.URL)
	w.deliver()
	w.tell(account(0), 0, 1)
	w.until("the event", func() bool { return len(w.deliveries(id, "delivered")) == 1 })
	event := w.deliveries(id, "")[0]
	if err := w.store.Redeliver(t.Context(), id, event.ID, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	w.until("the event again", func() bool { return r.called() == 2 })
	if r.calls[0].ID != r.calls[1].ID {
		t.Errorf("ids: %s, %s", r.calls[0].ID, r.calls[1].ID)
	}
	off := false
	if _, err := w.store.ChangeWebhook(t.Context(), id, store.WebhookChange{Enabled: &off}, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	status.Store(500)
	test, err := w.store.TestWebhook(t.Context(), id, store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the test's end", func() bool {
		d, err := w.store.FindDelivery(t.Context(), id, test)
		return err == nil && d.State == "failed" && d.Status == 500 && d.Attempts == 1
	})
	if last := r.calls[len(r.calls)-1]; last.Type != "webhook.test" || !strings.HasPrefix(last.ID, "test_") {
		t.Errorf("the test was %+v", last)
	}
	w.tell(account(0), 1, 2)
	if err := w.store.Redeliver(t.Context(), id, event.ID, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	w.until("the redelivery's end", func() bool {
		d, err := w.store.FindDelivery(t.Context(), id, event.ID)
		return err == nil && d.State == "failed" && d.Attempts == 3
	})
	if n := r.called(); n != 4 {
		t.Errorf("%d calls", n)
	}
}

// Nothing is sent to a private address, and no redirect is followed.
func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, nil)
	redirect := httptest.NewServer(http.RedirectHandler(r.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirect.Close)
	private := w.hook(r.URL)
	named := w.hook("http://localhost:" + r.URL[strings.LastIndexByte(r.URL, ':')+1:])
	stop := w.deliver(func(c *webhook.Config) { c.Targets = target.Policy{} })
	ended := func(hook, test int64, text string) func() bool {
		return func() bool {
			d, err := w.store.FindDelivery(t.Context(), hook, test)
			return err == nil && d.State == "failed" && strings.Contains(d.Error, text)
		}
	}
	for _, id := range []int64{private, named} {
		test, err := w.store.TestWebhook(t.Context(), id, store.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		w.until("the test is refused", ended(id, test, "not a public one"))
	}
	stop()
	w.deliver()
	id := w.hook(redirect.URL)
	test, err := w.store.TestWebhook(t.Context(), id, store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the redirect is told", ended(id, test, "redirect"))
	if r.called() != 0 {
		t.Errorf("%d calls", r.called())
	}
}

// A body that is too long goes without what makes it so; a long or odd answer is kept as far as it is legible.
func TestBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var size atomic.Int64
	r := receive(t, func(rw http.ResponseWriter, e event) int {
		rw.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(rw, strings.Repeat("é\x00\xff", 10_000))
		return 0
	})
	inner := r.Config.Handler
	r.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		size.Store(req.ContentLength)
		inner.ServeHTTP(rw, req)
	})
	id := w.hook(r.URL)
	w.deliver()
	data, _ := json.Marshal(map[string]any{"n": 7, "level": "default", "rule": strings.Repeat("x", 60_000)})
	if err := w.store.Tell(t.Context(), store.Event{Type: "rule.changed", Data: data}); err != nil {
		t.Fatal(err)
	}
	// The target's answer may be read, as far as it is kept, before the target is done with it.
	w.until("the event", func() bool { return len(w.deliveries(id, "delivered")) == 1 && r.count() == 1 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if size.Load() > 20_000 || !slices.Equal(r.got[""], []int{7}) {
		t.Errorf("%d bytes, got %v", size.Load(), r.got)
	}
	if d := w.deliveries(id, "")[0]; len(d.Answer) == 0 || len(d.Answer) > 4<<10 || strings.ContainsRune(d.Answer, 0) {
		t.Errorf("answer of %s bytes", strconv.Itoa(len(d.Answer)))
	}
}
