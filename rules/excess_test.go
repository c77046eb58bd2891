package rules

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestExcess(t *testing.T) {
	t.Parallel()
	three := list{"1 a web active idle5", "2 b ios active idle90", "3 c desktop hibernating idle9"}
	tests := []struct {
		words    string
		rule     string
		sessions list
		want     string
	}{
		{"nobody is there", `{"max_sessions":1}`, nil, "allow ok (default)"},
		{"no limit", `{}`, three, "allow ok (default)"},
		{"within the limit", `{"max_sessions":3}`, three, "allow ok (default)"},
		{"the oldest go", `{"max_sessions":1}`, three, "deny limit evict [1 2] (account)"},
		{"the longest idle go", `{"max_sessions":2,"on_excess":"evict_idle"}`, three, "deny limit evict [2] (account)"},
		{"who came first stays under deny", `{"max_sessions":1,"on_excess":"deny"}`, three, "deny limit evict [2 3] (account)"},
		{"and under choose", `{"max_sessions":2,"on_excess":"choose"}`, three, "deny limit evict [3] (account)"},
		{"a narrow limit first", `{"max_sessions":2,"max_per_platform":{"web":1}}`, list{"1 a ios active", "2 b web active", "3 c web active"}, "deny limit evict [2] (account)"},
		{"a set", `{"exclusive":[["mobile","web"]]}`, three, "deny limit evict [1] (account)"},
		{"who is binding counts", `{"max_sessions":1}`, list{"1 a web active", "2 b web binding"}, "deny limit evict [1] (account)"},
		{"who is exempt does not count and does not go", `{"max_sessions":1,"exempt":[{"cidr":"192.0.2.0/24"}]}`, list{"1 a web active ip=192.0.2.1", "2 b web active", "3 c web active"}, "deny limit evict [2] (account)"},
		{"the account is exempt", `{"max_sessions":1,"exempt":[{"account":"alice@*"}]}`, three, "allow ok (default)"},
		{"a rule that is not enforced evicts nobody", `{"max_sessions":1,"enforce":false}`, three, "deny limit (account) shadow"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			d := Excess(facts(t, tt.rule, "x web", tt.sessions...), eight)
			if got := inShort(d); got != tt.want {
				t.Errorf("got %s, want %s\n%s", got, tt.want, strings.Join(d.Explanation, "\n"))
			}
		})
	}
}

func TestExcessExplains(t *testing.T) {
	t.Parallel()
	d := Excess(facts(t, `{"max_sessions":1,"max_per_platform":{"web":2},"exempt":[{"cidr":"192.0.2.0/24"}]}`, "x web",
		"1 a web active idle5", "2 b web active", "4 d ios active ip=192.0.2.1"), eight)
	want := []string{
		`Live sessions: 3: "a" (platform "web", active, idle 5 s, generation 1), "b" (platform "web", active, idle 0 s, generation 2), "d" (platform "ios", active, idle 0 s, generation 4).`,
		`Neither counted nor evicted (exempt, set for the account): "d" (platform "ios", active, idle 0 s, generation 4).`,
		`On platform "web": 2, 2 allowed (max_per_platform, set for the account): within the limit.`,
		`In all: 2, 1 allowed (max_sessions, set for the account); on_excess is evict_oldest, by default: the oldest first. Goes: "a" (platform "web", active, idle 5 s, generation 1).`,
	}
	if diff := cmp.Diff(want, d.Explanation); diff != "" {
		t.Error(diff)
	}
}

// anyExcess draws an account that nobody logs in to: what is said of a newcomer is to change nothing.
func anyExcess(t *rapid.T) Facts {
	f := anyFacts(t)
	f.Rule.OnExcess = rapid.SampledFrom([]OnExcess{EvictOldest, EvictIdle, Deny, Choose}).Draw(t, "on_excess without newcomer")
	return f
}

// overWithout names the limit that the sessions which are left exceed, or nothing.
func overWithout(f Facts, gone []int64) string {
	nobody := f
	nobody.Newcomer = Newcomer{IP: "::ffff:198.51.100.7", Platform: "nobody"}
	nobody.Rule.Exempt = Matchers{{CIDR: "198.51.100.0/24"}}
	if len(f.Rule.Exempt) == 0 { // then nobody else is to be exempt
		nobody.Sessions = slices.Clone(f.Sessions)
		for i := range nobody.Sessions {
			nobody.Sessions[i].IP = "192.0.2.1"
		}
	}
	return overLimit(nobody, gone, false)
}

