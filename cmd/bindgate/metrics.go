package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/bindgate/bindgate/gate"
)

// answers is the metric of answered asks. Probes make the slow ones: a silent client may take ghost_after_seconds to be found out.
func answers(r *prometheus.Registry) (observe func(gate.Outcome, time.Duration), err error) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "bindgate", Name: "ask_seconds", Help: "Time from the arrival of an ask to its answer.",
		Buckets: []float64{.001, .002, .004, .008, .016, .032, .064, .128, .256, .512, 1, 2, 4},
	}, []string{"outcome"})
	if err := r.Register(h); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return func(o gate.Outcome, took time.Duration) { h.WithLabelValues(string(o)).Observe(took.Seconds()) }, nil
}

// linkMetric says of each link whether this process is connected; of several processes on one database one is.
type linkMetric struct {
	gate *gate.Gate
	desc *prometheus.Desc
}

func newLinkMetric(g *gate.Gate) linkMetric {
	return linkMetric{g, prometheus.NewDesc("bindgate_link_up", "1 while this process is connected to the link's XMPP server.", []string{"link"}, nil)}
}

// Describe is for prometheus.Collector.
func (m linkMetric) Describe(out chan<- *prometheus.Desc) { out <- m.desc }

// Collect is for prometheus.Collector.
func (m linkMetric) Collect(out chan<- prometheus.Metric) {
	for name, up := range m.gate.Up() {
		value := 0.0
		if up {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, value, name)
	}
}

// registerMetrics shows the gate's counters. None has a label: they count what this process did.
func registerMetrics(r *prometheus.Registry, g *gate.Gate) error {
	s := g.Stats()
	counters := []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"asks_total", "Asks that XMPP servers sent.", &s.Asks},
		{"asks_allowed_total", "Asks answered allow.", &s.Allowed},
		{"asks_denied_total", "Asks answered deny.", &s.Denied},
		{"asks_undecided_total", "Asks left to the failure policy of the server.", &s.Undecided},
		{"asks_late_total", "Asks dropped because their deadline had passed.", &s.Late},
		{"events_total", "Events that XMPP servers sent.", &s.Events},
		{"event_gaps_total", "Times that events were missing.", &s.Gaps},
		{"batches_total", "Transactions of the admission queue.", &s.Batches},
		{"operations_total", "Operations done in those transactions.", &s.Operations},
		{"operations_failed_total", "Operations that the database did not take.", &s.Failed},
		{"probes_total", "Sessions asked whether they still answer.", &s.Probes},
		{"binds_judged_total", "Binds that were decided after they happened.", &s.Judged},
		{"binds_abandoned_total", "Admissions whose bind never came.", &s.Abandoned},
		{"inquiries_total", "Clients asked what they are.", &s.Inquiries},
		{"inquiries_left_out_total", "Clients not asked because too many were.", &s.InquiriesLeftOut},
		{"notices_total", "Sessions told of a new login.", &s.Notices},
		{"notices_left_out_total", "Sessions not told because too many were, or the server could not be reached.", &s.NoticesLeftOut},
		{"kicks_total", "Sessions that a kick was asked for.", &s.Kicks},
		{"kicks_sent_total", "Kicks sent to XMPP servers, repeats included.", &s.KicksSent},
		{"snapshot_parts_total", "Parts of snapshots received.", &s.Parts},
		{"snapshot_parts_differing_total", "Parts that differed from the record.", &s.PartsDiffering},
		{"sessions_healed_total", "Sessions that reconciliation put right in the record.", &s.Healed},
	}
	list := []prometheus.Collector{
		newLinkMetric(g),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "bindgate", Name: "operations_waiting", Help: "Operations in the admission queue."},
			func() float64 { return float64(g.Waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "bindgate", Name: "events_sequenced_age_seconds", Help: "How long ago this process last gave events their positions, or found that none waits. Over 10: the event log stands still."},
			func() float64 { return g.SequencedAge().Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "bindgate", Name: "event_feed_age_seconds", Help: "How long ago this process had read all of the event log for those who follow it; 0: nobody does. Over 10: streams and webhooks stand still."},
			func() float64 { return g.Events().Age().Seconds() }),
	}
	for _, c := range counters {
		list = append(list, prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "bindgate", Name: c.name, Help: c.help},
			func() float64 { return float64(c.value.Load()) }))
	}
	for _, c := range list {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}
