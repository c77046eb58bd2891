package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Braked facts get the decision that a rule which is not enforced gets, with the reason in words.
func TestBrakedIsRecordedOnly(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Braked = true
		got := Decide(f, eight)
		f.Braked, f.Rule.Enforce = false, false
		want := Decide(f, eight)
		last := len(got.Explanation) - 1
		if got.Explanation[last] != "The link's mode is not enforce: this is recorded only; the newcomer is let in and nobody goes." {
			t.Errorf("explanation: %q", got.Explanation)
		}
		got.Explanation, want.Explanation = got.Explanation[:last], want.Explanation[:last]
		if d := cmp.Diff(want, got); d != "" || !got.Shadow {
			t.Errorf("-not enforced +braked:\n%s", d)
		}
	})
}
