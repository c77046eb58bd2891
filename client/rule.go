package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"time"
)

// OnExcess is who goes when a limit is reached.
type OnExcess string

// The values of OnExcess.
const (
	EvictOldest  OnExcess = "evict_oldest"
	EvictIdle    OnExcess = "evict_idle" // the one idle for longest
	DenyNewcomer OnExcess = "deny"       // the newcomer
	LetChoose    OnExcess = "choose"     // whom the newcomer's user chooses of those in the way
)

// SameResource is who goes when a login wants a resource that is taken (RFC 3920).
type SameResource string

// The values of SameResource.
const (
	SameResourceReplace SameResource = "replace"
	SameResourceDeny    SameResource = "deny"
)

// DenyCondition is the stanza error of a denial for a limit or a condition.
type DenyCondition string

// The values of DenyCondition. Many clients answer DenyConflict with a new resource at once.
const (
	DenyResourceConstraint DenyCondition = "resource-constraint"
	DenyConflict           DenyCondition = "conflict"
)

// Level is where a rule is set.
type Level string

// The levels. A field of an account's own rule goes before its group's, that before its domain's, that before the default.
const (
	LevelAccount Level = "account"
	LevelGroup   Level = "group"
	LevelDomain  Level = "domain"
	LevelDefault Level = "default"
)

// Rule is what is set at one level. A field that is left out is inherited. Fields of a newer bindgate that this client does not know are kept.
type Rule struct {
	MaxSessions         Optional[int]                `json:"max_sessions,omitzero"`                  // at once; null: no limit
	MaxPerPlatform      map[string]int               `json:"max_per_platform,omitzero"`              // platform or group → sessions at once; nil: left out
	Exclusive           [][]string                   `json:"exclusive,omitzero"`                     // at most one session on each set of platforms; nil: left out
	OnExcess            OnExcess                     `json:"on_excess,omitzero"`                     // "": left out
	SameResource        SameResource                 `json:"same_resource,omitzero"`                 // "": left out
	TakeoverCooldown    Optional[Seconds]            `json:"takeover_cooldown_seconds,omitzero"`     // how long a displaced device has to be silent
	TakeoverCooldownMax Optional[Seconds]            `json:"takeover_cooldown_max_seconds,omitzero"` // after which it gets in anyway; null: never
	GhostAfter          Optional[Seconds]            `json:"ghost_after_seconds,omitzero"`           // how long a session has to answer a probe
	HibernatingCounts   Optional[bool]               `json:"hibernating_counts,omitzero"`            // a hibernating session holds its place
	RequireGrant        Optional[bool]               `json:"require_grant,omitzero"`                 // a new device needs a grant
	Exempt              []Matcher                    `json:"exempt,omitzero"`                        // neither counted nor evicted; nil: left out
	Condition           Optional[string]             `json:"condition,omitzero"`                     // CEL that a login has to meet; null: none
	MaxSessionAge       Optional[Seconds]            `json:"max_session_age_seconds,omitzero"`       // null: none
	MaxIdle             Optional[Seconds]            `json:"max_idle_seconds,omitzero"`              // null: none
	Text                map[string]map[string]string `json:"text,omitzero"`                          // code → language → text; nil: left out
	DenyCondition       DenyCondition                `json:"deny_condition,omitzero"`                // "": left out
	NotifyDevices       Optional[bool]               `json:"notify_devices,omitzero"`                // the account's other devices are told of a new login
	Enforce             Optional[bool]               `json:"enforce,omitzero"`                       // false: decide and record, let everyone in

	more unknown
}

type plainRule Rule

// MarshalJSON implements json.Marshaler.
func (r Rule) MarshalJSON() ([]byte, error) { return encodeKeeping(plainRule(r), r.more) }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Rule) UnmarshalJSON(b []byte) error {
	var p plainRule
	more, err := decodeKeeping(b, &p)
	if err != nil {
		return err
	}
	*r = Rule(p)
	r.more = more
	return nil
}

// Matcher fits if all of its fields do. Texts are globs: "*" for any characters, "?" for one.
type Matcher struct {
	Account           string `json:"account,omitzero"`
	Group             string `json:"group,omitzero"`
	DeviceID          string `json:"device_id,omitzero"` // of a registered device
	CIDR              string `json:"cidr,omitzero"`
	Resource          string `json:"resource,omitzero"` // in Rule.Exempt: with TrustClientClaims only
	Client            string `json:"client,omitzero"`   // likewise
	Identity          string `json:"identity,omitzero"` // likewise: category and type of its disco identity (XEP-0030), such as "client/pc"
	TrustClientClaims bool   `json:"trust_client_claims,omitzero"`

	more unknown
}

type plainMatcher Matcher

// MarshalJSON implements json.Marshaler.
func (m Matcher) MarshalJSON() ([]byte, error) { return encodeKeeping(plainMatcher(m), m.more) }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Matcher) UnmarshalJSON(b []byte) error {
	var p plainMatcher
	more, err := decodeKeeping(b, &p)
	if err != nil {
		return err
	}
	*m = Matcher(p)
	m.more = more
	return nil
}

// StoredRule is a rule as it is kept.
type StoredRule struct {
	Rule      Rule
	ETag      string    // for RuleOptions.IfMatch
	ExpiresAt time.Time // of an account's own; zero: never
	Warnings  []string  // after a change: what was accepted and is probably not meant
	KickID    string    // after a change with ApplyNow: the kick that brings live sessions within the rule, for WaitBulkKick
}

