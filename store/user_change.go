package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// endedLogins is what a change of a user came to beside itself.
type endedLogins struct {
	Ended int64 `json:"logins_ended"`
}

// UserChange says what becomes of a user; nil fields stay.
type UserChange struct {
	Role     *Role
	Domains  *[]string // to nil: all
	Disabled *bool
}

// ChangeUser changes a user, who is logged out if anything did change, and returns it. ErrNotFound, ErrLastAdmin.
func (s *Store) ChangeUser(ctx context.Context, id int64, c UserChange, by Actor) (User, error) {
	return s.alterUser(ctx, "change user", id, func(tx pgx.Tx, before User) (User, error) {
		u := before
		if c.Role != nil {
			u.Role = *c.Role
		}
		if c.Domains != nil {
			u.Domains = *c.Domains
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		return u, updateUser(ctx, tx, before, u, by)
	})
}

// updateUser writes role, domains and disabled, if they are others than before.
func updateUser(ctx context.Context, tx pgx.Tx, before, u User, by Actor) error {
	if u.Role == before.Role && slices.Equal(u.Domains, before.Domains) && u.Disabled == before.Disabled {
		return nil
	}
	if _, err := tx.Exec(ctx, "update users set role = $2, domains = $3, disabled = $4 where id = $1", u.ID, u.Role, u.Domains, u.Disabled); err != nil {
		return err
	}
	ended, err := endLogins(ctx, tx, u.ID, 0)
	if err != nil {
		return err
	}
	return audit(ctx, tx, by, nil, Entry{Action: UserChanged, Target: u.Name, Old: before.audited(), New: u.audited(), Outcome: endedLogins{ended}})
}

// SetPassword gives a user a password, and logs the user out. ErrNotFound.
func (s *Store) SetPassword(ctx context.Context, id int64, hash PasswordHash, mustChange bool, by Actor) (User, error) {
	return s.alterUser(ctx, "set password", id, func(tx pgx.Tx, u User) (User, error) {
		return setPassword(ctx, tx, u, hash, mustChange, by)
	})
}

func setPassword(ctx context.Context, tx pgx.Tx, u User, hash PasswordHash, mustChange bool, by Actor) (User, error) {
	if _, err := tx.Exec(ctx, "update users set password = $2, must_change = $3 where id = $1", u.ID, string(hash), mustChange); err != nil {
		return u, err
	}
	if _, err := tx.Exec(ctx, "delete from login_browsers where user_id = $1", u.ID); err != nil {
		return u, err
	}
	ended, err := endLogins(ctx, tx, u.ID, 0)
	if err != nil {
		return u, err
	}
	u.HasPassword, u.MustChange = true, mustChange
	return u, audit(ctx, tx, by, nil, Entry{Action: UserPassword, Target: u.Name, Outcome: endedLogins{ended}})
}

// RemoveUser forgets a user; the audit keeps the name. ErrNotFound, ErrLastAdmin.
func (s *Store) RemoveUser(ctx context.Context, id int64, by Actor) error {
	_, err := s.alterUser(ctx, "remove user", id, func(tx pgx.Tx, u User) (User, error) {
		ended, err := endLogins(ctx, tx, id, 0)
		if err != nil {
			return u, err
		}
		if _, err := tx.Exec(ctx, "delete from users where id = $1", id); err != nil {
			return u, err
		}
		return u, audit(ctx, tx, by, nil, Entry{Action: UserRemove, Target: u.Name, Old: u.audited(), Outcome: endedLogins{ended}})
	})
	return err
}

// alterUser runs a change of a user under its lock, and takes it back if it leaves nobody who may change users.
func (s *Store) alterUser(ctx context.Context, doing string, id int64, change func(pgx.Tx, User) (User, error)) (u User, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockUsers); err != nil {
			return err
		}
		before, err := oneUser(tx.Query(ctx, "select "+userColumns+" from users u where id = $1 for update", id))
		if err != nil {
			return err
		}
		if u, err = change(tx, before); err != nil {
			return err
		}
		if !before.Unlimited() || before.Disabled {
			return nil
		}
		var left bool
		if err := tx.QueryRow(ctx, "select exists (select from users where role = 'admin' and domains is null and not disabled)").Scan(&left); err != nil {
			return err
		}
		if !left {
			return ErrLastAdmin
		}
		return nil
	})
	return u, wrapUser(doing, err)
}

// Vouched is somebody for whom a provider of OpenID Connect vouches.
type Vouched struct {
	Issuer, Subject string
	Name            string // in its one form, as the provider has it: the user's if it is free
	Role            Role
	Domains         []string // prepared; nil: all
}

// namesTried is how many names are tried for a newcomer: ada, ada.2, …
const namesTried = 100

// VouchUser returns the user for whom the provider vouches, with role and domains as it says, and keeps one that is new. Who else has the name is another
// user, whatever it is called there. What the provider says counts, be it that nobody may change users any more. ErrTooMany; ErrTaken if all names are.
func (s *Store) VouchUser(ctx context.Context, v Vouched, by Actor) (u User, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockUsers); err != nil {
			return err
		}
		before, err := oneUser(tx.Query(ctx, "select "+userColumns+" from users u where issuer = $1 and subject = $2 for update", v.Issuer, v.Subject))
		switch {
		case errors.Is(err, ErrNotFound):
			name, err := freeName(ctx, tx, v.Name)
			if err != nil {
				return err
			}
			by.Subject = name
			u, err = insertUser(ctx, tx, NewUser{Name: name, Role: v.Role, Domains: v.Domains, Issuer: v.Issuer, Subject: v.Subject}, by)
			return err
		case err != nil:
			return err
		}
		u = before
		u.Role, u.Domains = v.Role, v.Domains
		by.Subject = u.Name
		return updateUser(ctx, tx, before, u, by)
	})
	return u, wrapUser("vouch for user", err)
}

// freeName is the wanted name, or the first that is free of those with a number behind it.
func freeName(ctx context.Context, tx pgx.Tx, wanted string) (string, error) {
	for n := range namesTried {
		name := wanted
		if n > 0 {
			end := fmt.Sprintf(".%d", n+1)
			runes := []rune(wanted)
			name = string(runes[:min(len(runes), 64-len(end))]) + end
		}
		var taken bool
		if err := tx.QueryRow(ctx, "select exists (select from users where name = $1)", name).Scan(&taken); err != nil {
			return "", err
		}
		if !taken {
			return name, nil
		}
	}
	return "", ErrTaken
}
