package people

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bindgate/bindgate/store"
)

// Newcomer is a user to be.
type Newcomer struct {
	Name    string
	Role    store.Role
	Domains []string // nil: all
}

func (n Newcomer) user() (u store.NewUser, err error) {
	u = store.NewUser{Role: n.Role}
	if u.Name, err = Name(n.Name); err != nil {
		return u, err
	}
	if n.Domains != nil {
		u.Domains, err = Domains(n.Domains)
	}
	return u, err
}

// Add keeps a user with a password. ErrName, ErrDomains, *jid.Error, PasswordError, store.ErrTaken, store.ErrTooMany.
func (p *People) Add(ctx context.Context, n Newcomer, password string, by store.Actor) (store.User, error) {
	u, err := n.user()
	if err != nil {
		return store.User{}, err
	}
	prepared, err := choose(password, u.Name)
	if err != nil {
		return store.User{}, err
	}
	if u.Password, err = p.hashes.hash(ctx, prepared); err != nil {
		return store.User{}, err
	}
	return p.store.AddUser(ctx, u, by)
}

// Invite is Add with a password that is good for choosing another one. A form that comes again gets the user that it has made, with the same password.
func (p *People) Invite(ctx context.Context, n Newcomer, form Form, by store.Actor) (u store.User, password string, err error) {
	fresh, err := n.user()
	if err != nil {
		return u, "", err
	}
	if password, err = p.oneTime(ctx, form, fmt.Sprintf("add %q %s %q", fresh.Name, fresh.Role, fresh.Domains)); err != nil {
		return u, "", err
	}
	if fresh.Password, err = p.hashes.hash(ctx, password); err != nil {
		return u, "", err
	}
	fresh.MustChange = true
	u, err = p.store.AddUser(ctx, fresh, by)
	if errors.Is(err, store.ErrTaken) {
		made, again, failed := p.madeBefore(ctx, fresh.Name, password, form)
		switch {
		case again:
			return made, password, nil
		case failed != nil && !errors.Is(failed, store.ErrNotFound):
			return u, "", failed
		}
	}
	return u, password, err
}

// SetPassword gives a user another password, and logs the user out. PasswordError, store.ErrNotFound.
func (p *People) SetPassword(ctx context.Context, u store.User, password string, by store.Actor) error {
	prepared, err := choose(password, u.Name)
	if err != nil {
		return err
	}
	hash, err := p.hashes.hash(ctx, prepared)
	if err != nil {
		return err
	}
	_, err = p.store.SetPassword(ctx, u.ID, hash, false, by)
	return err
}

// ResetPassword gives a user a password that is good for choosing another one, and logs the user out. A form that comes again gives the same one. store.ErrNotFound.
func (p *People) ResetPassword(ctx context.Context, user int64, form Form, by store.Actor) (password string, err error) {
	if password, err = p.oneTime(ctx, form, "reset "+strconv.FormatInt(user, 10)); err != nil {
		return "", err
	}
	hash, err := p.hashes.hash(ctx, password)
	if err != nil {
		return "", err
	}
	_, err = p.store.SetPassword(ctx, user, hash, true, by)
	return password, err
}

// FirstName is the name of the first user, unless somebody made another one before.
const FirstName = "admin"

// First makes an admin with a one-time password if there are no users at all; "" if there are. Of any number of processes that ask at once one gets it.
func (p *People) First(ctx context.Context) (password string, err error) {
	if some, err := p.store.HasUsers(ctx); some || err != nil {
		return "", err
	}
	password = oneTime()
	hash, err := p.hashes.hash(ctx, password)
	if err != nil {
		return "", err
	}
	added, err := p.store.AddFirstUser(ctx, store.NewUser{Name: FirstName, Role: store.RoleAdmin, Password: hash, MustChange: true}, store.Actor{Via: store.ViaSelf, Subject: "start"})
	if !added || err != nil {
		return "", err
	}
	return password, nil
}

// FirstAgain is First, but that a first user who has never chosen a password gets another one-time password: for a demonstration that is started again.
func (p *People) FirstAgain(ctx context.Context) (password string, err error) {
	if password, err = p.First(ctx); password != "" || err != nil {
		return password, err
	}
	u, err := p.store.FindUser(ctx, FirstName)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !u.MustChange:
		return "", nil
	case err != nil:
		return "", err
	}
	return p.ResetPassword(ctx, u.ID, Form{}, store.Actor{Via: store.ViaSelf, Subject: "demo"})
}
