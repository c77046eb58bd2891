package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTakesWhatIsRight(t *testing.T) {
	t.Parallel()
	// Each comes back as it was: what is unset stays unset.
	for _, text := range []string{
		`{}`,
		`{"max_sessions":null}`,
		`{"max_sessions":1}`,
		`{"max_sessions":1000000,"max_per_platform":{},"on_excess":"evict_idle","same_resource":"deny","ghost_after_seconds":4,"text":{},"deny_condition":"conflict","enforce":false}`,
		`{"max_per_platform":{"mobile phone":2,"web":1},"on_excess":"deny","same_resource":"replace","ghost_after_seconds":1,"deny_condition":"resource-constraint","enforce":true}`,
		`{"exclusive":[],"hibernating_counts":false,"exempt":[]}`,
		`{"exclusive":[["ios","web"],["mobile"]],"hibernating_counts":true,"exempt":[{"account":"*-bot@example.org"},{"device_id":"dev_1","cidr":"2001:db8::/32","resource":"b?t","client":"*","trust_client_claims":true}]}`,
		`{"condition":null}`,
		`{"condition":"now.getHours('+09:00') \u003c 20 || now.getDayOfWeek('Europe/Berlin') == 0 || now.getMinutes('UTC') == 1"}`,
		`{"on_excess":"choose","takeover_cooldown_seconds":0,"takeover_cooldown_max_seconds":null,"require_grant":true,"max_session_age_seconds":86400,"max_idle_seconds":null,"notify_devices":true}`,
		`{"takeover_cooldown_seconds":604800,"takeover_cooldown_max_seconds":1,"max_session_age_seconds":null,"max_idle_seconds":31622400}`,
		`{"condition":"account.group in ['vip', 'gold'] || now.getHours('Asia/Tokyo') \u003c 18 || session.resource.matches('^[a-z]{1,30}$')"}`,
		`{"on_excess":"evict_oldest","text":{"blocked":{},"takeover":{"en":"{device} ({platform}) at {time}, {seconds}","ja":"別の端末","sr-Latn-RS":"Drugi uređaj","zh-Hant":"其他裝置"}}}`,
	} {
		r, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(got)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		// The record reads it without Parse.
		var stored Rule
		if err := json.Unmarshal([]byte(text), &stored); err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(r, stored); diff != "" {
			t.Errorf("json.Unmarshal of %s: %s", text, diff)
		}
	}
}

