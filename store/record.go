package store

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/bindgate/bindgate/rules"
)

// Account is an account's own row.
type Account struct {
	Key        Key
	JID        string // bare, as the server has it
	Domain     string
	Generation int64
	Revision   int64
	Lang       string // of texts, BCP 47; "": none
	DomainLang string // its domain's
	Group      string // "": none
}

// Langs are the wishes for the language of a text to one of the account's clients, the strongest first; any may be empty.
func (a Account) Langs(stream string) []string { return []string{stream, a.Lang, a.DomainLang} }

// Session is a live session.
type Session struct {
	SID          string
	Generation   int64
	Link         string
	Resource     string
	State        rules.State
	Device       int64 // 0: unknown
	Identity     rules.Identity
	Platform     string
	IP           string
	Secure       bool
	Chosen       bool   // its client named the resource
	Transport    string // of a new one; not loaded
	ClientID     string // likewise
	Client       string
	Lang         string
	AskID        string
	DecidedAt    time.Time // zero: not judged yet
	BindDeadline time.Time // zero: none
	Epoch        string    // of the last event that spoke of it
	Seq          int64
	StartedAt    time.Time
	LastSeenAt   time.Time
	PausedAt     time.Time // since when it hibernates; zero: it does not, or nobody knows

	Eviction *Eviction // not nil: it has to go

	isNew, dirty, withdrawn bool
}

// Eviction says that a session has to go, and why.
type Eviction struct {
	Code         string // takeover, kick, rule, expired, blocked
	Winner       int64  // generation it goes for; 0: nobody's
	Own          bool   // the winner is the same device
	Device       string // what its client is told of the winner
	Platform     string
	Kick         int64             // 0: none asked for it
	Text         map[string]string // language → text; nil: the rule's
	RequestedAt  time.Time
	NextAt       time.Time // zero: it rides in the winner's answer until that bind is seen
	Attempts     int
	StillPresent bool

	dirty bool
}

// Device is an installation of a client.
type Device struct {
	ID          int64
	Identity    rules.Identity
	UserAgentID string
	Resource    string
	Name        string
	Platform    string // set by a registration; else found by the matchers
	Client      string
	Registered  bool
	Blocked     bool
	Cloned      bool      // several clients show its id
	FirstSeenAt time.Time // of a login; zero: it was registered and never seen
	LastSeenAt  time.Time

	dirty, managed, forgotten bool
}

// Decision is a kept answer.
type Decision struct {
	At          time.Time
	AskID       string
	Resource    string
	Device      int64
	Platform    string
	Generation  int64 // of the admitted session; 0: none
	Outcome     string
	Code        string
	Evicted     []int64
	RuleField   string // "": none made it
	RuleLevel   string
	Explanation []string
	Condition   string
	RetryAfter  time.Duration
	Shadow      bool
	Repeats     int // how often the same was said again; not 0: At is that of the first, whose row this changes
}

// Event is something that others are told.
type Event struct {
	Type    string
	Account string // bare JID; empty: of no account
	At      time.Time
	Data    json.RawMessage // an object
}

// Record is what the store knows of one account, loaded under its row lock. Its methods note changes that are written when the
// transaction ends; nothing is written before.
type Record struct {
	Account
	Now       time.Time // the database's clock, after the lock
	Sessions  []*Session
	Levels    []rules.LevelRule // strongest first
	Platforms rules.Platforms   // for reading only
	Erasure   int64             // that is to happen as soon as no session lives; 0: none
	LinkMode  string            // that the link of the batch's fence has to be in; Enforcing without one
	Answered  *Decision         // the decision that Want.AskID already got, or nil
	Ended     map[string]string // of Want.SIDs: those whose end is on record, with its reason
	Standing  Standing          // who changes it says StandingChanged

	// Spoiled says that the kept standing could not be read: Standing is empty in its place.
	Spoiled bool

	lastAsk   string
	devices   map[int64]*Device
	created   bool // the account's row is of this transaction
	changed   bool // revision grew
	asked     bool // lastAsk is new
	discarded bool
	history   []ended
	decisions []*Decision
	events    []Event
	kicks     []Kick
	standing  []byte // as it was loaded; nil: none
	restood   bool   // Standing changed
	unseen    []*Session
	opened    []Loop // a party is in one of the two at most
	closed    []Loop

	revocations []Revocation
	settled     []settled
	disowned    []disowned

	audit []audited
	made  []made

	counts []Count
}

type ended struct {
	*Session
	at     time.Time
	reason string
}

// Kick is a request to end sessions, kept for the audit.
type Kick struct {
	ID          int64
	RequestedBy string
	Selector    json.RawMessage
	Reason      string
	SIDs        []string
}

// Discard drops every noted change: the transaction writes nothing for this account.
func (r *Record) Discard() { r.discarded = true }

// Live returns the session with the sid, or nil.
func (r *Record) Live(sid string) *Session {
	for _, s := range r.Sessions {
		if s.SID == sid {
			return s
		}
	}
	return nil
}

