// Package stock links bindgate to XMPP servers that have no module of ours. An Observer plays the module: it lists the server's sessions again and again, at
// once where a presence stanza says that something has happened, gives each session a sid of its own, and tells the gate of the differences as numbered events,
// under an epoch of its own. A login is decided just after its bind; a denial becomes a kick.
//
// What differs between servers is behind Driver: how sessions are listed and how one is ended.
//
// # Goroutines
//
//	Observer.Run
//	  ├ bridge   the component connection (package xmppbridge) → Opened, Closed, Presence, Granted
//	  └ watch    opens a driver for each connection, and again when it fails
//	     ├ poll   lists everything
//	     └ attend takes accounts of which there was a presence, once a second each at most, and has up to 8 listed at once; Kick and Probe look by themselves
//
// What is listed meets in a host, under its mutex; whoever changes it tells the gate before letting go, so that events come in order.
package stock

import (
	"context"
	"errors"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
)

// Session is a session as a server lists it.
type Session struct {
	User, Resource string
	// Mark is what the server tells two sessions on one resource apart by, such as the client's address and port. It has to be the same in each listing. "": nothing.
	Mark    string
	Started time.Time // to the second; zero: the server does not say
	Made    bool      // the server made the resource
	Paused  bool      // XEP-0198; false too where the server does not say
	Idle    time.Duration
	IP      string
	Secure  bool
	// Transport is tcp, websocket or bosh; "": the server does not say.
	Transport string
}

// Lister lists sessions, all of them: also those without presence.
type Lister interface {
	// List returns the sessions of each of these domains.
	List(ctx context.Context, domains []string) (map[string][]Session, error)
	// ListUser returns those of one account; ErrWholeList where List alone can tell.
	ListUser(ctx context.Context, domain, user string) ([]Session, error)
}

// ErrWholeList says that an account's sessions are listed only together with all others.
var ErrWholeList = errors.New("stock: the server lists this account only together with all others")

// RightError is how a driver says that the server does not let it do something any more: the link is down until Open finds that it may again. Its text is for operators, as Open's is.
type RightError struct{ Err error }

func (e *RightError) Error() string { return e.Err.Error() }

// Unwrap returns what the server said.
func (e *RightError) Unwrap() error { return e.Err }

// Kicker ends sessions.
type Kicker interface {
	// Kick ends a session that was listed a moment ago. Nil says that the server took the order: the next listing proves it.
	Kick(ctx context.Context, domain string, k gate.Kick) error
}

// Server is what a driver has found.
type Server struct {
	Lister Lister
	Kicker Kicker
	// Name is the program's, for a server that does not say it itself (XEP-0092); "": it is not known.
	Name string
	// Able has the abilities that the driver knows of (package gate, ability.go), beside those that the Observer brings itself or no stock server has. Each may
	// have a word why not, or how.
	Able []gate.Ability
}

// Driver knows one kind of server.
type Driver interface {
	// Open finds out whether a server can be worked with, once for each connection. The error is for operators: what is wrong, and what to do.
	Open(ctx context.Context, s xmppbridge.Stream, domains []string) (*Server, error)
}
