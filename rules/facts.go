package rules

import "time"

// Identity says how surely a device is known.
type Identity string

// How surely a device is known.
const (
	Certain         Identity = "certain"  // by a SASL2 user-agent id (XEP-0388) or a registration
	Probable        Identity = "probable" // by the resource its client chose before
	UnknownIdentity Identity = "unknown"
)

// State is what a live session is doing. One that has to go is not live and is not among the facts.
type State string

// The states of live sessions.
const (
	Binding     State = "binding"
	Active      State = "active"
	Hibernating State = "hibernating" // XEP-0198: no connection, may resume
)

// Verdict is what a probe found out about a session in the round before.
type Verdict string

// The verdicts of a probe.
const (
	Unprobed Verdict = ""
	Alive    Verdict = "alive"
	Silent   Verdict = "silent" // does not answer, or is gone
)

// Session is a live session of the account, the newcomer's own not among them.
type Session struct {
	Generation int64
	Resource   string
	Device     int64 // 0: unknown
	DeviceName string
	Identity   Identity
	Platform   string
	State      State
	StartedAt  time.Time
	LastSeenAt time.Time
	Verdict    Verdict
}

// Newcomer is the login to be judged.
type Newcomer struct {
	Resource string
	Device   int64 // 0: unknown
	Identity Identity
	Platform string
	Blocked  bool // its device is: it is denied before anything else
}

// Facts is all that a decision rests on.
type Facts struct {
	Account  string // bare JID
	Newcomer Newcomer
	Sessions []Session
	Rule     Effective
}

// Outcome of a decision.
type Outcome string

// The outcomes. Need asks for a probe of the sessions in Decision.Probe; then decide again.
const (
	Allow  Outcome = "allow"
	Denied Outcome = "deny"
	Need   Outcome = "need"
)

// Code says in one word why.
type Code string

// The codes of decisions that this package makes.
const (
	CodeOK           Code = "ok"
	CodeTakeover     Code = "takeover"
	CodeOwnReconnect Code = "own_reconnect"
	CodeLimit        Code = "limit"
	CodeSameResource Code = "same_resource"
	CodeBlocked      Code = "blocked"
)

// Decision is the answer.
type Decision struct {
	Outcome Outcome
	Code    Code
	Evict   []int64 // generations of those who go, ascending; empty under Shadow and for a denial
	Probe   []int64 // for Need: generations, ascending
	// Level is where the field that made the decision was set; LevelDefault for an allow that no field made.
	Level Level
	// Condition is the stanza error of a denial (RFC 6120 §8.3.3): conflict, resource-constraint, or not-allowed for a blocked device.
	Condition   string
	Explanation []string // steps in words, at least one
	Shadow      bool     // the rule is not enforced: recorded, not carried out
}