func TestExcessLeavesNobodyOver(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyExcess(t)
		d := Excess(f, eight)
		before := overWithout(f, nil)
		if (before == "") != (d.Outcome == Allow) || (d.Outcome == Allow) != (d.Code == CodeOK) || len(d.Probe) > 0 || len(d.Explanation) == 0 {
			t.Fatalf("over %q before %+v", before, d)
		}
		if d.Shadow == f.Rule.Enforce || (d.Shadow || d.Outcome == Allow) && len(d.Evict) > 0 {
			t.Fatalf("%+v", d)
		}
		if over := overWithout(f, d.Evict); over != "" && !d.Shadow {
			t.Fatalf("over %s after %+v", over, d)
		}
		for i, g := range d.Evict {
			s, ok := find(f, g)
			if !ok || i > 0 && d.Evict[i-1] >= g || exempt(f, s.IP) {
				t.Fatalf("%v of %+v", d.Evict, f.Sessions)
			}
		}
		f.Sessions = slices.DeleteFunc(f.Sessions, func(s Session) bool { return slices.Contains(d.Evict, s.Generation) })
		if again := Excess(f, eight); !d.Shadow && again.Outcome != Allow {
			t.Fatalf("first %+v\nthen %+v", d, again)
		}
	})
}

func TestExcessIsTheSameForAnyOrderAndNewcomer(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyExcess(t)
		other := f
		other.Sessions = rapid.Permutation(f.Sessions).Draw(t, "order")
		other.Newcomer = anyFacts(t).Newcomer
		before := slices.Clone(f.Sessions)
		if diff := cmp.Diff(Excess(f, eight), Excess(other, eight)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, f.Sessions); diff != "" {
			t.Fatalf("facts were changed: %s", diff)
		}
	})
}

func TestExcessOfAHigherLimitIsNoLarger(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyExcess(t)
		raised := f
		raised.Rule.MaxPerPlatform = map[string]int{}
		for p, n := range f.Rule.MaxPerPlatform {
			if n += rapid.IntRange(0, 2).Draw(t, "more"); n < 5 {
				raised.Rule.MaxPerPlatform[p] = n
			}
		}
		if f.Rule.MaxSessions != nil {
			n := *f.Rule.MaxSessions + rapid.IntRange(0, 3).Draw(t, "more")
			raised.Rule.MaxSessions = &n
		}
		low, high := Excess(f, eight), Excess(raised, eight)
		if len(high.Evict) > len(low.Evict) || high.Outcome == Denied && low.Outcome == Allow {
			t.Fatalf("low %+v\nhigh %+v", low, high)
		}
	})
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	// All are a day old.
	sessions := list{"1 a web active idle5", "2 b ios hibernating idle90", "3 c desktop binding idle90", "4 d bot active idle90 ip=192.0.2.1"}
	tests := []struct{ words, rule, want string }{
		{"no end", `{"max_sessions":1}`, "allow ok (default)"},
		{"old", `{"max_session_age_seconds":86400}`, "deny limit evict [1 2 4] (account)"},
		{"not old enough", `{"max_session_age_seconds":86401}`, "allow ok (default)"},
		{"idle", `{"max_idle_seconds":90}`, "deny limit evict [2 4] (account)"},
		{"not idle enough", `{"max_idle_seconds":91}`, "allow ok (default)"},
		{"exempt", `{"max_session_age_seconds":60,"exempt":[{"cidr":"192.0.2.0/24"}]}`, "deny limit evict [1 2] (account)"},
		{"not enforced", `{"max_idle_seconds":6,"enforce":false}`, "deny limit (account) shadow"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			d := Overdue(facts(t, tt.rule, "x web", sessions...), eight)
			if got := inShort(d); got != tt.want {
				t.Errorf("got %s, want %s\n%s", got, tt.want, strings.Join(d.Explanation, "\n"))
			}
		})
	}
	d := Overdue(facts(t, `{"max_idle_seconds":6}`, "x web", "1 a web active idle5", "2 b ios active idle90"), eight.Add(time.Millisecond))
	want := []string{
		`Live sessions: 2: "a" (platform "web", active, idle 5 s, generation 1), "b" (platform "ios", active, idle 90 s, generation 2).`,
		`For 6 s or longer idle, which max_idle_seconds ends, set for the account. Goes: "b" (platform "ios", active, idle 90 s, generation 2).`,
		"Nobody logs in: limit says here that a session's time is over, which clients are told as expired.",
	}
	if diff := cmp.Diff(want, d.Explanation); diff != "" || d.Field != "max_idle_seconds" {
		t.Error(diff)
	}
}
