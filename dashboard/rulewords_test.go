package dashboard

import (
	"encoding/json"
	"html"
	"html/template"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

func tellers(t *testing.T) []teller {
	t.Helper()
	w, err := newWords()
	if err != nil {
		t.Fatal(err)
	}
	var all []teller
	for _, lang := range languages {
		all = append(all, teller{w, lang})
	}
	return all
}

func ruleOf(t *testing.T, text string) client.Rule {
	t.Helper()
	if _, err := rules.Parse([]byte(text)); err != nil {
		t.Fatalf("%s is no rule: %v", text, err)
	}
	var r client.Rule
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

var markup = regexp.MustCompile(`<[^>]*>`)

// plain is what a reader sees of a sentence.
func plain(h template.HTML) string {
	return html.UnescapeString(markup.ReplaceAllString(string(h), ""))
}

func TestRuleFieldTableIsTheRule(t *testing.T) {
	t.Parallel()
	var want, have []string
	r := reflect.TypeFor[rules.Rule]()
	for i := range r.NumField() {
		name, _, _ := strings.Cut(r.Field(i).Tag.Get("json"), ",")
		want = append(want, name)
	}
	for _, f := range ruleFieldTable {
		have = append(have, f.Name)
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("the table has %v, a rule %v", have, want)
	}
}

// Every value of every field is said in every language, in English as here, and elsewhere with its numbers and names.
func TestFieldWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		field, value string
		english      string
		names        []string // in each language
	}{
		{"max_sessions", `null`, "Any number of sessions at once.", nil},
		{"max_sessions", `1`, "At most 1 session at once.", []string{"1"}},
		{"max_sessions", `1200`, "At most 1,200 sessions at once.", []string{"1,200"}},
		{"max_per_platform", `{}`, "No platform has a limit of its own.", nil},
		{"max_per_platform", `{"web":3,"mobile":1}`, "At the same time at most 1 on mobile and 3 on web; other platforms are not limited here.", []string{"mobile", "web", "1", "3"}},
		{"exclusive", `[]`, "No platforms exclude each other.", nil},
		{"exclusive", `[["phone","tablet"]]`, "Of phone and tablet together, at most one session at once.", []string{"phone", "tablet"}},
		{"exclusive", `[["a","b","c"],["tv"]]`, "Of a, b and c together, at most one session at once. At most one session on tv.", []string{"a", "b", "c", "tv"}},
		{"on_excess", `"evict_oldest"`, "At a limit the newest login wins: the oldest session ends.", nil},
		{"on_excess", `"evict_idle"`, "At a limit the newest login wins: the session that was idle for longest ends.", nil},
		{"on_excess", `"deny"`, "At a limit whoever came first stays: a new login is denied.", nil},
		{"on_excess", `"choose"`, "At a limit a new login is denied, and its user may choose a session that ends for it.", nil},
		{"same_resource", `"replace"`, "A login that wants a resource in use replaces the session that has it.", nil},
		{"same_resource", `"deny"`, "A login that wants a resource in use is denied while the session that has it lives.", nil},
		{"exempt", `[]`, "Nobody is exempt.", nil},
		{
			"exempt", `[{"account":"*-bot@example.org","cidr":"192.0.2.0/24"},{"resource":"kiosk?","trust_client_claims":true}]`,
			"Neither counted nor ended: account *-bot@example.org and address in 192.0.2.0/24; or resource kiosk?.", []string{"*-bot@example.org", "192.0.2.0/24", "kiosk?"},
		},
		{"takeover_cooldown_seconds", `0`, "A displaced device may come back at once.", nil},
		{"takeover_cooldown_seconds", `30`, "A device that was displaced waits 30 s, counted anew at each attempt, before it may displace others.", []string{"30"}},
		{"takeover_cooldown_max_seconds", `null`, "A displaced device that keeps trying keeps waiting, however long.", nil},
		{"takeover_cooldown_max_seconds", `5400`, "A displaced device waits 1 h 30 min at most, however often it tries.", []string{"1", "30"}},
		{"ghost_after_seconds", `2`, "A session that does not answer a probe within 2 s counts as gone.", []string{"2"}},
		{"hibernating_counts", `false`, "A hibernating session (a suspended phone) gives way to a newcomer.", nil},
		{"hibernating_counts", `true`, "A hibernating session (a suspended phone) keeps its place.", nil},
		{"require_grant", `false`, "A new device may log in without a permission of the app.", nil},
		{"require_grant", `true`, "A new device may log in only with a permission (grant) of the app.", nil},
		{"condition", `null`, "No further condition has to be met.", nil},
		{"condition", `"session.secure && '<b>' != \"\""`, `Each login has to meet this condition: session.secure && '<b>' != ""`, []string{`session.secure && '<b>' != ""`}},
		{"max_session_age_seconds", `null`, "A session may last for any time.", nil},
		{"max_session_age_seconds", `2592061`, "A session ends 30 d 1 min 1 s after its login.", []string{"30", "1"}},
		{"max_idle_seconds", `null`, "A session may be idle for any time.", nil},
		{"max_idle_seconds", `7200`, "A session that is idle for 2 h ends.", []string{"2"}},
		{"text", `{}`, "Clients are told the shipped texts.", nil},
		{"text", `{"takeover":{"en":"x","ja":"y"},"kick":{"de":"z"}}`, "Own texts for signed out remotely (de) and signed out by another device (en, ja).", []string{"de", "en", "ja"}},
		{"deny_condition", `"resource-constraint"`, "A denied client gets <resource-constraint/>: it waits and may try again.", []string{"<resource-constraint/>"}},
		{"deny_condition", `"conflict"`, "A denied client gets <conflict/>: many then try another resource at once.", []string{"<conflict/>"}},
		{"notify_devices", `false`, "The account's other devices are not told of a new login.", nil},
		{"notify_devices", `true`, "The account's other devices are told of a new login.", nil},
		{"enforce", `true`, "The rule is enforced.", nil},
		{"enforce", `false`, "Nothing is enforced: what would happen is recorded only, everyone is let in and nobody goes.", nil},
	} {
		r := ruleOf(t, `{"`+test.field+`":`+test.value+`}`)
		for _, teller := range tellers(t) {
			var said []string
			for _, s := range teller.fieldWords(test.field, r) {
				said = append(said, plain(s))
			}
			all := strings.Join(said, " ")
			if teller.lang == "en" && all != test.english {
				t.Errorf("%s %s\nsays  %s\nwants %s", test.field, test.value, all, test.english)
			}
			if all == "" || strings.Contains(all, "rulewords.") || strings.Contains(all, "{") && test.field != "condition" {
				t.Errorf("%s %s in %s says %q", test.field, test.value, teller.lang, all)
			}
			for _, name := range test.names {
				if !strings.Contains(all, name) {
					t.Errorf("%s %s in %s does not name %s: %s", test.field, test.value, teller.lang, name, all)
				}
			}
			if rest := teller.ruleWords(r); len(rest) != len(said) {
				t.Errorf("%s %s in %s: the fields that are left out say something: %v", test.field, test.value, teller.lang, rest)
			}
		}
	}
}

