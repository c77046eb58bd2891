package rules

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwnerWordsFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		langs []string
		want  string
	}{
		{nil, "en"},
		{[]string{"", "-", "*", strings.Repeat("ja-", 100)}, "en"},
		{[]string{"en-GB", "ja"}, "en"},
		{[]string{"", "zh_Hans-CN", "ja"}, "zh"},
		{[]string{"tlh", " JA-jp "}, "ja"},
	} {
		if got := OwnerWordsFor(tt.langs).Lang; got != tt.want {
			t.Errorf("%q: %s, want %s", tt.langs, got, tt.want)
		}
	}
}

// Every language says everything, and has the same values in it.
func TestOwnerWordsAreComplete(t *testing.T) {
	t.Parallel()
	value := regexp.MustCompile(`\{[^}]*\}`)
	english := reflect.ValueOf(ownerWords[0])
	for _, words := range ownerWords {
		seen := map[string]string{}
		v := reflect.ValueOf(words)
		for i := range v.NumField() {
			name, text := v.Type().Field(i).Name, v.Field(i).String()
			if text == "" || strings.TrimSpace(text) != text {
				t.Errorf("%s: %s is %q", words.Lang, name, text)
			}
			want := value.FindAllString(english.Field(i).String(), -1)
			if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(value.FindAllString(text, -1)))); diff != "" {
				t.Errorf("%s: %s: %s", words.Lang, name, diff)
			}
			seen[name] = text
		}
		for _, states := range [][]string{{"Binding", "SignedIn", "Asleep", "Leaving", "Away"}, {"SignedOut", "Gone", "Pending", "StillPresent"}, {"Devices", "SignOut", "SignOutOthers"}} {
			distinct := map[string]bool{}
			for _, s := range states {
				distinct[seen[s]] = true
			}
			if len(distinct) != len(states) {
				t.Errorf("%s: of %q some say the same: %q", words.Lang, states, slices.Sorted(maps.Keys(distinct)))
			}
		}
	}
}
