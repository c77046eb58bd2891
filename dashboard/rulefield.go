package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

// fieldKind is how a field of a rule is said and typed.
type fieldKind string

const (
	kindCount     fieldKind = "count"    // a whole number
	kindSpan      fieldKind = "span"     // a whole number of seconds
	kindChoice    fieldKind = "choice"   // one of a few values
	kindLimits    fieldKind = "limits"   // platform → number
	kindSets      fieldKind = "sets"     // sets of platforms
	kindMatchers  fieldKind = "matchers" // matchers of sessions
	kindCondition fieldKind = "condition"
	kindTexts     fieldKind = "texts" // code → language → text
)

// ruleField is one field of a rule.
type ruleField struct {
	Name    string // in JSON, and of its input in forms
	Kind    fieldKind
	Part    string   // which part of the form it stands in
	Choices []string // of kindChoice: its values in JSON, the shipped one first
	None    bool     // it can be null: no limit, no condition
}

// The parts of the form, in their order.
const (
	partLimits     = "limits"
	partProtection = "protection"
	partEntry      = "entry"
	partLife       = "life"
	partWords      = "words"
	partEnforce    = "enforce"
)

func ruleParts() []string {
	return []string{partLimits, partProtection, partEntry, partLife, partWords, partEnforce}
}

// ruleFieldTable has every field of a rule in the order in which they are told; a test holds it to rules.Rule.
var ruleFieldTable = []ruleField{
	{Name: "max_sessions", Kind: kindCount, Part: partLimits, None: true},
	{Name: "max_per_platform", Kind: kindLimits, Part: partLimits},
	{Name: "exclusive", Kind: kindSets, Part: partLimits},
	{Name: "on_excess", Kind: kindChoice, Part: partLimits, Choices: []string{`"evict_oldest"`, `"evict_idle"`, `"deny"`, `"choose"`}},
	{Name: "same_resource", Kind: kindChoice, Part: partLimits, Choices: []string{`"replace"`, `"deny"`}},
	{Name: "exempt", Kind: kindMatchers, Part: partLimits},
	{Name: "takeover_cooldown_seconds", Kind: kindSpan, Part: partProtection},
	{Name: "takeover_cooldown_max_seconds", Kind: kindSpan, Part: partProtection, None: true},
	{Name: "ghost_after_seconds", Kind: kindCount, Part: partProtection},
	{Name: "hibernating_counts", Kind: kindChoice, Part: partProtection, Choices: []string{`false`, `true`}},
	{Name: "require_grant", Kind: kindChoice, Part: partEntry, Choices: []string{`false`, `true`}},
	{Name: "condition", Kind: kindCondition, Part: partEntry, None: true},
	{Name: "max_session_age_seconds", Kind: kindSpan, Part: partLife, None: true},
	{Name: "max_idle_seconds", Kind: kindSpan, Part: partLife, None: true},
	{Name: "notify_devices", Kind: kindChoice, Part: partWords, Choices: []string{`false`, `true`}},
	{Name: "deny_condition", Kind: kindChoice, Part: partWords, Choices: []string{`"resource-constraint"`, `"conflict"`}},
	{Name: "text", Kind: kindTexts, Part: partWords},
	{Name: "enforce", Kind: kindChoice, Part: partEnforce, Choices: []string{`true`, `false`}},
}

func fieldNamed(name string) (ruleField, bool) {
	i := slices.IndexFunc(ruleFieldTable, func(f ruleField) bool { return f.Name == name })
	if i < 0 {
		return ruleField{}, false
	}
	return ruleFieldTable[i], true
}

// ruleDoc is a rule field by field as in JSON: what is not there is inherited.
type ruleDoc map[string]json.RawMessage

// docOf takes a rule apart. Only what came from outside of bindgate could fail to encode, and a rule came from its API.
func docOf(r client.Rule) (ruleDoc, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the rule: %w", err)
	}
	doc := ruleDoc{}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("take the rule apart: %w", err)
	}
	return doc, nil
}

func (d ruleDoc) rule() (client.Rule, error) {
	var r client.Rule
	b, err := json.Marshal(d)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("put the rule together: %w", err)
	}
	return r, nil
}

// levelRule is the rule of one level, on the way to an effective one.
type levelRule struct {
	level client.Level
	rule  client.Rule
}

// mergeRules makes the effective rule out of the levels' own, the strongest first, and what bindgate ships under them.
func mergeRules(levels ...levelRule) (client.EffectiveRule, error) {
	e := client.EffectiveRule{Origin: map[string]client.Level{}}
	b, err := json.Marshal(rules.Merge())
	if err != nil {
		return e, fmt.Errorf("encode the shipped rule: %w", err)
	}
	all := ruleDoc{}
	if err := json.Unmarshal(b, &all); err != nil {
		return e, fmt.Errorf("read the shipped rule: %w", err)
	}
	for name := range all {
		e.Origin[name] = client.LevelDefault
	}
	for _, l := range slices.Backward(levels) {
		doc, err := docOf(l.rule)
		if err != nil {
			return e, err
		}
		maps.Copy(all, doc)
		for name := range doc {
			e.Origin[name] = l.level
		}
	}
	e.Rule, err = all.rule()
	return e, err
}
