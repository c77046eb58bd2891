package dashboard

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old, now string
		want           []change
	}{
		{"a rule", `{"max_sessions":2,"on_excess":"deny","exclusive":[["ios"]]}`, `{"max_sessions":1,"on_excess":"deny","text":{"kick":{"en":"Bye"}}}`,
			[]change{{"exclusive", `[["ios"]]`, ""}, {"max_sessions", "2", "1"}, {"text.kick.en", "", "Bye"}}},
		{"made", ``, `{"types":["takeover","loop.opened"],"none":null}`, []change{{"types", "", "takeover, loop.opened"}}},
		{"what became of sessions", ``, `{"sessions":[{"resource":"a","outcome":"kicked"},{"outcome":"gone"}],"none":[],"lists":[[1],[2]]}`,
			[]change{{"lists", "", "[[1],[2]]"}, {"none", "", "[]"}, {"sessions", "", "outcome kicked resource a; outcome gone"}}},
		{"gone", `{"a":1}`, `null`, []change{{"a", "1", ""}}},
		{"no object", `"enforce"`, `"off"`, []change{{"", "enforce", "off"}}},
		{"the same", `{"a":[1, 2]}`, `{ "a": [1,2] }`, nil},
		{"nothing", ``, ``, nil},
		{"an empty object", `{}`, `{"a":{}}`, []change{{"a", "", "{}"}}},
		{"deep", ``, `{"a":{"b":{"c":{"d":{"e":1}}}}}`, []change{{"a.b.c.d", "", `{"e":1}`}}},
		{"hostile names", ``, `{"<b>":{"":"\u202e"}}`, []change{{"<b>.", "", "\u202e"}}},
	} {
		if d := cmp.Diff(c.want, changes(json.RawMessage(c.old), json.RawMessage(c.now), func(name string) string { return name })); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
