package rules

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A blocked device is denied before any rule is looked at, and nobody goes or is probed for it.
func TestBlockedIsDeniedWhateverTheRuleSays(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Newcomer.Blocked = true
		d := Decide(f, eight)
		if d.Outcome != Denied || d.Code != CodeBlocked || d.Condition != "not-allowed" || len(d.Evict)+len(d.Probe) > 0 || d.Shadow == f.Rule.Enforce {
			t.Fatalf("%+v", d)
		}
		if !slices.ContainsFunc(d.Explanation, func(s string) bool { return strings.Contains(s, "blocked, whatever") }) || d.Explanation[len(d.Explanation)-1] == "" {
			t.Fatalf("explanation: %q", d.Explanation)
		}
	})
}

func TestBlockedIsExplained(t *testing.T) {
	t.Parallel()
	f := facts(t, `{"max_sessions": 1}`, "phone android", "1 laptop desktop active")
	f.Newcomer.Blocked = true
	want := []string{
		`Login on resource "phone", platform "android". Other live sessions: 1: "laptop" (platform "desktop", active, idle 0 s, generation 1).`,
		"The newcomer's device is blocked, whatever the rule says.",
		"Denied: blocked.",
	}
	if got := Decide(f, eight).Explanation; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	f.Rule.Enforce = false
	if got := Decide(f, eight).Explanation; len(got) != 4 || !strings.Contains(got[3], "let in") {
		t.Errorf("%q", got)
	}
}
