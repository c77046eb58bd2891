package rules

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePlatforms(t *testing.T) {
	t.Parallel()
	shipped, err := json.Marshal(ShippedPlatforms())
	if err != nil {
		t.Fatal(err)
	}
	pl, err := ParsePlatforms(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ShippedPlatforms(), pl); diff != "" {
		t.Error(diff)
	}
	pl, err = ParsePlatforms([]byte(`{"matchers":[]}`))
	if diff := cmp.Diff(Platforms{Matchers: Matchers{}, Groups: map[string][]string{}}, pl); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestParsePlatformsNamesTheFirstWrongField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ words, text, code, field, message string }{
		{"no object", `[]`, InvalidField, "", "must be a JSON object"},
		{"no matchers", `{"groups":{}}`, InvalidField, "/matchers", "must be there"},
		{"an unknown field", `{"matchers":[],"group":{}}`, UnknownField, "/group", "matchers, groups"},
		{"matchers that are no list", `{"matchers":{}}`, InvalidField, "/matchers", "must be a list"},
		{"a matcher without its platform", `{"matchers":[{"resource":"a*"}]}`, InvalidField, "/matchers/0/platform", "must be there"},
		{"a platform without a name", `{"matchers":[{"platform":"","resource":"a*"}]}`, InvalidField, "/matchers/0/platform", "1 to 64"},
		{"a matcher of nothing", `{"matchers":[{"platform":"tv"}]}`, InvalidField, "/matchers/0", "at least one pattern"},
		{"an unknown field of a matcher", `{"matchers":[{"platform":"tv","resorce":"a"}]}`, UnknownField, "/matchers/0/resorce", "platform, account, "},
		{"trust has no place here", `{"matchers":[{"platform":"tv","resource":"a","trust_client_claims":true}]}`, UnknownField, "/matchers/0/trust_client_claims", "unknown"},
		{"an identity that is no pattern", `{"matchers":[{"platform":"tv","identity":"client/{pc}"}]}`, InvalidField, "/matchers/0/identity", "is not known"},
		{"a pattern that is none", `{"matchers":[{"platform":"tv","resource":"a"},{"platform":"tv","client":"[a-z"}]}`, InvalidField, "/matchers/1/client", "is not known"},
		{"a range that is none", `{"matchers":[{"platform":"tv","cidr":"home"}]}`, InvalidField, "/matchers/0/cidr", "range of addresses"},
		{"groups that are no object", `{"matchers":[],"groups":[]}`, InvalidField, "/groups", "must be an object"},
		{"a group without a name", `{"matchers":[],"groups":{"":["a"]}}`, InvalidField, "/groups/", "1 to 64"},
		{"a group of nothing", `{"matchers":[],"groups":{"mobile":[]}}`, InvalidField, "/groups/mobile", "at least one"},
		{"a group with an empty name", `{"matchers":[],"groups":{"mobile":["ios",""]}}`, InvalidField, "/groups/mobile/1", "1 to 64"},
		{"a group of groups", `{"matchers":[],"groups":{"all":["mobile"],"mobile":["ios"]}}`, InvalidField, "/groups/all/0", "is a group"},
		{"a group that is a platform", `{"matchers":[{"platform":"ios","resource":"i*"}],"groups":{"ios":["a"]}}`, InvalidField, "/groups/ios", "a platform of a matcher already"},
		{"a group that is what nothing is known of", `{"matchers":[],"groups":{"unknown":["a"]}}`, InvalidField, "/groups/unknown", "already"},
	} {
		_, err := ParsePlatforms([]byte(tt.text))
		e, ok := errors.AsType[*FieldError](err)
		if !ok || e.Code != tt.code || e.Field != tt.field || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s: got %v, want %s %s: %s", tt.words, err, tt.code, tt.field, tt.message)
		}
	}
	if _, err := ParsePlatforms([]byte(`{`)); err == nil {
		t.Error("half a document was taken")
	}
	many := strings.TrimSuffix(strings.Repeat(`{"platform":"a","resource":"b"},`, maxMatchers+1), ",")
	if _, err := ParsePlatforms([]byte(`{"matchers":[` + many + `]}`)); err == nil || !strings.Contains(err.Error(), "/matchers/500: at most 500") {
		t.Errorf("too many matchers: %v", err)
	}
	groups := make([]string, maxGroups+1)
	for i := range groups {
		groups[i] = strings.Repeat("g", i%50+1) + strings.Repeat("h", i/50) + `":["x"]`
	}
	if _, err := ParsePlatforms([]byte(`{"matchers":[],"groups":{"` + strings.Join(groups, `,"`) + `}}`)); err == nil || !strings.Contains(err.Error(), "at most 100 groups") {
		t.Errorf("too many groups: %v", err)
	}
}