func (s *StoredRule) decode(body json.RawMessage, h http.Header) error {
	if err := json.Unmarshal(body, &s.Rule); err != nil {
		return err
	}
	var beside struct {
		ExpiresAt time.Time `json:"expires_at"`
		Warnings  []string  `json:"warnings"`
	}
	if err := json.Unmarshal(body, &beside); err != nil {
		return err
	}
	delete(s.Rule.more, "expires_at")
	delete(s.Rule.more, "warnings")
	s.ETag, s.ExpiresAt, s.Warnings, s.KickID = h.Get("ETag"), beside.ExpiresAt, beside.Warnings, kickOf(h)
	return nil
}

// kickOf reads the id of the kick that a change has started.
func kickOf(h http.Header) string {
	_, id, _ := strings.Cut(h.Get("Location"), "/v1/kicks/")
	return id
}

// Apply is when a changed rule holds for sessions that live now.
type Apply string

// The values of Apply.
const (
	ApplyNextLogin Apply = "next_login" // not before the account's next login; the same as ""
	ApplyNow       Apply = "now"        // those that are too many go, at a bounded rate
)

// RuleOptions go with the change of a rule.
type RuleOptions struct {
	Apply       Apply
	IfMatch     string // change it only if its ETag is this one, or with "*" if there is one; ErrPreconditionFailed else
	IfNoneMatch string // "*": change it only if there is none yet
}

func (o RuleOptions) request(method string) request {
	r := request{method: method, query: query("apply", string(o.Apply)), header: http.Header{}, changes: true}
	if o.IfMatch != "" {
		r.header.Set("If-Match", o.IfMatch)
	}
	if o.IfNoneMatch != "" {
		r.header.Set("If-None-Match", o.IfNoneMatch)
	}
	return r
}

func (c *Client) rule(ctx context.Context, r request, format string, elements ...string) (*StoredRule, error) {
	body, h, err := send[json.RawMessage](ctx, c, r, format, elements...)
	if err != nil {
		return nil, err
	}
	s := &StoredRule{}
	if err := s.decode(*body, h); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Client) getRule(ctx context.Context, format string, elements ...string) (*StoredRule, error) {
	return c.rule(ctx, request{method: http.MethodGet}, format, elements...)
}

func (c *Client) putRule(ctx context.Context, rule any, o RuleOptions, format string, elements ...string) (*StoredRule, error) {
	r := o.request(http.MethodPut)
	r.body = rule
	return c.rule(ctx, r, format, elements...)
}

func (c *Client) deleteRule(ctx context.Context, o RuleOptions, format string, elements ...string) (kickID string, err error) {
	h, err := c.tell(ctx, o.request(http.MethodDelete), format, elements...)
	return kickOf(h), err
}

// EffectiveRule is what holds for an account.
type EffectiveRule struct {
	Rule   Rule             `json:"rule"`   // every field is set, or null
	Origin map[string]Level `json:"origin"` // of each field, by its name in JSON
}

// GetEffectiveRule returns what holds for an account, also for one that has not logged in yet.
func (c *Client) GetEffectiveRule(ctx context.Context, jid string) (*EffectiveRule, error) {
	return get[EffectiveRule](ctx, c, "/v1/accounts/%s/rule/effective", jid)
}

// ListedRule is a rule in the list of all.
type ListedRule struct {
	Level     Level     `json:"level"`
	Subject   string    `json:"subject"` // the bare JID, the group or the domain; "" of the default
	Rule      Rule      `json:"rule"`
	ETag      string    `json:"etag"`
	ExpiresAt time.Time `json:"expires_at"` // zero: never
	UpdatedAt time.Time `json:"updated_at"` // zero: never
	UpdatedBy string    `json:"updated_by"` // subject of the token
}

// RuleFilter says which rules are listed; its zero value: all.
type RuleFilter struct {
	Level  Level
	Search string // text in the subject, in capitals or not
	ListOptions
}

// ListRules lists rules, by level and subject.
func (c *Client) ListRules(ctx context.Context, f RuleFilter) iter.Seq2[ListedRule, error] {
	return list[ListedRule](ctx, c, f.ListOptions, query("level", string(f.Level), "q", f.Search), "/v1/rules")
}

// PreviewRequest is a rule that might be put somewhere.
type PreviewRequest struct {
	Level   Level  `json:"level"`
	Subject string `json:"subject,omitempty"` // the domain, group or account; "" for the default
	Rule    *Rule  `json:"rule"`              // nil: what would be if it were unset
}

// Preview is what a rule would come to for the sessions that live now.
type Preview struct {
	Accounts   int64           `json:"accounts"`   // over a limit
	Sessions   int64           `json:"sessions"`   // that would go with ApplyNow
	Considered int64           `json:"considered"` // accounts that were looked at
	Complete   bool            `json:"complete"`   // all were looked at in time
	Example    *PreviewExample `json:"example"`    // nil: there is none
}

// PreviewExample is one of the accounts over a limit.
type PreviewExample struct {
	Account     string    `json:"account"`
	Sessions    []Session `json:"sessions"` // who would go
	Explanation []string  `json:"explanation"`
}

// PreviewRule says what a rule would come to for the sessions that live now. Nothing is changed.
func (c *Client) PreviewRule(ctx context.Context, p PreviewRequest) (*Preview, error) {
	v, _, err := send[Preview](ctx, c, request{method: http.MethodPost, body: p}, "/v1/rules/preview")
	return v, err
}
