package gate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Each thing that is counted is counted once, repeats of a denial too; what is counted is in the record soon.
func TestTallies(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	if a := b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"}); a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
	for n := range 3 {
		if a := b.ask("ann", fmt.Sprint("again", n), "phone", gate.Listed{SID: "s2", Resource: "tablet", State: "active"}); a.Outcome != gate.Deny || a.Denial.Code != string(rules.CodeCooldown) {
			t.Fatalf("%+v", a)
		}
	}
	b.event(gate.EventUnbind, "ann", "s2", "tablet")
	b.eventually("ann", "")
	if a := b.send(gate.Ask{User: "bob", SID: "late", Resource: "phone", ID: "late", Deadline: time.Nanosecond}); a.Outcome != gate.Undecided {
		t.Fatalf("%+v", a)
	}
	const want = "denial/cooldown 3, end/lost 1, end/takeover 1, eviction/takeover 1, login/ok 1, login/takeover 1, undecided/ 1; 5 took some time"
	got := ""
	for deadline := time.Now().Add(20 * time.Second); got != want; time.Sleep(20 * time.Millisecond) {
		if got = b.tallied(theDomain); got != want && time.Now().After(deadline) {
			t.Fatalf("counted: %s\nwant: %s", got, want)
		}
	}
}

// tallied is what the record has of a domain's last hours.
func (b *bench) tallied(domain string) string {
	b.t.Helper()
	now, err := b.store.Now(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	since := now.Truncate(time.Hour).Add(-time.Hour)
	points, err := b.store.FindHistory(b.t.Context(), store.HistoryFilter{Domains: []string{domain}, Since: since, Until: since.Add(3 * time.Hour), Step: time.Hour})
	if err != nil {
		b.t.Fatal(err)
	}
	all, took := map[string]int64{}, int64(0)
	for _, p := range points {
		for c, n := range p.Counts {
			if c.Of == store.CountTook {
				took += n
			} else {
				all[string(c.Of)+"/"+c.Code] += n
			}
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprint(name, " ", all[name]))
	}
	return fmt.Sprintf("%s; %d took some time", strings.Join(parts, ", "), took)
}
