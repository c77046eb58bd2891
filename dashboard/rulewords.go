package dashboard

import (
	"cmp"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// teller says rules in words, in one language. What it returns is HTML: names and patterns that somebody else wrote are in it, made safe to read.
type teller struct {
	words *words
	lang  string
}

// say returns the text of a key with its arguments.
func (t teller) say(key string, args ...any) template.HTML {
	switch s := t.words.say(t.lang, key, args...).(type) {
	case template.HTML:
		return s
	case string:
		return template.HTML(template.HTMLEscapeString(s)) //nolint:gosec // escaped
	}
	return ""
}

// fieldWords says one field of a rule in whole sentences: what happens to whom. A field that is left out is inherited and has none.
func (t teller) fieldWords(name string, r client.Rule) []template.HTML {
	switch name {
	case "max_sessions":
		return t.orNone(name, r.MaxSessions.IsZero(), r.MaxSessions.IsNull(), func() any { return r.MaxSessions.Or(0) })
	case "max_per_platform":
		return t.orNone(name, r.MaxPerPlatform == nil, len(r.MaxPerPlatform) == 0, func() any { return t.limits(r.MaxPerPlatform) })
	case "exclusive":
		if len(r.Exclusive) == 0 {
			return t.orNone(name, r.Exclusive == nil, true, nil)
		}
		var out []template.HTML
		for _, set := range r.Exclusive {
			out = append(out, t.say("rulewords.exclusive."+oneOrMore(len(set)), t.list(clipAll(set))))
		}
		return out
	case "exempt":
		return t.orNone(name, r.Exempt == nil, len(r.Exempt) == 0, func() any { return t.matchers(r.Exempt) })
	case "condition":
		return t.orNone(name, r.Condition.IsZero(), r.Condition.IsNull(), func() any { return t.code(r.Condition.Or("")) })
	case "text":
		return t.orNone(name, r.Text == nil, len(r.Text) == 0, func() any { return t.texts(r.Text) })
	case "takeover_cooldown_seconds":
		return t.spanWords(name, r.TakeoverCooldown)
	case "takeover_cooldown_max_seconds":
		return t.spanWords(name, r.TakeoverCooldownMax)
	case "ghost_after_seconds":
		return t.spanWords(name, r.GhostAfter)
	case "max_session_age_seconds":
		return t.spanWords(name, r.MaxSessionAge)
	case "max_idle_seconds":
		return t.spanWords(name, r.MaxIdle)
	case "on_excess":
		return t.choiceWords(name, r.OnExcess)
	case "same_resource":
		return t.choiceWords(name, r.SameResource)
	case "deny_condition":
		return t.choiceWords(name, r.DenyCondition)
	case "hibernating_counts":
		return t.choiceWords(name, r.HibernatingCounts)
	case "require_grant":
		return t.choiceWords(name, r.RequireGrant)
	case "notify_devices":
		return t.choiceWords(name, r.NotifyDevices)
	case "enforce":
		return t.choiceWords(name, r.Enforce)
	}
	return nil
}

// orNone says nothing of what is left out, that there is none of what is none, and else the field's sentence with what some returns.
func (t teller) orNone(name string, leftOut, none bool, some func() any) []template.HTML {
	switch {
	case leftOut:
		return nil
	case none:
		return []template.HTML{t.say("rulewords." + name + ".none")}
	}
	return []template.HTML{t.say("rulewords."+name+".some", some())}
}

func (t teller) spanWords(name string, span client.Optional[client.Seconds]) []template.HTML {
	n := span.Or(0)
	return t.orNone(name, span.IsZero(), n == 0, func() any { return t.span(n) })
}

// choiceWords says a field that has one of a few values; one that is left out, or that a newer bindgate has, has no sentence.
func (t teller) choiceWords(name string, value any) []template.HTML {
	b, err := json.Marshal(value)
	if f, ok := fieldNamed(name); err != nil || !ok || !slices.Contains(f.Choices, string(b)) {
		return nil
	}
	return []template.HTML{t.say("rulewords." + name + "." + choiceKey(string(b)))}
}

// choiceKey is a choice's JSON as it is in the keys of texts.
func choiceKey(value string) string { return strings.ReplaceAll(strings.Trim(value, `"`), "-", "_") }

func oneOrMore(n int) string {
	if n == 1 {
		return "one"
	}
	return "some"
}

// ruleWords says every field that a rule sets, in the order of the fields.
func (t teller) ruleWords(r client.Rule) []template.HTML {
	var out []template.HTML
	for _, f := range ruleFieldTable {
		out = append(out, t.fieldWords(f.Name, r)...)
	}
	return out
}

// consequence says in a sentence or two what an effective rule comes to for somebody who logs in once more.
func (t teller) consequence(r client.Rule) []template.HTML {
	var out []template.HTML
	excess := string(cmp.Or(r.OnExcess, client.EvictOldest))
	if n, limited := r.MaxSessions.Get(); limited && n == 1 {
		out = append(out, t.say("rulewords.then.second."+excess))
	} else if limited {
		out = append(out, t.say("rulewords.then.sessions."+excess, n))
	}
	if len(r.MaxPerPlatform) > 0 {
		out = append(out, t.say("rulewords.then.platforms."+excess, t.limits(r.MaxPerPlatform)))
	}
	for _, set := range r.Exclusive {
		out = append(out, t.say("rulewords.then.exclusive."+excess, t.list(clipAll(set))))
	}
	if len(out) == 0 {
		out = append(out, t.say("rulewords.then.unlimited"))
	}
	if !r.Enforce.Or(true) {
		out = append(out, t.say("rulewords.then.shadow"))
	}
	return out
}

// ruleChange is a field that would be another one.
type ruleChange struct {
	Field        string // its name in JSON
	Was, Becomes []template.HTML
}

// changes says how one effective rule differs from another.
func (t teller) changes(before, after client.Rule) []ruleChange {
	var out []ruleChange
	for _, f := range ruleFieldTable {
		if !sameField(f.Name, before, after) {
			out = append(out, ruleChange{f.Name, t.fieldWords(f.Name, before), t.fieldWords(f.Name, after)})
		}
	}
	return out
}

// sameField reports whether two rules have the same in a field.
func sameField(name string, a, b client.Rule) bool {
	x, errX := docOf(a)
	y, errY := docOf(b)
	return errX == nil && errY == nil && string(x[name]) == string(y[name]) // the keys of maps are encoded in order
}

// limits says limits by platform.
func (t teller) limits(limits map[string]int) template.HTML {
	var all []template.HTML
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		all = append(all, t.say("rulewords.limit", limits[name], clip(name)))
	}
	return t.list(all)
}

