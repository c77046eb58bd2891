package gate

import "sync/atomic"

// Stats counts what a gate did since it started.
type Stats struct {
	Asks, Allowed, Denied, Undecided, Late atomic.Int64
	Events, Gaps                           atomic.Int64
	Batches, Operations, Failed            atomic.Int64
	Probes, Judged, Abandoned              atomic.Int64
	Kicks, KicksSent                       atomic.Int64
	Parts, PartsDiffering, Healed          atomic.Int64
	Inquiries, InquiriesLeftOut            atomic.Int64
	Notices, NoticesLeftOut                atomic.Int64
}

// Stats returns the gate's counters.
func (g *Gate) Stats() *Stats { return &g.stats }

// Waiting returns how many operations wait or are being done.
func (g *Gate) Waiting() int { return g.queue.len() }
