package gate

import (
	"context"
	"sync"
	"time"

	"github.com/bindgate/bindgate/store"
)

// tallyPeriod is how often what was counted is added to the record: what a crash loses is of that time. A restart loses nothing.
const tallyPeriod = 5 * time.Second

// tallies count in memory what transactions did, once they are committed. No login waits for them, or writes them.
type tallies struct {
	mu sync.Mutex
	by map[string]store.Tally // by domain; as many as had something to count since they were taken
}

func (t *tallies) add(domain string, counts ...store.Count) {
	if len(counts) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.of(domain)
	for _, c := range counts {
		of[c]++
	}
}

// of needs mu.
func (t *tallies) of(domain string) store.Tally {
	if t.by == nil {
		t.by = map[string]store.Tally{}
	}
	if t.by[domain] == nil {
		t.by[domain] = store.Tally{}
	}
	return t.by[domain]
}

// answered counts the answer to an ask. What was decided is counted by the transaction besides.
func (t *tallies) answered(domain string, o Outcome, took time.Duration) {
	if o == Undecided {
		t.add(domain, store.Count{Of: store.CountUndecided})
	} else {
		t.add(domain, store.Count{Of: store.CountTook, Code: store.TookCode(took)})
	}
}

func (t *tallies) take() map[string]store.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := t.by
	t.by = nil
	return by
}

func (t *tallies) putBack(by map[string]store.Tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for domain, counts := range by {
		of := t.of(domain)
		for c, n := range counts {
			of[c] += n
		}
	}
}

// writeTallies adds what was counted to the record. What the database did not take is added the next time; if it did and its answer was lost, that is counted twice.
func (g *Gate) writeTallies(ctx context.Context) error {
	by := g.tallies.take()
	err := g.store.AddTallies(ctx, by)
	if err != nil {
		g.tallies.putBack(by)
	}
	return err
}

// writeLastTallies is writeTallies of a gate that stops, which waits for a database that is away no longer than a second.
func (g *Gate) writeLastTallies(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := g.writeTallies(ctx); err != nil {
		g.log.WarnContext(ctx, "what was counted last is lost", "error", err)
	}
}