// Each text code and each unit has a name, in every language.
func TestWordsOfClosedSets(t *testing.T) {
	t.Parallel()
	w := tellers(t)[0].words
	for _, code := range rules.TextCodes() {
		if !w.has("rulewords.code." + code) {
			t.Errorf("the code %s has no name", code)
		}
	}
}

func TestConsequence(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`{}`:                                    "Any number of devices may be logged in at once.",
		`{"max_sessions":1}`:                    "A second login ends the oldest session.",
		`{"max_sessions":1,"on_excess":"deny"}`: "A second login is denied while the first session lives.",
		`{"max_sessions":3,"on_excess":"choose"}`:                                  "Up to 3 sessions; one login more is denied, unless its user chooses one of them to end.",
		`{"max_sessions":3,"on_excess":"evict_idle","enforce":false}`:              "Up to 3 sessions; one login more ends the one that was idle for longest. None of it is enforced: it is recorded only.",
		`{"max_per_platform":{"mobile":1,"desktop":1},"exclusive":[["web","tv"]]}`: "At most 1 on desktop and 1 on mobile; there, one login more ends the oldest of them. One session on web and tv together; one login more ends the oldest of them.",
	} {
		for _, teller := range tellers(t) {
			var said []string
			for _, s := range teller.consequence(ruleOf(t, rule)) {
				said = append(said, plain(s))
			}
			all := strings.Join(said, " ")
			if teller.lang == "en" && all != want || all == "" || strings.Contains(all, "rulewords.") {
				t.Errorf("%s in %s\nsays  %s\nwants %s", rule, teller.lang, all, want)
			}
		}
	}
	for _, excess := range []string{"evict_oldest", "evict_idle", "deny", "choose"} {
		r := ruleOf(t, `{"max_sessions":2,"max_per_platform":{"web":1},"exclusive":[["a","b"]],"on_excess":"`+excess+`"}`)
		for _, teller := range tellers(t) {
			for _, s := range append(teller.consequence(r), teller.consequence(ruleOf(t, `{"max_sessions":1,"on_excess":"`+excess+`"}`))...) {
				if strings.Contains(string(s), "rulewords.") {
					t.Errorf("%s in %s: %s", excess, teller.lang, s)
				}
			}
		}
	}
}

func TestForeignTextsInWords(t *testing.T) {
	t.Parallel()
	r := ruleOf(t, `{"exempt":[{"group":"\u202e<script>alert(1)</script>"}],"max_per_platform":{"<img src=x>":1}}`)
	for _, teller := range tellers(t) {
		for _, s := range teller.ruleWords(r) {
			if strings.ContainsAny(string(s), "\u202e") || strings.Contains(string(s), "<script") || strings.Contains(string(s), "<img") {
				t.Errorf("%s: %q", teller.lang, s)
			}
		}
	}
}

func TestChangesOfARule(t *testing.T) {
	t.Parallel()
	got := tellers(t)[0].changes(ruleOf(t, `{"max_sessions":2,"enforce":true,"text":{"kick":{"en":"a","ja":"b"}}}`), ruleOf(t, `{"max_sessions":1,"enforce":true,"text":{"kick":{"ja":"b","en":"a"}}}`))
	if len(got) != 1 || got[0].Field != "max_sessions" || plain(got[0].Was[0]) != "At most 2 sessions at once." || plain(got[0].Becomes[0]) != "At most 1 session at once." {
		t.Errorf("%+v", got)
	}
}

func TestMergeRules(t *testing.T) {
	t.Parallel()
	e, err := mergeRules(levelRule{client.LevelAccount, ruleOf(t, `{"max_sessions":null}`)}, levelRule{client.LevelDomain, ruleOf(t, `{"max_sessions":2,"on_excess":"deny"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if !e.Rule.MaxSessions.IsNull() || e.Rule.OnExcess != client.DenyNewcomer || e.Rule.TakeoverCooldown.Or(0) != 30 ||
		e.Origin["max_sessions"] != client.LevelAccount || e.Origin["on_excess"] != client.LevelDomain || e.Origin["enforce"] != client.LevelDefault || len(e.Origin) != len(ruleFieldTable) {
		t.Errorf("%+v", e)
	}
}
