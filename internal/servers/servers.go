// Package servers lets one test run on each XMPP server that has a gate module: private Prosodys and ejabberds behind one interface. The tests of the
// gate protocol and of the whole product are written once, against it.
package servers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is one virtual host with the gate module, on a server that runs. Its methods may be called from any goroutine, Kill and Restart one at a time.
type Server interface {
	Domain() string
	ComponentJID() string
	Secret() string
	// Addresses of the ports for clients and for components, host:port.
	Addresses() (clients, components string)
	WebSocketURL() string
	BOSHURL() string

	// Reload replaces the module in place, as an operator would. Unload takes it away, Load brings it back.
	Reload(ctx context.Context) error
	Unload(ctx context.Context) error
	Load(ctx context.Context) error
	// Held is how many binds the other module holds (Options.Late), in decimal; Go lets them go on.
	Held(ctx context.Context) (string, error)
	Go(ctx context.Context) error

	// Sessions are the host's bound sessions by the server's own word, hibernating ones too.
	Sessions(ctx context.Context) ([]Session, error)
	// Mode is what the module keeps on its disk, and SetMode changes the file while the server does not run.
	Mode() (string, error)
	SetMode(mode string) error

	// Kill ends the server at once, Restart starts it again on the same ports and data. They, and Signal, need Options.Own.
	Kill()
	Restart(ctx context.Context) error
	Signal(sig syscall.Signal) error

	// End ends a user's sessions as an administrator would, with the stream error policy-violation.
	End(ctx context.Context, user string) error
	// Twin is the second virtual host (Options.Twin).
	Twin() string
	Kind() *Kind

	// Log is the end of what the server has written, Errors what of it are errors of the server or the module.
	Log() string
	Errors() string
}

// AwaitHeld waits until the other module holds a bind (Options.Late).
func AwaitHeld(t testing.TB, s Server) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n, err := s.Held(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n != "0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the other module holds no bind")
		}
	}
}

// Session is a bound session on the server.
type Session struct {
	User, Resource string
	SID            string // "?" if the module does not know it
}

// Options say what a test needs of its server.
type Options struct {
	// Timeout and OnFailure are the module's options; zero: its own defaults.
	Timeout   time.Duration
	OnFailure string
	// Quiet logs warnings and errors only.
	Quiet bool
	// Own gives the test a server process of its own; others may share one.
	Own bool
	// Late loads another module that has its say after the gate's: it refuses the resource "refused", holds "slow…" until Go, and refuses "slow-refused" then.
	Late bool
	// QuickBOSH ends a BOSH session without requests after a second.
	QuickBOSH bool
	// Twin adds a second virtual host with a module of its own for the same component: "other." and the first.
	Twin bool
	// TwinBare leaves the module out of the second host.
	TwinBare bool
	// Stranger adds another component: "stranger." and the first host.
	Stranger bool
	// SASL2 lets clients authenticate and bind in one step.
	SASL2 bool
	// Unbound ends streams that do not bind; 0: the server's default.
	Unbound time.Duration
	// Domain is the virtual host, where the test needs to know it beforehand; empty: any.
	Domain string
	// Stock leaves the gate's module out: a server as operators have it. An ejabberd lets the component see presence (XEP-0356), unless Blind.
	Stock, Blind bool
	// Administered lets the component administer the host (XEP-0133). It goes with Stock.
	Administered bool
}

// What not every server can.
const (
	BOSHLanguage = "know the language of a BOSH stream"
	DeepStanzas  = "survive a stanza that is nested 5,000 deep"
	BOSHOrder    = "read a BOSH request that has overtaken another before that is answered"
	HTTPSecurity = "know whether a WebSocket or BOSH stream is encrypted"
	PreparedName = "tell a client its own name as it was prepared"
	SASL2        = "authenticate and bind in one step (XEP-0388, XEP-0386)"
	LongLanguage = "take a stream with a language of more than 35 bytes"
)

