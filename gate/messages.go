package gate

import (
	"context"
	"strings"
	"time"
)

// Source is one load of a gate module: its link, virtual host and cluster node.
type Source struct {
	Link   string
	Domain string
	Node   string
}

// Peer is how a session reached the server. Everything in it comes from the server or the client and is not to be trusted as text.
type Peer struct {
	IP        string
	Secure    bool
	Transport string // tcp, websocket, bosh
	ClientID  string // SASL2 user-agent id
	Client    string // software
	Lang      string // BCP 47, may be empty
	Made      bool   // the server made the resource; of asked sessions Ask.Chosen says so
}

// Listed is a live session as the server sees it.
type Listed struct {
	SID      string
	User     string // localpart; empty in an ask's list, where it is the asking account's
	Resource string
	State    string // active, hibernating
	Age      time.Duration
	Idle     time.Duration
	Peer
}

// Ask is a server's question before a bind.
type Ask struct {
	Source
	ID       string
	Received time.Time     // on this process's monotonic clock
	Deadline time.Duration // after Received
	User     string
	SID      string
	Resource string
	Chosen   bool // the client named the resource
	Takeover string
	Peer
	Epoch    string
	Seq      int64    // the last event before Sessions was made
	Sessions []Listed // the account's live sessions on the server
	More     bool     // Sessions is not all of them
}

// Kick names a session that has to go and what its client is told.
type Kick struct {
	User     string
	SID      string
	Resource string
	Code     string // takeover, kick, rule, expired, blocked
	Device   string // of who replaced it, may be empty
	Platform string
	At       time.Time
	Text     string
	Lang     string
}

// Outcome of an ask.
type Outcome string

// The outcomes of an ask. Undecided: the server's module applies its failure policy.
const (
	Allow     Outcome = "allow"
	Deny      Outcome = "deny"
	Undecided Outcome = "undecided"
)

// Answer to an Ask. Kicks belongs to Allow, Denial to Deny.
type Answer struct {
	AskID   string
	Outcome Outcome
	Kicks   []Kick
	Denial  Denial
}

// Denial is what a denied client is told.
type Denial struct {
	Code       string // rules.Code
	Type       string // cancel, wait (RFC 6120 §8.3.2)
	Condition  string
	Text       string
	Lang       string
	RetryAfter time.Duration // 0: not known
	Hold       time.Duration
	Token      string   // what is wrong with the token that the client brought: one of the Token constants, or ""
	Choices    []Choice // of code choose
}

// Choice is a session that the user of a denied login may end.
type Choice struct {
	Token     string
	Device    string // name; may be empty
	Resource  string
	Platform  string
	StartedAt time.Time
	Idle      time.Duration
}

// Notice tells a session's client of a new login to its account.
type Notice struct {
	User     string // the session that is told
	Resource string
	Device   string // that logged in, may be empty
	Platform string
	At       time.Time
	Text     string
	Lang     string
}

// EventKind is what happened to a session.
type EventKind string

// The kinds of events.
const (
	EventBind      EventKind = "bind"
	EventUnbind    EventKind = "unbind"
	EventHibernate EventKind = "hibernate"
	EventResume    EventKind = "resume"
	EventGone      EventKind = "gone" // an asked session will not bind
)

// Event is a numbered report of a module.
type Event struct {
	Source
	Epoch    string
	Seq      int64
	Kind     EventKind
	User     string
	SID      string
	AskID    string
	Resource string
	Takeover string // of a bind that was not asked about, or not answered in time: the token that the client brought
	Reason   string
	Age      time.Duration
	Idle     time.Duration
	Peer
}

// Hello is what a module says about itself.
type Hello struct {
	Source
	Epoch         string
	Seq           int64
	Version       string // of the protocol
	Module        string
	Server        string
	ServerVersion string
	Mode          string
	OnFailure     string
	Timeout       time.Duration
	Sessions      int
	Abilities     []string
	// Stock: no module says this, but what stands for one beside a server that has none. Why has a word on its abilities, on those it lacks above all.
	Stock bool
	Why   map[string]string
	Nodes int // of the server's cluster; the module knows the sessions of one. 0: not said
	Rival Rival
	// Refused says why the module cannot be served, as one of another version of the protocol cannot; "": it can.
	Refused string
}

// Rival is another bindgate whose place on the component this connection took while that was connected; zero: there was none.
type Rival struct {
	Database string // names it; "": this one
	Link     string // of what name, as far as it is told
}

// KickResult is what a server says to a kick.
type KickResult string

// The results of a kick.
const (
	KickDone    KickResult = "done"
	KickPending KickResult = "pending"   // not bound yet; carried out when it binds
	KickGone    KickResult = "not_found" // no such session
)

// Verdict of a probe: alive, silent, hibernating, gone.
type Verdict string

// The verdicts of a probe.
const (
	VerdictAlive       Verdict = "alive"
	VerdictSilent      Verdict = "silent"
	VerdictHibernating Verdict = "hibernating"
	VerdictGone        Verdict = "gone"
)

// Part is a piece of a server's sessions: all of the buckets First … First+Count-1.
type Part struct {
	Source
	First, Count int
	Total        int // sessions of the host
	Epoch        string
	Seq          int64 // the last event before the part was made
	Same         bool  // the digest fitted; Sessions is empty
	Sessions     []Listed
}

// Software is what a client says of itself: short, printable, and not to be trusted.
type Software struct {
	Name string
	OS   string
	Type string // of its disco identity of category client (XEP-0030), such as phone, pc, web, bot
}

// String is what matchers of client software see: "Name (OS) client/type".
func (s Software) String() string {
	out := s.Name
	if s.OS != "" {
		out += " (" + s.OS + ")"
	}
	if s.Type != "" {
		out += " client/" + s.Type
	}
	return strings.TrimSpace(out)
}

// Revocation is what a server did about stored login credentials. A kind that it does not keep is in neither.
type Revocation struct {
	Revoked  map[string]int    // kind → how many were valid and are no more
	Unable   map[string]string // kind → why something was left
	Epoch    string
	Seq      int64    // the last event before Sessions was made
	Sessions []Listed // the account's live sessions after it
	More     bool     // Sessions is not all of them
}

// Buckets is the number of hash buckets of a snapshot.
const Buckets = 4096

// Link is a connected XMPP server. Its methods may be called from many goroutines; they fail at once when the connection is down
// and end with ctx. xmppbridge implements it.
type Link interface {
	// Kick ends one session of the source's domain.
	Kick(ctx context.Context, src Source, k Kick) (KickResult, error)
	// Probe asks ≤ 50 sessions of one account whether their clients still answer; sids maps to verdicts.
	Probe(ctx context.Context, src Source, user string, sids []string, timeout time.Duration) (map[string]Verdict, error)
	// Snapshot fetches a part. An empty digest always gets sessions.
	Snapshot(ctx context.Context, src Source, first, count int, digest string) (Part, error)
	// Software asks a session's client what it is (XEP-0092, XEP-0030). What the client does not tell is empty, which is no error.
	Software(ctx context.Context, src Source, user, resource string) (Software, error)
	// Notify sends a session's client a message. It does not wait: nil says that it is on its way, not that it was read. When the server reads too slowly it is refused.
	Notify(ctx context.Context, src Source, n Notice) error
	// SetMode sets enforce, observe or off.
	SetMode(ctx context.Context, src Source, mode string) error
	// Revoke revokes the stored login credentials of an account: all of them, or those of the devices with these SASL2 user-agent ids, ≤ 32, or with others
	// those of all other devices.
	Revoke(ctx context.Context, src Source, user string, devices []string, others bool) (Revocation, error)
}
