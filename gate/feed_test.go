package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// Readers that begin anywhere, before what is in memory too, get every event once and in order, and are told when what they want is not kept any more.
func TestFeed(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	g := gate.New(st, gate.Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	const batches, each = 120, 75 // twice what is kept in memory
	const all = batches * each
	feed := g.Events()
	reading, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := func(after int64) {
		for next := after + 1; next <= all; {
			grown := feed.Grown()
			events, err := feed.Read(reading, next-1, 100)
			if err != nil {
				t.Errorf("behind %d: %v", next-1, err)
				return
			}
			for _, e := range events {
				var body struct{ ID, Type string }
				if err := json.Unmarshal(e.Body, &body); err != nil || e.Position != next || body.Type != e.Type {
					t.Errorf("got %d (%s, %v), want %d", e.Position, e.Body, err, next)
					return
				}
				next++
			}
			if len(events) == 0 {
				select {
				case <-grown:
				case <-reading.Done():
					t.Errorf("nothing behind %d", next-1)
					return
				}
			}
		}
	}
	var readers sync.WaitGroup
	readers.Go(func() { read(0) })
	for range batches {
		events := make([]store.Event, each)
		for i := range events {
			events[i] = store.Event{Type: "session.started", Account: "ada@example.org", Data: json.RawMessage(`{}`)}
		}
		if err := st.Tell(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []int64{0, 1, each - 1, each, all / 2, all - 1} {
		readers.Go(func() { read(after) })
	}
	readers.Wait()
	if _, err := pool.Exec(t.Context(), "delete from event_positions where first <= $1", 3*each); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Read(t.Context(), each, 10); !errors.Is(err, gate.ErrEventsGone) {
		t.Errorf("events that are gone: %v", err)
	}
	if oldest, newest, err := feed.Bounds(t.Context()); err != nil || oldest != 3*each+1 || newest != all {
		t.Errorf("bounds %d, %d, %v", oldest, newest, err)
	}
	read(3 * each)
}

// What is in memory is forgotten when events are erased.
func TestFeedForgetsWhatIsErased(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	g := gate.New(st, gate.Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	feed := g.Events()
	reading, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	types := func() (list []string) {
		t.Helper()
		for len(list) < 2 {
			grown := feed.Grown()
			events, err := feed.Read(reading, int64(len(list)), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				list = append(list, e.Type+" "+e.Account)
			}
			if len(events) == 0 {
				select {
				case <-grown:
				case <-reading.Done():
					t.Fatal("no events")
				}
			}
		}
		return list
	}
	for _, account := range []string{"ada@example.org", "bob@example.org"} {
		if err := st.Tell(t.Context(), store.Event{Type: "session.started", Account: account, Data: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	types()
	if _, err := pool.Exec(t.Context(), "insert into erasures (account, id, jid, erased_at) values (md5('ada')::uuid, 1, 'ada@example.org', clock_timestamp())"); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		var err error
		if more, err = st.EraseSome(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for tick := time.NewTicker(10 * time.Millisecond); feed.Erasures() == 0; {
		select {
		case <-tick.C:
		case <-reading.Done():
			t.Fatal("the feed never learns of the erasure")
		}
	}
	if got, want := types(), []string{"erased ", "session.started bob@example.org"}; !slices.Equal(got, want) {
		t.Errorf("after the erasure: %q, want %q", got, want)
	}
}

// A log that stands still, and a feed that does, are seen by how old they are.
func TestALogThatStandsStillIsSeen(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	g := gate.New(store.FromPool(pool), gate.Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	if age := g.Events().Age(); age != 0 {
		t.Errorf("a feed that nobody reads is %s old", age)
	}
	is := func(what string, so func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not within a minute: %s; the log is %s old, the feed %s", what, g.SequencedAge(), g.Events().Age())
			}
		}
	}
	_ = g.Events().Grown()
	is("the feed is read", func() bool { return g.Events().Age() > 0 })
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table event_head, event_queue, event_erasures"); err != nil {
		t.Fatal(err)
	}
	is("both stand still", func() bool {
		_ = g.Events().Grown() // somebody goes on reading
		return g.SequencedAge() > time.Second && g.Events().Age() > time.Second
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	is("both go on", func() bool { return g.SequencedAge() < 500*time.Millisecond && g.Events().Age() < 500*time.Millisecond })
}
