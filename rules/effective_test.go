package rules

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) Rule {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func TestMerge(t *testing.T) {
	t.Parallel()
	const defaults = `{"max_sessions":null,"max_per_platform":{},"exclusive":[],"on_excess":"evict_oldest","same_resource":"replace",` +
		`"takeover_cooldown_seconds":30,"takeover_cooldown_max_seconds":null,"ghost_after_seconds":2,"hibernating_counts":false,"require_grant":false,"exempt":[],"condition":null,` +
		`"max_session_age_seconds":null,"max_idle_seconds":null,"text":{},"deny_condition":"resource-constraint","notify_devices":false,"enforce":true}`
	tests := []struct {
		words       string
		account     string
		def         string
		want        string
		fromAccount []string // fields that come from the account
	}{
		{"nothing set: the defaults", `{}`, `{}`, defaults, nil},
		{
			"field by field, the account first",
			`{"max_sessions":1,"enforce":false}`, `{"max_sessions":5,"on_excess":"deny"}`,
			`{"max_sessions":1,"max_per_platform":{},"exclusive":[],"on_excess":"deny","same_resource":"replace","takeover_cooldown_seconds":30,"takeover_cooldown_max_seconds":null,"ghost_after_seconds":2,"hibernating_counts":false,"require_grant":false,"exempt":[],"condition":null,"max_session_age_seconds":null,"max_idle_seconds":null,"text":{},"deny_condition":"resource-constraint","notify_devices":false,"enforce":false}`,
			[]string{"max_sessions", "enforce"},
		},
		{
			"null is no limit, and not looked for further down",
			`{"max_sessions":null}`, `{"max_sessions":5}`, defaults,
			[]string{"max_sessions"},
		},
		{
			"maps come whole",
			`{"max_per_platform":{"ios":1},"text":{"kick":{"en":"Out."}}}`,
			`{"max_per_platform":{"web":3},"text":{"takeover":{"en":"Replaced."}},"same_resource":"deny","ghost_after_seconds":4,"deny_condition":"conflict"}`,
			`{"max_sessions":null,"max_per_platform":{"ios":1},"exclusive":[],"on_excess":"evict_oldest","same_resource":"deny","takeover_cooldown_seconds":30,"takeover_cooldown_max_seconds":null,"ghost_after_seconds":4,"hibernating_counts":false,"require_grant":false,"exempt":[],"condition":null,"max_session_age_seconds":null,"max_idle_seconds":null,"text":{"kick":{"en":"Out."}},"deny_condition":"conflict","notify_devices":false,"enforce":true}`,
			[]string{"max_per_platform", "text"},
		},
		{
			"an empty map lifts the limits below it",
			`{"max_per_platform":{}}`, `{"max_per_platform":{"web":3}}`, defaults,
			[]string{"max_per_platform"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			e := Merge(LevelRule{LevelAccount, parse(t, tt.account)}, LevelRule{LevelDefault, parse(t, tt.def)})
			got, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("effective rule (-want +got):\n%s", diff)
			}
			origin := map[string]Level{}
			for _, field := range ruleFields() {
				origin[field] = LevelDefault
			}
			for _, field := range tt.fromAccount {
				origin[field] = LevelAccount
			}
			if diff := cmp.Diff(origin, e.Origin); diff != "" {
				t.Errorf("origin (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeOfNothing(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Merge(LevelRule{LevelDefault, Rule{}}), Merge()); diff != "" {
		t.Error(diff)
	}
}

func TestAFieldSetToNullMaps(t *testing.T) {
	t.Parallel()
	e := Merge(LevelRule{LevelAccount, Rule{Text: Of[map[string]map[string]string](nil), MaxPerPlatform: Of[map[string]int](nil)}})
	if e.Text == nil || e.MaxPerPlatform == nil {
		t.Errorf("nil maps: %+v", e)
	}
}
