package dashboard

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

// anyRule draws the JSON of a rule that is valid.
func anyRule() *rapid.Generator[ruleDoc] {
	name := rapid.SampledFrom([]string{"ios", "mobile", "web", "a, b", "日本", "x~y/z", `"<&>'`, strings.Repeat("n", 64)})
	pattern := rapid.SampledFrom([]string{"*", " a", "b ", "*-bot@example.org", "<script>", "\u202ex", "日本*", "a,b;c"})
	count := rapid.IntRange(1, 1_000_000)
	span := rapid.OneOf(rapid.IntRange(1, 120), rapid.SampledFrom([]int{60, 3600, 5400, 86400, 604800}))
	orNull := func(g *rapid.Generator[int]) *rapid.Generator[any] {
		return rapid.OneOf(rapid.Just(any(nil)), rapid.Map(g, func(n int) any { return n }))
	}
	matcher := rapid.Custom(func(t *rapid.T) map[string]any {
		m := map[string]any{}
		for _, f := range []string{"account", "group", "resource", "client", "identity"} {
			if rapid.Bool().Draw(t, f) {
				m[f] = pattern.Draw(t, "pattern")
			}
		}
		if rapid.Bool().Draw(t, "cidr") || len(m) == 0 {
			m["cidr"] = rapid.SampledFrom([]string{"192.0.2.0/24", "2001:db8::/32"}).Draw(t, "range")
		}
		if rapid.Bool().Draw(t, "device") {
			m["device_id"] = "dev_0123"
		}
		if m["resource"] != nil || m["client"] != nil || m["identity"] != nil || rapid.Bool().Draw(t, "trust") {
			m["trust_client_claims"] = true
		}
		return m
	})
	texts := rapid.MapOfN(rapid.SampledFrom(rules.TextCodes()),
		rapid.MapOfN(rapid.SampledFrom([]string{"en", "ja", "zh-Hant", "pt-BR"}), rapid.SampledFrom([]string{"x", " {device} at {time} ", "<b>", "日本"}), 1, 3), 0, 3)
	values := map[string]func(*rapid.T) any{
		"max_sessions":     func(t *rapid.T) any { return orNull(count).Draw(t, "n") },
		"max_per_platform": func(t *rapid.T) any { return rapid.MapOfN(name, count, 0, 4).Draw(t, "limits") },
		"exclusive": func(t *rapid.T) any {
			return rapid.SliceOfN(rapid.SliceOfNDistinct(name, 1, 4, rapid.ID), 0, 3).Draw(t, "sets")
		},
		"exempt":                        func(t *rapid.T) any { return rapid.SliceOfN(matcher, 0, 3).Draw(t, "matchers") },
		"takeover_cooldown_seconds":     func(t *rapid.T) any { return rapid.OneOf(rapid.Just(0), span).Draw(t, "s") },
		"takeover_cooldown_max_seconds": func(t *rapid.T) any { return orNull(span).Draw(t, "s") },
		"ghost_after_seconds":           func(t *rapid.T) any { return rapid.IntRange(1, 4).Draw(t, "s") },
		"max_session_age_seconds":       func(t *rapid.T) any { return orNull(span).Draw(t, "s") },
		"max_idle_seconds":              func(t *rapid.T) any { return orNull(span).Draw(t, "s") },
		"condition": func(t *rapid.T) any {
			return rapid.SampledFrom([]any{nil, "session.secure", "\nsession.secure\n\t&& true ", "account.jid != '<\"&日本'"}).Draw(t, "cel")
		},
		"text": func(t *rapid.T) any { return texts.Draw(t, "texts") },
	}
	return rapid.Custom(func(t *rapid.T) ruleDoc {
		doc := ruleDoc{}
		for _, f := range ruleFieldTable {
			if !rapid.Bool().Draw(t, f.Name) {
				continue
			}
			if f.Kind == kindChoice {
				doc[f.Name] = json.RawMessage(rapid.SampledFrom(f.Choices).Draw(t, "choice"))
				continue
			}
			raw, err := json.Marshal(values[f.Name](t))
			if err != nil {
				t.Fatal(err)
			}
			doc[f.Name] = raw
		}
		return doc
	})
}

// A rule that goes into a form, to a browser and back is the same: what is left out, what is null, and what is set.
func TestRuleFormRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := anyRule().Draw(t, "rule")
		b, _ := json.Marshal(doc)
		if _, err := rules.Parse(b); err != nil {
			t.Fatalf("%s is no rule: %v", b, err)
		}
		r, err := doc.rule()
		if err != nil {
			t.Fatal(err)
		}
		form, err := formOf(r, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time through the hidden inputs of a step
			form = readForm(browser(form.values()))
		}
		back, ok := form.rule()
		if !ok {
			t.Fatalf("%s comes back wrong: %v", b, form.Wrong)
		}
		want, _ := json.Marshal(r)
		if got, _ := json.Marshal(back); !bytes.Equal(got, want) {
			t.Fatalf("went %s\ncame %s", want, got)
		}
	})
}

// browser is what a browser does to the values of a form.
func browser(in url.Values) url.Values {
	out := url.Values{}
	for name, values := range in {
		for _, v := range values {
			out.Add(name, strings.ReplaceAll(v, "\n", "\r\n"))
		}
	}
	return out
}

func TestRuleFormSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	form := readForm(url.Values{
		"max_sessions.mode": {"set"}, "max_sessions": {"three"},
		"ghost_after_seconds.mode": {"none"},
		"max_idle_seconds.mode":    {"set"}, "max_idle_seconds": {"5"}, "max_idle_seconds.unit": {"fortnight"},
		"takeover_cooldown_seconds.mode": {"set"}, "takeover_cooldown_seconds": {"9223372036854775807"}, "takeover_cooldown_seconds.unit": {"d"},
		"on_excess":             {`"explode"`},
		"max_per_platform.mode": {"set"}, "max_per_platform.0.platform": {"web"}, "max_per_platform.0.n": {""}, "max_per_platform.1.platform": {"web"}, "max_per_platform.1.n": {"2"},
		"text.mode": {"set"}, "text.0.code": {"kick"}, "text.0.lang": {""}, "text.0.text": {"x"},
	})
	if _, ok := form.rule(); ok {
		t.Fatal("it is a rule")
	}
	for input, key := range map[string]string{
		"max_sessions": "number", "ghost_after_seconds.mode": "mode", "max_idle_seconds.unit": "mode", "takeover_cooldown_seconds": "number", "on_excess": "mode",
		"max_per_platform.0.n": "number", "max_per_platform.1.platform": "twice", "text.0.lang": "lang",
	} {
		if p := form.Wrong[input]; p == nil || p.Key != "rules.wrong."+key {
			t.Errorf("%s: %+v", input, p)
		}
	}
	if len(form.Wrong) != 8 {
		t.Errorf("%v", form.Wrong)
	}
	if again := readForm(form.values()); again.field("max_sessions").Value != "three" || len(again.field("max_per_platform").Rows) != 2 {
		t.Error("what was typed is lost")
	}
}

// What the API says of a field stands at its input.
func TestPlaceOfAProblem(t *testing.T) {
	t.Parallel()
	form := readForm(url.Values{
		"max_sessions.mode": {"set"}, "max_sessions": {"0"}, "condition.mode": {"set"}, "condition": {"1 +"},
		"max_per_platform.mode": {"set"}, "max_per_platform.0.platform": {""}, "max_per_platform.0.n": {""}, "max_per_platform.1.platform": {"a/b~c"}, "max_per_platform.1.n": {"0"},
		"max_per_platform.2.platform": {strings.Repeat("x", 70)}, "max_per_platform.2.n": {"1"},
		"exempt.mode": {"set"}, "exempt.0.account": {"a@b"}, "exempt.1.account": {""}, "exempt.1.cidr": {"10.0.0.0"},
		"exclusive.mode": {"set"}, "exclusive.0.platforms": {"a\nb\na"},
		"text.mode": {"set"}, "text.0.code": {"kick"}, "text.0.lang": {"!!"}, "text.0.text": {"x"}, "text.1.code": {"kick"}, "text.1.lang": {"en"}, "text.1.text": {"{nope}"},
	})
	r, ok := form.rule()
	if !ok {
		t.Fatal(form.Wrong)
	}
	_ = r
	for pointer, input := range map[string]string{
		"/max_sessions": "max_sessions", "/rule/max_sessions": "max_sessions", "/rule/condition": "condition",
		"/max_per_platform/a~1b~0c": "max_per_platform.0.n", "/max_per_platform/" + strings.Repeat("x", 64) + "…": "max_per_platform.1.platform",
		"/exempt/1/cidr": "exempt.1.cidr", "/exempt/1": "exempt.1.account", "/exempt/9/cidr": "exempt.mode", "/exclusive/0/2": "exclusive.0.platforms",
		"/text/kick/!!": "text.0.lang", "/text/kick/en": "text.1.text", "/expires_at": "expires.at", "/nonsense": "", "": "", "/subject": "", "If-Match": "",
	} {
		if got := form.place(pointer); got != input {
			t.Errorf("%s is at %q, not %q", pointer, got, input)
		}
	}
	form.refuse(&client.Error{Field: "/rule/condition", Detail: "Line 1, column 4: no."})
	if form.Wrong["condition"].Detail != "Line 1, column 4: no." {
		t.Errorf("%v", form.Wrong)
	}
}

func TestRowsOfARuleForm(t *testing.T) {
	t.Parallel()
	form := readForm(url.Values{})
	ff := form.field("exempt")
	ff.addRow()
	if ff.Mode != modeSet || len(ff.Rows) != 1 || len(ff.Rows[0]) != len(ff.rowCells()) {
		t.Fatalf("%+v", ff)
	}
	ff.removeRow(5)
	ff.removeRow(0)
	if ff.Mode != modeNone || len(ff.Rows) != 0 {
		t.Errorf("%+v", ff)
	}
}

func TestExpiryForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 5000, time.UTC)
	kept := time.Date(2030, 1, 31, 12, 0, 1, 123456000, time.UTC)
	for _, test := range []struct {
		form expiryForm
		want time.Time
		ok   bool
	}{
		{expiryForm{}, time.Time{}, true},
		{expiryOf(kept), kept, true},
		{expiryForm{Mode: "at", At: "2030-01-31T12:00"}, kept.Truncate(time.Minute), true},
		{expiryForm{Mode: "at", At: "2030-01-31T12:00:02", Kept: expiryOf(kept).Kept}, kept.Truncate(time.Second).Add(time.Second), true},
		{expiryForm{Mode: "day"}, now.Truncate(time.Second).Add(24 * time.Hour), true},
		{expiryForm{Mode: "at", At: "tomorrow"}, time.Time{}, false},
		{expiryForm{Mode: "nonsense"}, time.Time{}, false},
	} {
		got, ok := readExpiry(test.form.values()).time(now)
		if !got.Equal(test.want) || ok != test.ok {
			t.Errorf("%+v is %s, %v", test.form, got, ok)
		}
	}
}