// ByGeneration returns the live session with the generation, or nil.
func (r *Record) ByGeneration(g int64) *Session {
	for _, s := range r.Sessions {
		if s.Generation == g {
			return s
		}
	}
	return nil
}

// Device returns a device that Want named or that is registered, or nil if there is no such row.
func (r *Record) Device(id int64) *Device { return r.devices[id] }

// Cloned returns those of the loaded devices whose ids several clients show, by id.
func (r *Record) Cloned() (out []*Device) {
	for _, d := range r.devices {
		if d.Cloned {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(x, y *Device) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// Unsee forgets the device of a session that was never bound, if nothing else is known of the device: it is as new as before. The device need not be loaded.
func (r *Record) Unsee(s *Session) {
	if s.Device != 0 {
		r.unseen = append(r.unseen, s)
	}
}

// Touch notes that the account changed.
func (r *Record) Touch() {
	if !r.changed {
		r.changed = true
		r.Revision++
	}
}

// Admit adds a session and gives it the account's next generation.
func (r *Record) Admit(s *Session) {
	r.Generation++
	s.Generation = r.Generation
	s.isNew = true
	r.Sessions = append(r.Sessions, s)
	r.Touch()
}

// Changed notes that a live session's resource, state, device, platform, software, address, times or last event changed. It does not grow the revision: Touch does.
func (r *Record) Changed(s *Session) { s.dirty = true }

// End moves a session to history, as it is on record, with what its eviction says. One that was added in this transaction leaves no trace.
func (r *Record) End(s *Session, reason string) {
	for i, o := range r.Sessions {
		if o == s {
			r.Sessions = append(r.Sessions[:i:i], r.Sessions[i+1:]...)
			break
		}
	}
	r.history = append(r.history, ended{s, r.Now, reason})
	r.Touch()
}

// Evict notes that a session has to go.
func (r *Record) Evict(s *Session, e Eviction) {
	r.disown(s)
	if e.Own {
		r.Count(CountEviction, "own_reconnect")
	} else {
		r.Count(CountEviction, e.Code)
	}
	e.RequestedAt = r.Now
	e.dirty = true
	s.Eviction = &e
	r.Touch()
}

// EvictionChanged notes that a field of the session's eviction changed.
func (r *Record) EvictionChanged(s *Session) { s.Eviction.dirty = true }

// Withdraw takes an eviction back: the session stands again.
func (r *Record) Withdraw(s *Session) {
	r.disown(s)
	s.Eviction = nil
	s.withdrawn = true
	r.Touch()
}

// SaveDevice notes that a device was seen. What operators say of it (its name, platform, registration and block) is written only if it is new,
// so the row need not have been loaded.
func (r *Record) SaveDevice(d *Device) {
	d.dirty = true
	r.hold(d)
}

// ManageDevice notes all of a device, with what operators say of it; its row, if there is one, was loaded.
func (r *Record) ManageDevice(d *Device) {
	d.managed = true
	r.hold(d)
	r.Touch()
}

// ForgetDevice notes that a device's row goes. Its sessions stay as they are.
func (r *Record) ForgetDevice(d *Device) {
	d.forgotten = true
	r.hold(d)
	r.Touch()
}

func (r *Record) hold(d *Device) {
	if r.devices == nil {
		r.devices = map[int64]*Device{}
	}
	r.devices[d.ID] = d
}

// StandingChanged notes that Standing changed. It does not grow the revision: Touch does.
func (r *Record) StandingChanged() { r.restood = true }

// OpenLoop puts a loop on the list of those that are open, in place of what the list has of its party.
func (r *Record) OpenLoop(l Loop) {
	r.unlist(l)
	r.opened = append(r.opened, l)
}

// CloseLoop takes a loop off the list.
func (r *Record) CloseLoop(l Loop) {
	r.unlist(l)
	r.closed = append(r.closed, l)
}

func (r *Record) unlist(l Loop) {
	of := func(x Loop) bool { return x.Party == l.Party }
	r.opened, r.closed = slices.DeleteFunc(r.opened, of), slices.DeleteFunc(r.closed, of)
}

// Decide keeps a decision, or counts one that is a repeat. At most one a transaction: its time is its key.
func (r *Record) Decide(d *Decision) {
	if d.Repeats == 0 {
		d.At = r.Now
	}
	if d.AskID != "" {
		r.lastAsk, r.asked = d.AskID, true
	}
	r.decisions = append(r.decisions, d)
}

// SaveKick keeps a request to end sessions.
func (r *Record) SaveKick(k Kick) { r.kicks = append(r.kicks, k) }

// Tell appends an event; data must encode to a JSON object.
func (r *Record) Tell(kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil { // only for types that cannot be encoded: a mistake in the program
		panic("store: event " + kind + ": " + err.Error())
	}
	r.events = append(r.events, Event{Type: kind, Account: r.JID, At: r.Now, Data: b})
}
