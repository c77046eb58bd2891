// Package rules decides who may be logged in. It is pure: what it needs is in its arguments, what it finds is in its results.
// No context, log, clock, database, XML or HTTP comes in here.
package rules

import (
	"bytes"
	"encoding/json"
)

// Level is where a field of a rule was set.
type Level string

// The levels, strongest first.
const (
	LevelAccount Level = "account"
	LevelGroup   Level = "group"
	LevelDomain  Level = "domain"
	LevelDefault Level = "default"
)

// Field is one field of a rule: unset, so that the next level speaks, or set, possibly to "no limit" (a nil pointer, null in JSON).
type Field[T any] struct {
	Set   bool
	Value T
}

// Of returns a field that is set to v.
func Of[T any](v T) Field[T] { return Field[T]{Set: true, Value: v} }

// IsZero reports whether the field is unset; it makes the json tag omitzero leave it out.
func (f Field[T]) IsZero() bool { return !f.Set }

// MarshalJSON writes the value alone, without HTML's escapes: a condition is to be read as it was written. Whoever encodes the whole decides of it too.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(f.Value)
	return b.Bytes(), err
}

// UnmarshalJSON reads the value and marks the field as set.
func (f *Field[T]) UnmarshalJSON(b []byte) error {
	f.Set = true
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(&f.Value)
}

// OnExcess says who goes when a login would exceed a limit.
type OnExcess string

// Who goes when a limit is reached.
const (
	EvictOldest OnExcess = "evict_oldest" // the lowest generation
	EvictIdle   OnExcess = "evict_idle"   // the longest idle
	Deny        OnExcess = "deny"         // the newcomer
	Choose      OnExcess = "choose"       // the newcomer, unless it brings a token for one that is to go
)

// SameResource says who goes when a login wants a resource that is in use (RFC 3920 §7, RFC 6120 §7.7.2.2).
type SameResource string

// Who goes when a resource is taken.
const (
	Replace          SameResource = "replace" // the session that has it
	DenySameResource SameResource = "deny"    // the newcomer
)

// Rule is what an operator sets at one level. Unset fields are inherited.
type Rule struct {
	MaxSessions                Field[*int]                         `json:"max_sessions,omitzero"`
	MaxPerPlatform             Field[map[string]int]               `json:"max_per_platform,omitzero"`
	Exclusive                  Field[[][]string]                   `json:"exclusive,omitzero"` // sets of platforms
	OnExcess                   Field[OnExcess]                     `json:"on_excess,omitzero"`
	SameResource               Field[SameResource]                 `json:"same_resource,omitzero"`
	TakeoverCooldownSeconds    Field[int]                          `json:"takeover_cooldown_seconds,omitzero"`
	TakeoverCooldownMaxSeconds Field[*int]                         `json:"takeover_cooldown_max_seconds,omitzero"`
	GhostAfterSeconds          Field[int]                          `json:"ghost_after_seconds,omitzero"`
	HibernatingCounts          Field[bool]                         `json:"hibernating_counts,omitzero"`
	RequireGrant               Field[bool]                         `json:"require_grant,omitzero"`
	Exempt                     Field[Matchers]                     `json:"exempt,omitzero"`
	Condition                  Field[*string]                      `json:"condition,omitzero"` // CEL
	MaxSessionAgeSeconds       Field[*int]                         `json:"max_session_age_seconds,omitzero"`
	MaxIdleSeconds             Field[*int]                         `json:"max_idle_seconds,omitzero"`
	Text                       Field[map[string]map[string]string] `json:"text,omitzero"` // code → language → text
	DenyCondition              Field[string]                       `json:"deny_condition,omitzero"`
	NotifyDevices              Field[bool]                         `json:"notify_devices,omitzero"`
	Enforce                    Field[bool]                         `json:"enforce,omitzero"`
}

// Kept reads a rule that was once accepted by Parse, perhaps by a newer version: what this one does not know is left alone.
func Kept(data []byte) (Rule, error) {
	var r Rule
	if err := json.Unmarshal(data, &r); err != nil {
		return Rule{}, err
	}
	return r, nil
}

// Effective is the rule of one account with every field known, and the level each came from.
type Effective struct {
	MaxSessions                *int                         `json:"max_sessions"`
	MaxPerPlatform             map[string]int               `json:"max_per_platform"`
	Exclusive                  [][]string                   `json:"exclusive"`
	OnExcess                   OnExcess                     `json:"on_excess"`
	SameResource               SameResource                 `json:"same_resource"`
	TakeoverCooldownSeconds    int                          `json:"takeover_cooldown_seconds"`
	TakeoverCooldownMaxSeconds *int                         `json:"takeover_cooldown_max_seconds"`
	GhostAfterSeconds          int                          `json:"ghost_after_seconds"`
	HibernatingCounts          bool                         `json:"hibernating_counts"`
	RequireGrant               bool                         `json:"require_grant"`
	Exempt                     Matchers                     `json:"exempt"`
	Condition                  *string                      `json:"condition"`
	MaxSessionAgeSeconds       *int                         `json:"max_session_age_seconds"`
	MaxIdleSeconds             *int                         `json:"max_idle_seconds"`
	Text                       map[string]map[string]string `json:"text"`
	DenyCondition              string                       `json:"deny_condition"`
	NotifyDevices              bool                         `json:"notify_devices"`
	Enforce                    bool                         `json:"enforce"`

	// Origin maps each field's JSON name to the level that set it; LevelDefault also when nobody did.
	Origin map[string]Level `json:"-"`
}