// Kind is a server program.
type Kind struct {
	// Name is how tests and the matrix call it: "prosody", "ejabberd".
	Name string
	// Software is what the module's hello says: "Prosody", "ejabberd".
	Software string

	newer  bool   // than Debian stable's
	binary string // a Prosody's program; empty: the installed one
	root   string // of an ejabberd's packages; empty: the installed one's
	start  func(k *Kind, t testing.TB, o Options) Server
	close  func() // ends what tests shared
	// cannot has what the server, not the module, is not able to: a reason by its word.
	cannot map[string]string
}

// Start starts a server for one test. Where the program is not installed the test is skipped, but fails when the environment variable CI is set.
func (k *Kind) Start(t testing.TB, o Options) Server {
	t.Helper()
	return k.start(k, t, o)
}

// Can skips the test where the server is not able to do a thing, with the reason. The matrix shows it.
func (k *Kind) Can(t testing.TB, what string) {
	t.Helper()
	if why, ok := k.cannot[what]; ok {
		t.Skip("server cannot: " + why)
	}
}

// Able reports whether the server can do a thing.
func (k *Kind) Able(what string) bool { return k.cannot[what] == "" }

// Any is for tests that the server is no matter to: the one that starts quickest.
var Any = prosodies[0]

// kinds are all servers that tests run on.
var kinds = append(slices.Clone(prosodies), ejabberds...)

// Names are the kinds' names, in the order of the matrix.
func Names() []string {
	var out []string
	for _, k := range append(slices.Clone(kinds), stock...) {
		out = append(out, k.Name)
	}
	return out
}

// Cannot yields what a server is not able to, and why, sorted.
func Cannot(name string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range append(slices.Clone(kinds), stock...) {
			for _, what := range slices.Sorted(maps.Keys(k.cannot)) {
				if k.Name == name && !yield(what, k.cannot[what]) {
					return
				}
			}
		}
	}
}

// Each runs a test on each server of Debian stable, in parallel. Where BINDGATE_SERVERS names kinds, separated by commas, it runs on these; "all" are all.
func Each(t *testing.T, test func(t *testing.T, on *Kind)) {
	each(t, kinds, (*Kind).stable, test)
}

// OneOrEach is Each where BINDGATE_SERVERS is set, as make matrix does, and runs the test on one server else: for tests of what bindgate does by itself, whatever the server.
func OneOrEach(t *testing.T, test func(t *testing.T, on *Kind)) {
	each(t, kinds, func(k *Kind) bool { return k == Any }, test)
}

// EachVersion runs a test on every kind, the newer servers of the backports too, if BINDGATE_SERVERS does not name others: for tests of what differs between a
// server's versions, that is, of the module in it.
func EachVersion(t *testing.T, test func(t *testing.T, on *Kind)) {
	each(t, kinds, every, test)
}

func (k *Kind) stable() bool { return !k.newer }

func every(*Kind) bool { return true }

// each runs a test on those kinds that BINDGATE_SERVERS names, or on the usual ones.
func each(t *testing.T, of []*Kind, usual func(*Kind) bool, test func(t *testing.T, on *Kind)) {
	t.Parallel()
	wanted := strings.Split(os.Getenv("BINDGATE_SERVERS"), ",")
	for _, k := range of {
		if wanted[0] == "" && !usual(k) || wanted[0] != "" && !slices.Contains(wanted, k.Name) && !slices.Contains(wanted, "all") {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// EachOf is Each for tests of one server program.
func EachOf(t *testing.T, software string, test func(t *testing.T, on *Kind)) {
	each(t, slices.DeleteFunc(slices.Clone(kinds), func(k *Kind) bool { return k.Software != software }), (*Kind).stable, test)
}

// missing skips a test for want of its server, or fails it on CI.
func missing(t testing.TB, err, is error, what string) {
	t.Helper()
	if errors.Is(err, is) && os.Getenv("CI") == "" {
		t.Skipf("needs %s: %v", what, err)
	}
	t.Fatal(err)
}

// lines reads sessions, one a line: user, resource and sid, separated by tabs.
func lines(text string) ([]Session, error) {
	var out []Session
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("sessions: %q", line)
		}
		out = append(out, Session{User: f[0], Resource: f[1], SID: f[2]})
	}
	return out, nil
}

// Close ends the servers that tests shared. TestMain calls it.
func Close() {
	for _, k := range kinds {
		if k.close != nil {
			k.close()
		}
	}
}
