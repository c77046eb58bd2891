package dashboard

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/rules"
)

// Every preset is a rule, means the same over whatever was there, is recognised, and leaves the fields alone that it is not about.
func TestPresets(t *testing.T) {
	t.Parallel()
	before := ruleOf(t, `{"max_sessions":7,"exclusive":[["a","b"]],"max_per_platform":{"x":2},"on_excess":"deny","condition":"session.secure"}`)
	for _, p := range presets() {
		for _, n := range []int{max(1, p.N), 4} {
			r, err := p.over(before, n)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(r)
			if _, err := rules.Parse(b); err != nil {
				t.Errorf("%s: %s is no rule: %v", p.Name, b, err)
			}
			if r.Condition.Or("") != "session.secure" {
				t.Errorf("%s touches the condition: %s", p.Name, b)
			}
			e, err := mergeRules(levelRule{"domain", r})
			if err != nil {
				t.Fatal(err)
			}
			got, ok := p.matches(e.Rule)
			if !ok || p.N > 0 && got != n {
				t.Errorf("%s with %d: matches says %d, %v of %s", p.Name, n, got, ok, b)
			}
			for _, teller := range tellers(t) {
				for _, key := range []string{"rules.preset." + p.Name + ".title", "rules.preset." + p.Name + ".text"} {
					if s := string(teller.say(key, n)); strings.Contains(s, "rules.preset") {
						t.Errorf("%s is missing", s)
					}
				}
			}
		}
		for _, bad := range []string{"", "0", "-1", "x", "1000001", "99999999999999999999"} {
			if _, ok := p.number(bad); ok != (p.N == 0) {
				t.Errorf("%s takes %q: %v", p.Name, bad, ok)
			}
		}
	}
	if _, ok := presetNamed("nonsense"); ok {
		t.Error("there is a preset called nonsense")
	}
}
