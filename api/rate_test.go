package api

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

func TestBudgets(t *testing.T) {
	t.Parallel()
	type asked struct {
		after     time.Duration // since the one before
		who       string
		ok        bool
		left, sec int
	}
	for _, c := range []struct {
		perSecond float64
		policy    string
		asked     []asked
	}{
		{2, `"default";q=2;w=1`, []asked{{0, "a", true, 1, 1}, {0, "a", true, 0, 1}, {0, "a", false, 0, 1}, {0, "b", true, 1, 1}, {500 * time.Millisecond, "a", true, 0, 1}, {0, "a", false, 0, 1}}},
		{0.1, `"default";q=1;w=10`, []asked{{0, "a", true, 0, 10}, {time.Second, "a", false, 0, 9}, {9 * time.Second, "a", true, 0, 10}, {25 * time.Second, "a", true, 0, 10}}},
		{2.5, `"default";q=2;w=1`, []asked{{0, "a", true, 1, 1}, {time.Hour, "a", true, 1, 1}}},
		{1e9, `"default";q=1000000000;w=1`, []asked{{0, "a", true, 999_999_999, 1}}},
	} {
		l := newLimiter[string](c.perSecond)
		now := time.Now()
		for i, a := range c.asked {
			now = now.Add(a.after)
			b := l.take(a.who, now)
			if b.ok != a.ok || b.left != a.left || b.whole != time.Duration(a.sec)*time.Second {
				t.Errorf("%v a second, request %d: %+v, want %+v", c.perSecond, i, b, a)
			}
			h := http.Header{}
			if l.tell(h, b); h.Get("RateLimit-Policy") != c.policy || (h.Get("Retry-After") != "") == b.ok {
				t.Errorf("%v a second: %v", c.perSecond, h)
			}
		}
	}
	if newLimiter[string](0) != nil {
		t.Error("0 is a limit")
	}
}

// Many tokens cost bounded memory, and one that goes on asking keeps its budget.
func TestBudgetsAreForgotten(t *testing.T) {
	t.Parallel()
	l := newLimiter[[sha256.Size]byte](1)
	now := time.Now()
	busy := [sha256.Size]byte{1}
	l.take(busy, now)
	for i := range 5 * maxBudgets {
		l.take([sha256.Size]byte{2, byte(i), byte(i >> 8), byte(i >> 16)}, now)
		if i%maxBudgets == 0 {
			if b := l.take(busy, now); b.ok {
				t.Fatalf("after %d others its budget is full again", i)
			}
		}
	}
	if n := len(l.recent) + len(l.old); n > 2*maxBudgets {
		t.Errorf("%d budgets are kept", n)
	}
	l.take(busy, now.Add(time.Minute))
	if n := len(l.recent) + len(l.old); n != 1 {
		t.Errorf("%d budgets are kept after a minute, want 1", n)
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for a, want := range map[string]string{"192.0.2.7": "192.0.2.7/32", "2001:db8::1:2:3:4": "2001:db8::/64"} {
		if got := network(netip.MustParseAddr(a)); got != netip.MustParsePrefix(want) {
			t.Errorf("%s: %s", a, got)
		}
	}
	if got := network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Error(got)
	}
}
