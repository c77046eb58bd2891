// Package people knows who may use the dashboard: names and passwords, logins, and the first admin.
//
// A password is kept as argon2id and looked at by few at once, so that a crowd of attempts takes neither memory nor processors from logins to the XMPP server.
// Each attempt is counted in the database before it is looked at (store.TryLogin): replicas share the count, and parallel guesses are no faster. What is
// refused takes the same time and says the same for names that exist and those that do not. A browser in which somebody has logged in is counted apart, so
// that guesses of strangers do not keep the user out. A token is new at each login and after each change of the user; the database has only its hash.
package people

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/bindgate/bindgate/store"
)

var (
	// ErrWrong is returned for a name and a password that do not let anybody in, without which of them is wrong.
	ErrWrong = errors.New("people: wrong name or password")
	// ErrBusy is returned when too many passwords are being looked at. The attempt does not count.
	ErrBusy = errors.New("people: too many logins at once")
)

// WaitError refuses an attempt that came too soon after others that failed.
type WaitError struct{ Wait time.Duration }

// Error says how long to wait.
func (e *WaitError) Error() string { return fmt.Sprintf("people: wait %d seconds", e.Seconds()) }

// Seconds is the wait in whole seconds, one at least.
func (e *WaitError) Seconds() int { return int((e.Wait + time.Second - 1) / time.Second) }

// People logs people in. It is safe for concurrent use.
type People struct {
	store  *store.Store
	hashes *hasher
	log    *slog.Logger
}

// New returns the people of a record.
func New(st *store.Store, log *slog.Logger) (*People, error) {
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	return &People{store: st, hashes: h, log: log}, nil
}

// Browser is where a request comes from.
type Browser struct {
	Address   netip.Addr
	UserAgent string
	Token     store.LoginToken // of its login so far, which a new one ends; "": none
	Known     store.LoginToken // by which it says that somebody has logged in there; "": it does not
}

// maxAgent is how much is kept of what a browser says it is, in bytes.
const maxAgent = 256

func (b Browser) address() string {
	if !b.Address.IsValid() {
		return ""
	}
	return b.Address.String()
}

// login is a login of the browser.
func (b Browser) login(user int64) store.NewLogin {
	agent := strings.ReplaceAll(strings.ToValidUTF8(b.UserAgent[:min(len(b.UserAgent), maxAgent)], ""), "\x00", "")
	return store.NewLogin{User: user, Address: b.address(), UserAgent: agent, Had: b.Token, Knew: b.Known, Browser: store.NewLoginToken()}
}

func (b Browser) actor(name string) store.Actor {
	return store.Actor{Via: store.ViaDashboard, Subject: name, Address: b.address()}
}

// network is what attempts are counted by: an IPv6 host has a whole /64.
func (b Browser) network() netip.Prefix {
	bits := 32
	if b.Address.Is6() {
		bits = 64
	}
	p, _ := b.Address.Prefix(bits) // of no address the zero prefix, which is one for all
	return p
}

// Entered is somebody who has just logged in.
type Entered struct {
	Token store.LoginToken // proves the login
	Known store.LoginToken // by which the browser is known from now on
	Login store.Login
}

// Login logs in by name and password. ErrWrong, *WaitError, ErrBusy.
func (p *People) Login(ctx context.Context, name, password string, from Browser) (Entered, error) {
	name, malformed := Name(name)
	attempt := store.LoginAttempt{Name: name, Network: from.network(), Browser: from.Known}
	counted, wait, err := p.store.TryLogin(ctx, attempt)
	switch {
	case err != nil:
		return Entered{}, err
	case wait > 0:
		return Entered{}, &WaitError{wait}
	}
	u, hash, err := p.store.FindPassword(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Entered{}, err
	}
	ok, err := p.hashes.matches(ctx, password, hash)
	if errors.Is(err, ErrBusy) { // and not if whoever asked has gone: giving up is no way around the wait
		return Entered{}, errors.Join(err, p.store.ForgiveLogin(context.WithoutCancel(ctx), counted, false))
	}
	if err != nil {
		return Entered{}, err
	}
	if !ok || malformed != nil || u.Disabled {
		p.log.WarnContext(ctx, "a login to the dashboard has failed", "address", from.address()) // no name: people type passwords there
		return Entered{}, ErrWrong
	}
	n := from.login(u.ID)
	n.Password = hash
	in, err := p.start(ctx, n, from)
	if err != nil {
		return in, err
	}
	return in, p.store.ForgiveLogin(ctx, counted, true)
}

// start begins a login of somebody who has proven who it is. ErrWrong if that does not count any more.
func (p *People) start(ctx context.Context, n store.NewLogin, from Browser) (Entered, error) {
	token, l, err := p.store.StartLogin(ctx, n, from.actor(""))
	if errors.Is(err, store.ErrNotFound) {
		return Entered{}, ErrWrong
	}
	return Entered{Token: token, Known: n.Browser, Login: l}, err
}

// Vouched logs somebody in for whom a provider of OpenID Connect vouches. ErrWrong if the user is disabled here.
func (p *People) Vouched(ctx context.Context, v store.Vouched, from Browser) (Entered, error) {
	u, err := p.store.VouchUser(ctx, v, from.actor(""))
	if err != nil {
		return Entered{}, err
	}
	return p.start(ctx, from.login(u.ID), from)
}

// ChangePassword gives a user who is logged in another password, and ends the user's logins but this one, which has a new token. The old password is asked for
// unless it was one to be changed. PasswordError, ErrWrong, *WaitError, ErrBusy.
func (p *People) ChangePassword(ctx context.Context, user store.User, old, password string, from Browser) (Entered, error) {
	prepared, err := choose(password, user.Name)
	if err != nil {
		return Entered{}, err
	}
	_, hash, err := p.store.FindPassword(ctx, user.Name)
	if err != nil {
		return Entered{}, err
	}
	if !user.MustChange {
		counted, wait, err := p.store.TryLogin(ctx, store.LoginAttempt{Name: user.Name, Network: from.network(), Browser: from.Known})
		if err != nil {
			return Entered{}, err
		}
		if wait > 0 {
			return Entered{}, &WaitError{wait}
		}
		ok, err := p.hashes.matches(ctx, old, hash)
		if errors.Is(err, ErrBusy) || ok {
			err = errors.Join(err, p.store.ForgiveLogin(context.WithoutCancel(ctx), counted, ok))
		}
		if err != nil {
			return Entered{}, err
		}
		if !ok {
			return Entered{}, ErrWrong
		}
	}
	same, err := p.hashes.matches(ctx, prepared, hash)
	if err != nil {
		return Entered{}, err
	}
	if same {
		return Entered{}, ErrSame
	}
	fresh, err := p.hashes.hash(ctx, prepared)
	if err != nil {
		return Entered{}, err
	}
	n := from.login(user.ID)
	token, l, err := p.store.ReplacePassword(ctx, user.ID, hash, fresh, n, from.actor(user.Name))
	if errors.Is(err, store.ErrNotFound) { // reset, or logged out, while it was looked at
		return Entered{}, ErrWrong
	}
	return Entered{Token: token, Known: n.Browser, Login: l}, err
}

// ErrSame is returned for a new password that is the old one.
var ErrSame = errors.New("people: the password is the old one")
