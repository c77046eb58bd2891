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
	Asleep   Verdict = "asleep" // hibernates by now
	// Unasked: it could not be probed, for want of time or because the server could not. It counts as alive, but keeps nobody out as the rival of who may be
	// its own client coming back.
	Unasked Verdict = "unasked"
)

// Session is a live session of the account, the newcomer's own not among them.
type Session struct {
	Generation int64
	Party      Party
	Resource   string
	Device     int64 // 0: unknown
	DeviceName string
	DeviceID   string // the device's public id; only needed for a rule with exempt
	Registered bool   // the device was registered by the app backend
	Identity   Identity
	Platform   string
	IP         string
	Client     string // software, as it says itself
	State      State
	StartedAt  time.Time
	LastSeenAt time.Time
	PausedAt   time.Time // when it began to hibernate; zero: it does not, or nobody knows
	Verdict    Verdict
}

// Newcomer is the login to be judged.
type Newcomer struct {
	Party      Party
	Resource   string
	Device     int64  // 0: unknown
	DeviceID   string // public id; "": unknown
	Registered bool   // the device was registered by the app backend
	Identity   Identity
	Platform   string
	IP         string
	Secure     bool   // encrypted
	Client     string // software, as it says itself
	Blocked    bool   // its device is: it is denied before anything else
	Known      bool   // its device was admitted before, or is registered
	Cloned     bool   // several clients show its device's id: it is as good as unknown
	Grant      bool   // the app backend lets this login take over
	Chosen     int64  // generation of the session that its user chose to end, by a takeover token; 0: none
	Token      string // what is wrong with the token that it brought; "": nothing, or it brought none
}

// Facts is all that a decision rests on.
type Facts struct {
	Account  string // bare JID
	Newcomer Newcomer
	Sessions []Session
	Rule     Effective
	Groups   map[string][]string // platform groups: name → platforms
	Group    string              // of the account; "": none
	// Displaced is what is known of the displacement of the newcomer's party; nil: nothing.
	Displaced *Displacement
	// WaitUntil is until when a kick makes the newcomer's party wait; zero: none does.
	WaitUntil time.Time
	// Condition is Rule.Condition, compiled; nil: Decide compiles it, which takes a hundred times as long as to run it.
	Condition *Condition
	// Braked says that the server's link is not to carry out any rule now: the decision is recorded only.
	Braked bool
}

// shadow reports whether a decision by these facts is recorded only.
func (f *Facts) shadow() bool { return f.Braked || !f.Rule.Enforce }

// subject is one of the account's sessions, or the newcomer, for the matchers of exempt: a device counts there if it is registered.
func (f *Facts) subject(resource, client, ip, deviceID string, registered bool) Subject {
	s := Subject{Account: f.Account, Group: f.Group, Resource: resource, Client: client, IP: ip}
	if registered {
		s.DeviceID = deviceID
	}
	return s
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
	CodeOK            Code = "ok"
	CodeTakeover      Code = "takeover"
	CodeOwnReconnect  Code = "own_reconnect"
	CodeLimit         Code = "limit"
	CodeSameResource  Code = "same_resource"
	CodeCooldown      Code = "cooldown"
	CodeFrozen        Code = "frozen"
	CodeGrantRequired Code = "grant_required"
	CodeCondition     Code = "condition"
	CodeBlocked       Code = "blocked"
	CodeChoose        Code = "choose"
)

// Decision is the answer.
type Decision struct {
	Outcome Outcome
	Code    Code
	Evict   []int64 // generations of those who go, ascending; empty under Shadow and for a denial by Decide
	Probe   []int64 // for Need: generations, ascending
	// Displaced are those of Evict whose clients may live: they will want to come back. Replaced are those of the newcomer's own device.
	Displaced, Replaced []int64
	InTheWay            []int64 // for a denial: generations of those who keep the newcomer out, ascending
	RetryAfter          time.Duration
	Cloned              bool // the newcomer's id was found out to be shown by several clients
	// Field is the JSON name of the rule's field that made the decision, "" if none did; Level is where it was set.
	Field string
	Level Level
	// Condition is the stanza error of a denial (RFC 6120 §8.3.3): conflict, resource-constraint, or not-allowed for a blocked device.
	Condition   string
	Explanation []string // steps in words, at least one
	Shadow      bool     // the rule is not enforced, or the facts are braked: recorded, not carried out
}
