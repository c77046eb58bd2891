package dashboard

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/bindgate/bindgate/client"
)

// preset is a common rule under a name. It sets what a limit is made of and leaves all other fields alone, so that it means the same on every level.
type preset struct {
	Name string // in forms and in keys of texts
	N    int    // how many it is about, to be changed; 0: it is about no number
	set  func(n int) ruleDoc
}

// presets are all of them, the most wanted first.
func presets() []preset {
	return []preset{
		{"one_device", 0, func(int) ruleDoc { return limitsDoc(1, nil, client.EvictOldest) }},
		{"phone_and_computer", 1, func(n int) ruleDoc {
			return limitsDoc(0, map[string]int{"mobile": 1, "desktop": 1, "web": n}, client.EvictOldest)
		}},
		{"n_devices", 3, func(n int) ruleDoc { return limitsDoc(n, nil, client.EvictOldest) }},
		{"n_per_platform", 1, func(n int) ruleDoc {
			return limitsDoc(0, map[string]int{"android": n, "ios": n, "web": n, "desktop": n}, client.EvictOldest)
		}},
		{"oldest_wins", 1, func(n int) ruleDoc { return limitsDoc(n, nil, client.DenyNewcomer) }},
		{"ask_user", 1, func(n int) ruleDoc { return limitsDoc(n, nil, client.LetChoose) }},
		{"unlimited", 0, func(int) ruleDoc { return limitsDoc(0, nil, client.EvictOldest) }},
		{"observe", 0, func(int) ruleDoc { return ruleDoc{"enforce": json.RawMessage(`false`)} }},
	}
}

// limitsDoc has all fields that make a limit; no number of sessions is no limit.
func limitsDoc(sessions int, perPlatform map[string]int, excess client.OnExcess) ruleDoc {
	doc := ruleDoc{"max_sessions": json.RawMessage(`null`), "max_per_platform": json.RawMessage(`{}`), "exclusive": json.RawMessage(`[]`)}
	if sessions > 0 {
		doc["max_sessions"] = strconv.AppendInt(nil, int64(sessions), 10)
	}
	if len(perPlatform) > 0 {
		doc["max_per_platform"], _ = json.Marshal(perPlatform) // texts and numbers always encode
	}
	doc["on_excess"] = strconv.AppendQuote(nil, string(excess))
	return doc
}

func presetNamed(name string) (preset, bool) {
	all := presets()
	i := slices.IndexFunc(all, func(p preset) bool { return p.Name == name })
	if i < 0 {
		return preset{}, false
	}
	return all[i], true
}

// mostOfPreset bounds a preset's number, as the API bounds a limit.
const mostOfPreset = 1_000_000

// number reads how many a preset is to be about; what is no such number is none.
func (p preset) number(text string) (int, bool) {
	if p.N == 0 {
		return 0, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && 1 <= n && n <= mostOfPreset
}

// over puts the preset over a rule.
func (p preset) over(r client.Rule, n int) (client.Rule, error) {
	doc, err := docOf(r)
	if err != nil {
		return r, err
	}
	for name, value := range p.set(n) {
		doc[name] = value
	}
	r, err = doc.rule()
	if err != nil {
		return r, fmt.Errorf("preset %s: %w", p.Name, err)
	}
	return r, nil
}

// text is what the preset sets, as text.
func (p preset) text(n int) string {
	b, _ := json.Marshal(p.set(n)) // texts always encode
	return string(b)
}

// matches reports whether a rule that applies is what the preset makes, and with which number.
func (p preset) matches(effective client.Rule) (n int, ok bool) {
	doc, err := docOf(effective)
	if err != nil {
		return 0, false
	}
	n = p.N
	if p.N > 0 {
		if max, ok := effective.MaxSessions.Get(); ok {
			n = max
		} else if web, ok := effective.MaxPerPlatform["web"]; ok {
			n = web
		}
	}
	for name, value := range p.set(n) {
		if string(doc[name]) != string(value) {
			return 0, false
		}
	}
	return n, true
}