func TestAPlatformThatNobodyMatchesIsSaid(t *testing.T) {
	t.Parallel()
	pl := ShippedPlatforms()
	pl.Groups["home"] = []string{"web", "tv"}
	if got := pl.Warnings(); len(got) != 1 || !strings.Contains(got[0], `/groups/home/1: no matcher gives the platform "tv"`) {
		t.Errorf("%q", got)
	}
	rule := parse(t, `{"max_per_platform":{"mobile":1,"watch":2,"unknown":1},"exclusive":[["ios","home"],["web","fridge"]]}`)
	got := pl.RuleWarnings(rule)
	if len(got) != 2 || !strings.Contains(got[0], `/max_per_platform/watch: no`) || !strings.Contains(got[1], `/exclusive/1/1: no matcher gives the platform "fridge"`) {
		t.Errorf("%q", got)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	s := Subject{Account: "ann@example.org", DeviceID: "dev_1", IP: "2001:db8::7%eth0", Resource: "TV-1", Client: "Kodi 21"}
	for _, tt := range []struct {
		m    Matcher
		want bool
	}{
		{Matcher{}, false},
		{Matcher{Platform: "tv", TrustClientClaims: true}, false},
		{Matcher{Account: "*@EXAMPLE.org"}, true},
		{Matcher{Account: "*@example.com"}, false},
		{Matcher{DeviceID: "dev_1"}, true},
		{Matcher{DeviceID: "dev_*"}, false},
		{Matcher{CIDR: "2001:db8::/32"}, true},
		{Matcher{CIDR: "0.0.0.0/0"}, false},
		{Matcher{CIDR: "nonsense"}, false},
		{Matcher{Resource: "tv-?", Client: "kodi*", CIDR: "::/0", Account: "a*", DeviceID: "dev_1"}, true},
		{Matcher{Resource: "tv-?", Client: "vlc*"}, false},
	} {
		if got := tt.m.Match(s); got != tt.want {
			t.Errorf("%+v: %v", tt.m, got)
		}
	}
}

func FuzzMatcher(f *testing.F) {
	f.Add(`{"platform":"tv","resource":"tv-*","cidr":"192.0.2.0/24"}`, "tv-1", "192.0.2.1")
	f.Add(`{"platform":"tv","account":"*@*","client":"?"}`, "\xff", "::ffff:192.0.2.1%x")
	f.Fuzz(func(t *testing.T, matcher, text, ip string) {
		pl, err := ParsePlatforms([]byte(`{"matchers":[` + matcher + `]}`))
		if err != nil || len(pl.Matchers) != 1 {
			return
		}
		m := pl.Matchers[0]
		if m.Match(Subject{Account: text, Resource: text, Client: text, IP: ip, DeviceID: text}) && m.CIDR != "" && ip == "" {
			t.Fatalf("%s fits an address that is not known", matcher)
		}
		again, err := json.Marshal(pl)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := ParsePlatforms(again); err != nil || !cmp.Equal(pl, other) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