// texts says for which codes and languages there are texts.
func (t teller) texts(texts map[string]map[string]string) template.HTML {
	var all []template.HTML
	for _, code := range slices.Sorted(maps.Keys(texts)) {
		langs := clipAll(slices.Sorted(maps.Keys(texts[code])))
		all = append(all, t.say("rulewords.text.of", t.textCode(code), t.join(langs, "rulewords.comma")))
	}
	return t.list(all)
}

// textCode says when clients are told a text.
func (t teller) textCode(code string) template.HTML {
	if key := "rulewords.code." + code; t.words.has(key) {
		return t.say(key)
	}
	return clip(code)
}

func (t teller) matchers(all []client.Matcher) template.HTML {
	out := make([]template.HTML, len(all))
	for i, m := range all {
		out[i] = t.matcher(client.PlatformMatcher{Account: m.Account, Group: m.Group, DeviceID: m.DeviceID, CIDR: m.CIDR, Resource: m.Resource, Client: m.Client, Identity: m.Identity})
	}
	return t.join(out, "rulewords.or")
}

// matcher says which sessions a matcher fits.
func (t teller) matcher(m client.PlatformMatcher) template.HTML {
	var all []template.HTML
	for _, p := range []struct{ name, value string }{
		{"account", m.Account}, {"group", m.Group}, {"device_id", m.DeviceID}, {"cidr", m.CIDR}, {"resource", m.Resource}, {"client", m.Client}, {"identity", m.Identity},
	} {
		if p.value != "" {
			all = append(all, t.say("rulewords.match."+p.name, t.code(p.value)))
		}
	}
	if len(all) == 0 {
		return t.say("rulewords.match.nothing")
	}
	return t.list(all)
}

// code shows a pattern or a condition as it was typed.
func (teller) code(s string) template.HTML { return `<code>` + whole(s) + `</code>` }

// list joins words as the language does: "a, b and c".
func (t teller) list(all []template.HTML) template.HTML {
	if len(all) < 2 {
		return t.join(all, "")
	}
	last := len(all) - 1
	return t.join(all[:last], "rulewords.comma") + t.say("rulewords.and") + all[last]
}

func (t teller) join(all []template.HTML, between string) template.HTML {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString(string(t.say(between)))
		}
		b.WriteString(string(s))
	}
	return template.HTML(b.String()) //nolint:gosec // of HTML
}

// span says a time to the second: 1 h 30 min.
func (t teller) span(s client.Seconds) template.HTML {
	var texts []string
	for _, unit := range spanUnits {
		if n := s / unit.seconds; n > 0 {
			texts = append(texts, string(t.say("rulewords.span."+unit.name, int64(n))))
			s %= unit.seconds
		}
	}
	if len(texts) == 0 {
		return t.say("rulewords.span.s", 0)
	}
	return template.HTML(strings.Join(texts, " ")) //nolint:gosec // of HTML
}

// spanUnits are the units of times, the longest first.
var spanUnits = []struct {
	name    string
	seconds client.Seconds
}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}}

func clipAll(all []string) []template.HTML {
	out := make([]template.HTML, len(all))
	for i, s := range all {
		out[i] = clip(s)
	}
	return out
}
