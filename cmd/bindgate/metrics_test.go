package main

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	observe, err := answers(r)
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(store.FromPool(pgtest.New(t)), gate.Config{})
	if err := registerMetrics(r, g); err != nil {
		t.Fatal(err)
	}
	observe(gate.Allow, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	owned := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- g.Own(ctx, "main", "gate", "bindgate.example.org", func(ctx context.Context) error {
			close(owned)
			<-ctx.Done()
			return nil
		})
	}()
	<-owned
	families, err := r.Gather()
	cancel()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range families {
		found[f.GetName()] = true
		if f.GetName() == "bindgate_link_up" && f.GetMetric()[0].GetGauge().GetValue() != 0 {
			t.Error("a link that is down is shown as up")
		}
	}
	for _, name := range []string{"bindgate_link_up", "bindgate_ask_seconds", "bindgate_asks_total", "bindgate_operations_waiting", "bindgate_events_sequenced_age_seconds", "bindgate_event_feed_age_seconds"} {
		if !found[name] {
			t.Errorf("no metric %s", name)
		}
	}
}
