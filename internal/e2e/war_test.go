package e2e

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/war"
)

// Of two clients that reconnect for ever, the one that a person logged in last stays, in fifty of fifty trials. make war has a thousand, and longer ones.
func TestWar(t *testing.T) { servers.Each(t, testWar) }

func testWar(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Quiet: true, Timeout: war.AnswerTimeout})
	trials := war.Plan(50, func(p war.Policy) int {
		return map[war.Policy]int{war.AtOnce: 20, war.OneSecond: 14, war.TenSeconds: 5, war.Growing: 11}[p]
	})
	f := war.Field{Server: w.server, Patient: !on.Able(servers.BOSHOrder), Store: w.store}
	results := f.FightAll(t.Context(), trials, len(trials), nil)
	failed, err := war.Table(t.Output(), results)
	if err != nil {
		t.Fatal(err)
	}
	if failed > 0 {
		war.Tell(t.Output(), results, 3)
		t.Errorf("%d of %d trials failed", failed, len(trials))
	}
}

// Where the rule protects nobody the war is fought, which the trials see, and the breaker of loops ends it.
func TestWarWithoutCooldown(t *testing.T) { servers.Each(t, testWarWithoutCooldown) }

func testWarWithoutCooldown(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Quiet: true, Timeout: war.AnswerTimeout})
	var trials []war.Trial
	for i, k := range []war.Kind{war.SameResource, war.OwnResources, war.OwnIDs, war.SameID, war.NoResource} {
		trials = append(trials, war.Trial{Number: i, Kind: k, Policy: war.AtOnce, Attempts: 10})
	}
	f := war.Field{Server: w.server, Patient: !on.Able(servers.BOSHOrder), Store: w.store}
	for _, r := range f.FightAll(t.Context(), trials, len(trials), nil) {
		if why := strings.Join(r.Reasons, "; "); !strings.Contains(why, "A got in again") || !strings.Contains(why, "B was out") {
			t.Errorf("%s: it was to be lost: %s\n%s", &r, why, r.Diary)
		}
		if r.Displaced > 4 || !strings.Contains(r.Diary, "frozen") {
			t.Errorf("%s: who was in had to go %d times\n%s", &r, r.Displaced, r.Diary)
		}
	}
}