func TestParseNamesTheFirstWrongField(t *testing.T) {
	t.Parallel()
	const limit = "must be a whole number from 1 to 1000000, or null for no limit"
	tests := []struct {
		words, text, code, field string
		message                  string // a part of it
	}{
		{"no object", `[]`, InvalidField, "", "must be a JSON object"},
		{"null", `null`, InvalidField, "", "must be a JSON object"},
		{"an unknown field", `{"max_session":1}`, UnknownField, "/max_session", `unknown field "max_session"; a rule has max_sessions, `},
		{"names are case-sensitive", `{"Max_Sessions":1}`, UnknownField, "/Max_Sessions", "unknown field"},
		{"a hostile name", `{"a/b~c\u202e` + strings.Repeat("x", 100) + `":1}`, UnknownField, "/a~1b~0c\u202e" + strings.Repeat("x", 58) + "…", `\u202e`},
		{"a field given twice", `{"enforce":true,"enforce":true}`, InvalidField, "/enforce", "given twice"},
		{"the same by an escape", `{"enforce":true,"\u0065nforce":true}`, InvalidField, "/enforce", "given twice"},
		{"the first of two", `{"enforce":1,"nonsense":1}`, InvalidField, "/enforce", "must be true or false"},

		{"limit 0", `{"max_sessions":0}`, InvalidField, "/max_sessions", limit},
		{"a negative limit", `{"max_sessions":-1}`, InvalidField, "/max_sessions", limit},
		{"a fraction", `{"max_sessions":1.5}`, InvalidField, "/max_sessions", limit},
		{"a huge exponent", `{"max_sessions":1e99}`, InvalidField, "/max_sessions", limit},
		{"too large", `{"max_sessions":1000001}`, InvalidField, "/max_sessions", limit},
		{"far too large", `{"max_sessions":99999999999999999999}`, InvalidField, "/max_sessions", limit},
		{"a number in quotes", `{"max_sessions":"1"}`, InvalidField, "/max_sessions", limit},
		{"a list", `{"max_sessions":[1]}`, InvalidField, "/max_sessions", limit},
		{"true", `{"max_sessions":true}`, InvalidField, "/max_sessions", limit},

		{"platforms that are no object", `{"max_per_platform":3}`, InvalidField, "/max_per_platform", "must be an object"},
		{"platforms null", `{"max_per_platform":null}`, InvalidField, "/max_per_platform", "must be an object"},
		{"a platform without a name", `{"max_per_platform":{"":1}}`, InvalidField, "/max_per_platform/", "1 to 64 printable"},
		{"a platform of spaces", `{"max_per_platform":{" ":1}}`, InvalidField, "/max_per_platform/ ", "1 to 64 printable"},
		{"a platform with a control character", `{"max_per_platform":{"a\u0007":1}}`, InvalidField, "/max_per_platform/a\a", "1 to 64 printable"},
		{"a platform without end", `{"max_per_platform":{"` + strings.Repeat("x", 65) + `":1}}`, InvalidField, "/max_per_platform/" + strings.Repeat("x", 64) + "…", "1 to 64 printable"},
		{"a platform's limit 0", `{"max_per_platform":{"web":0}}`, InvalidField, "/max_per_platform/web", "from 1 to 1000000"},
		{"a platform's limit null", `{"max_per_platform":{"web":null}}`, InvalidField, "/max_per_platform/web", "leave the platform out"},
		{"a platform twice", `{"max_per_platform":{"web":1,"web":2}}`, InvalidField, "/max_per_platform/web", "given twice"},

		{"sets that are no list", `{"exclusive":{"a":"b"}}`, InvalidField, "/exclusive", "must be a list of sets"},
		{"sets null", `{"exclusive":null}`, InvalidField, "/exclusive", "must be a list of sets"},
		{"one set only", `{"exclusive":["ios","web"]}`, InvalidField, "/exclusive/0", "must be a list of platforms"},
		{"an empty set", `{"exclusive":[["ios"],[]]}`, InvalidField, "/exclusive/1", "must name at least one platform"},
		{"a set with an empty name", `{"exclusive":[["ios",""]]}`, InvalidField, "/exclusive/0/1", "1 to 64 printable"},
		{"a set with a number", `{"exclusive":[["ios",1]]}`, InvalidField, "/exclusive/0/1", "must be a string"},
		{"a set with a name twice", `{"exclusive":[["ios","ios"]]}`, InvalidField, "/exclusive/0/1", "given twice"},
		{"a set without end", `{"exclusive":[[` + manyNames(101) + `]]}`, InvalidField, "/exclusive/0/100", "at most 100"},
		{"sets without end", `{"exclusive":[` + strings.TrimSuffix(strings.Repeat(`["a"],`, 101), ",") + `]}`, InvalidField, "/exclusive/100", "at most 100"},
		{"hibernating_counts as a number", `{"hibernating_counts":1}`, InvalidField, "/hibernating_counts", "must be true or false"},

		{"a negative cooldown", `{"takeover_cooldown_seconds":-1}`, InvalidField, "/takeover_cooldown_seconds", "from 0 (no cooldown) to 604800"},
		{"a cooldown without end", `{"takeover_cooldown_seconds":604801}`, InvalidField, "/takeover_cooldown_seconds", "from 0 (no cooldown) to 604800"},
		{"a cooldown of null", `{"takeover_cooldown_seconds":null}`, InvalidField, "/takeover_cooldown_seconds", "from 0 (no cooldown) to 604800"},
		{"a cooldown's end at once", `{"takeover_cooldown_max_seconds":0}`, InvalidField, "/takeover_cooldown_max_seconds", "or null for no such end"},
		{"a grant in words", `{"require_grant":"yes"}`, InvalidField, "/require_grant", "must be true or false"},
		{"an age of nothing", `{"max_session_age_seconds":0}`, InvalidField, "/max_session_age_seconds", "or null for any age"},
		{"an age beyond a year", `{"max_session_age_seconds":31622401}`, InvalidField, "/max_session_age_seconds", "or null for any age"},
		{"idleness in words", `{"max_idle_seconds":"1h"}`, InvalidField, "/max_idle_seconds", "or null for any time"},
		{"a message as a number", `{"notify_devices":1}`, InvalidField, "/notify_devices", "must be true or false"},

		{"exempt that is no list", `{"exempt":{}}`, InvalidField, "/exempt", "must be a list of matchers"},
		{"an exempt name", `{"exempt":["bob"]}`, InvalidField, "/exempt/0", "must be an object such as"},
		{"an exempt matcher of nothing", `{"exempt":[{}]}`, InvalidField, "/exempt/0", "at least one pattern"},
		{"trust alone", `{"exempt":[{"trust_client_claims":true}]}`, InvalidField, "/exempt/0", "at least one pattern"},
		{"an unknown field of a matcher", `{"exempt":[{"account":"a@b","ip":"::1"}]}`, UnknownField, "/exempt/0/ip", "account, group, device_id, cidr, resource, client"},
		{"a platform is no exemption", `{"exempt":[{"platform":"ios"}]}`, UnknownField, "/exempt/0/platform", "unknown field"},
		{"a claimed resource", `{"exempt":[{"account":"a@b"},{"resource":"bot"}]}`, InvalidField, "/exempt/1/resource", `"trust_client_claims": true`},
		{"a claimed client, expressly not trusted", `{"exempt":[{"client":"bot","trust_client_claims":false}]}`, InvalidField, "/exempt/0/client", `"trust_client_claims": true`},
		{"trust in words", `{"exempt":[{"client":"bot","trust_client_claims":"yes"}]}`, InvalidField, "/exempt/0/trust_client_claims", "must be true or false"},
		{"a range that is none", `{"exempt":[{"cidr":"192.0.2.0/33"}]}`, InvalidField, "/exempt/0/cidr", "192.0.2.0/24"},
		{"an address without its length", `{"exempt":[{"cidr":"192.0.2.1"}]}`, InvalidField, "/exempt/0/cidr", "/32"},
		{"IPv4 in IPv6's clothes", `{"exempt":[{"cidr":"::ffff:192.0.2.0/120"}]}`, InvalidField, "/exempt/0/cidr", "192.0.2.0/24"},
		{"a device's name", `{"exempt":[{"device_id":"my phone"}]}`, InvalidField, "/exempt/0/device_id", `"dev_"`},
		{"an empty pattern", `{"exempt":[{"account":""}]}`, InvalidField, "/exempt/0/account", "must not be empty"},
		{"a pattern of classes", `{"exempt":[{"account":"bot[0-9]@*"}]}`, InvalidField, "/exempt/0/account", `"[" is not known`},
		{"a pattern with a control character", `{"exempt":[{"account":"a\u0007"}]}`, InvalidField, "/exempt/0/account", "U+0007"},
		{"a pattern without end", `{"exempt":[{"account":"` + strings.Repeat("x", 257) + `"}]}`, InvalidField, "/exempt/0/account", "at most 256"},
		{"a pattern that is no string", `{"exempt":[{"account":7}]}`, InvalidField, "/exempt/0/account", "must be a string"},
		{"exemptions without end", `{"exempt":[` + strings.TrimSuffix(strings.Repeat(`{"account":"a@b"},`, 101), ",") + `]}`, InvalidField, "/exempt/100", "at most 100"},

		{"a condition that is no text", `{"condition":true}`, InvalidField, "/condition", "must be a condition in CEL"},
		{"an empty condition", `{"condition":" "}`, InvalidField, "/condition", "or null for none"},
		{"a time zone that does not exist", `{"condition":"now.getHours(\"Asia/Tokio\") < 20"}`, InvalidField, "/condition", "there is no time zone"},
		{"a condition that does not compile", `{"condition":"session.secure &&"}`, InvalidField, "/condition", "line 1, column 18: Syntax error"},
		{"a condition that names what is not there", `{"condition":"true &&\n account.jidd == ''"}`, InvalidField, "/condition", "line 2, column 9: undeclared reference to 'account.jidd'"},
		{"a condition that compares what cannot be", `{"condition":"device.id == 1"}`, InvalidField, "/condition", "line 1, column 11: found no matching overload"},
		{"a condition that yields a number", `{"condition":"1 + 1"}`, InvalidField, "/condition", "line 1, column 1: must yield true or false (bool), yields int"},
		{"a condition that yields whatever", `{"condition":"dyn(true)"}`, InvalidField, "/condition", "yields dyn"},
		{"a condition that is too costly", `{"condition":"session.resource.contains(account.jid)"}`, InvalidField, "/condition", "too costly"},
		{"a pattern from a client", `{"condition":"account.jid.matches(session.resource)"}`, InvalidField, "/condition", "column 28: the pattern of matches must be written out"},
		{"a pattern that is none", `{"condition":"matches(session.resource, '(')"}`, InvalidField, "/condition", "missing closing )"},
		{"a pattern that is too large", `{"condition":"session.resource.matches('((a{1,10}){1,10}){1,10}')"}`, InvalidField, "/condition", "the pattern is too large"},
		{"a condition without end", `{"condition":"` + strings.Repeat("!", 4096) + `true"}`, InvalidField, "/condition", "at most 4096 characters, has 4100"},
		{"a condition that is too deep", `{"condition":"` + strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500) + `"}`, InvalidField, "/condition", "line 1, column "},
		{"loops in loops", `{"condition":"[1].all(x, [1].all(y, x == y))"}`, InvalidField, "/condition", "nesting limit"},

		{"an unknown on_excess", `{"on_excess":"evict_newest"}`, InvalidField, "/on_excess", `must be "evict_oldest", "evict_idle", "deny" or "choose"`},
		{"on_excess null", `{"on_excess":null}`, InvalidField, "/on_excess", `must be "evict_oldest"`},
		{"an unknown same_resource", `{"same_resource":"Replace"}`, InvalidField, "/same_resource", `must be "replace" or "deny"`},
		{"an unknown condition", `{"deny_condition":"not-allowed"}`, InvalidField, "/deny_condition", `must be "resource-constraint" or "conflict"`},
		{"enforce in quotes", `{"enforce":"true"}`, InvalidField, "/enforce", "must be true or false"},
		{"enforce null", `{"enforce":null}`, InvalidField, "/enforce", "must be true or false"},
		{"no time to answer", `{"ghost_after_seconds":0}`, InvalidField, "/ghost_after_seconds", "from 1 to 4"},
		{"longer than a bind is held", `{"ghost_after_seconds":5}`, InvalidField, "/ghost_after_seconds", "from 1 to 4"},
		{"ghost_after_seconds null", `{"ghost_after_seconds":null}`, InvalidField, "/ghost_after_seconds", "from 1 to 4"},

		{"text that is no object", `{"text":"Bye"}`, InvalidField, "/text", "must be an object of code"},
		{"an unknown code", `{"text":{"bye":{"en":"Bye"}}}`, InvalidField, "/text/bye", `unknown code "bye"; must be one of takeover, `},
		{"a code without languages", `{"text":{"kick":"Bye"}}`, InvalidField, "/text/kick", "must be an object of language"},
		{"a code twice", `{"text":{"kick":{},"kick":{}}}`, InvalidField, "/text/kick", "given twice"},
		{"a language that is not", `{"text":{"kick":{"xx":"Bye"}}}`, InvalidField, "/text/kick/xx", `unknown language tag "xx"; must be a BCP 47 tag`},
		{"a language's name", `{"text":{"kick":{"english":"Bye"}}}`, InvalidField, "/text/kick/english", "BCP 47"},
		{"no language", `{"text":{"kick":{"":"Bye"}}}`, InvalidField, "/text/kick/", "BCP 47"},
		{"no certain language", `{"text":{"kick":{"und":"Bye"}}}`, InvalidField, "/text/kick/und", "BCP 47"},
		{"an underscore", `{"text":{"kick":{"en_US":"Bye"}}}`, InvalidField, "/text/kick/en_US", "BCP 47"},
		{"a tag without end", `{"text":{"kick":{"en-` + strings.Repeat("a-", 100) + `":"Bye"}}}`, InvalidField, "/text/kick/en-" + strings.Repeat("a-", 30) + "a…", "BCP 47"},
		{"a language twice, in other letters", `{"text":{"kick":{"en-US":"Bye","EN-us":"Bye"}}}`, InvalidField, "/text/kick/EN-us", "given twice"},
		{"a text that is no string", `{"text":{"kick":{"en":1}}}`, InvalidField, "/text/kick/en", "must be a string"},
		{"a text null", `{"text":{"kick":{"en":null}}}`, InvalidField, "/text/kick/en", "must be a string"},
		{"an empty text", `{"text":{"kick":{"en":" "}}}`, InvalidField, "/text/kick/en", "must not be empty"},
		{"a text without end", `{"text":{"kick":{"en":"` + strings.Repeat("語", 1001) + `"}}}`, InvalidField, "/text/kick/en", "at most 1000 characters, has 1001"},
		{"a control character", `{"text":{"kick":{"en":"a\u0000b"}}}`, InvalidField, "/text/kick/en", "has U+0000"},
		{"a line break", `{"text":{"kick":{"en":"a\nb"}}}`, InvalidField, "/text/kick/en", "has U+000A"},
		{"a character that XML forbids", `{"text":{"kick":{"en":"a\uffffb"}}}`, InvalidField, "/text/kick/en", "has U+FFFF"},
		{"an unknown placeholder", `{"text":{"kick":{"en":"from {ip}"}}}`, InvalidField, "/text/kick/en", `unknown placeholder "{ip}"; the placeholders are {platform}, {device}, {time} and {seconds}`},
		{"a placeholder left open", `{"text":{"kick":{"en":"on {device"}}}`, InvalidField, "/text/kick/en", "only around a placeholder"},
		{"a placeholder not begun", `{"text":{"kick":{"en":"{device} device}"}}}`, InvalidField, "/text/kick/en", "only around a placeholder"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			r, err := Parse([]byte(tt.text))
			e, ok := errors.AsType[*FieldError](err)
			if !ok {
				t.Fatalf("%s: got %+v, %v", tt.text, r, err)
			}
			if e.Code != tt.code || e.Field != tt.field || !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Error(), e.Field) {
				t.Errorf("%s: got %s %q %q, want %s %q %q", tt.text, e.Code, e.Field, e.Message, tt.code, tt.field, tt.message)
			}
			if diff := cmp.Diff(Rule{}, r); diff != "" {
				t.Errorf("a rule beside the error: %s", diff)
			}
		})
	}
}

func manyNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"p%d"`, i)
	}
	return strings.Join(names, ",")
}

func TestParseBoundsTheNumberOfPlatforms(t *testing.T) {
	t.Parallel()
	limits := map[string]int{}
	for i := range maxPlatforms {
		limits["p"+string(rune('a'+i/26))+string(rune('a'+i%26))] = 1
	}
	text, err := json.Marshal(map[string]any{"max_per_platform": limits})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(text); err != nil {
		t.Error(err)
	}
	_, err = Parse(append(text[:len(text)-2], `,"one more":1}}`...))
	if e, ok := errors.AsType[*FieldError](err); !ok || e.Field != "/max_per_platform/one more" {
		t.Errorf("got %v", err)
	}
}

func TestParseTellsWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words, text string
		offset      int64
	}{
		{"nothing", ``, 0},
		{"cut short", `{"max_sessions":`, 16},
		{"a comma too many", `{"max_sessions":1,}`, 19},
		{"two documents", `{}{}`, 3},
		{"single quotes", `{'enforce':true}`, 2},
		{"a leading zero", `{"max_sessions":01}`, 18},
		{"not UTF-8", "{\"enforce\":true,\"\xff\":1}", 17},
		{"too deep", strings.Repeat("[", 20_000), 10_001},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.text))
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if e.Offset != tt.offset || e.Message == "" || !strings.Contains(e.Error(), "not valid JSON at byte") {
				t.Errorf("got %v, want it at %d", e, tt.offset)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"max_sessions":1,"max_per_platform":{"web":3},"on_excess":"deny","same_resource":"deny"}`,
		`{"text":{"takeover":{"zh-Hans":"{device}{platform}{time}{seconds}"}},"enforce":false,"ghost_after_seconds":3}`,
		`{"max_sessions":1,"max_sessions":2}`, `{"a":{"b":[[[[]]]]}}`, "{\"\xff\":1}", `{"text":{"kick":{"en":"\ud800"}}}`,
		`{"max_sessions":1e999}`, `{"deny_condition":"conflict"} `, `{"max_per_platform":{"\u0000":1}}`,
		`{"exclusive":[["ios","web"]],"hibernating_counts":true,"exempt":[{"cidr":"::/0"},{"resource":"a*","trust_client_claims":true}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			_, field := errors.AsType[*FieldError](err)
			_, syntax := errors.AsType[*SyntaxError](err)
			if field == syntax || field && !json.Valid(data) {
				t.Fatalf("%q: %T %v", data, err, err)
			}
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Kept(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		_ = ShippedPlatforms().RuleWarnings(r)
		_ = Decide(Facts{Rule: Merge(LevelRule{LevelAccount, r})}, eight)
	})
}

func TestKeptRuleOfANewerVersion(t *testing.T) {
	t.Parallel()
	r, err := Kept([]byte(`{"max_sessions": 2, "a_field_of_tomorrow": {"x": [1]}}`))
	if err != nil || !r.MaxSessions.Set || *r.MaxSessions.Value != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := Kept([]byte(`{"max_sessions": "two"}`)); err == nil {
		t.Fatal("a rule that makes no sense was read")
	}
}

// As JSON Schema reads them.
func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"3": 3, "3.0": 3, "3e0": 3, "0.3e1": 3, "-0.0": 0, "-7": -7, "9223372036854775807": 9223372036854775807, "9007199254740992.0": 1 << 53} {
		if got, ok := Whole(text); !ok || got != want {
			t.Errorf("%s: %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"3.5", "1e-1", "1e99", "1e999", "9223372036854775808", "9007199254740994.0", "-9223372036854775809", "", "x"} {
		if got, ok := Whole(text); ok {
			t.Errorf("%s: %d", text, got)
		}
	}
}
