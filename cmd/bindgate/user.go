package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/migrations"
	"github.com/bindgate/bindgate/store"
)

type userCmd struct {
	Add     userAddCmd     `cmd:"" help:"Add a user; the password is read from standard input."`
	Passwd  userPasswdCmd  `cmd:"" help:"Give a user another password, read from standard input, and log the user out."`
	List    userListCmd    `cmd:"" help:"List the users."`
	Disable userDisableCmd `cmd:"" help:"Let a user in no more, and log the user out."`
	Enable  userEnableCmd  `cmd:"" help:"Let a user in again."`
	Remove  userRemoveCmd  `cmd:"" help:"Forget a user."`
}

type userAddCmd struct {
	Name    string `arg:"" help:"The user's name: 1 to 64 letters, digits and signs; upper and lower case are one."`
	Role    string `default:"viewer" placeholder:"ROLE" help:"viewer looks, support ends one account's sessions and blocks its devices too, admin may everything; viewer unless set."`
	Domains string `placeholder:"DOMAINS" help:"Limits the user to these XMPP domains, separated by commas."`
}

// Run adds a user of the dashboard.
func (c *userAddCmd) Run(ctx context.Context, e *env) error {
	n := people.Newcomer{Name: c.Name, Role: store.Role(c.Role)}
	if !store.RoleAdmin.Covers(n.Role) {
		return fmt.Errorf("--role: there is no role %q; the roles are viewer, support, admin", c.Role)
	}
	for d := range strings.FieldsFuncSeq(c.Domains, func(r rune) bool { return r == ',' || r == ' ' }) {
		n.Domains = append(n.Domains, d)
	}
	if n.Domains != nil || c.Domains != "" { // what is wrong is said before a password is asked for
		if _, err := people.Domains(n.Domains); err != nil {
			return fmt.Errorf("--domains: %w", err)
		}
	}
	if _, err := people.Name(c.Name); err != nil {
		return fmt.Errorf("%q: %w", c.Name, err)
	}
	return withPeople(ctx, e, func(p *people.People, st *store.Store) error {
		if _, err := findUser(ctx, st, c.Name); err == nil {
			return fmt.Errorf("there is a user %s already; bindgate user passwd %s gives it another password", c.Name, c.Name)
		}
		password, err := readPassword(e)
		if err != nil {
			return err
		}
		u, err := p.Add(ctx, n, password, byHand())
		switch {
		case errors.Is(err, store.ErrTaken):
			return fmt.Errorf("there is a user %s already", c.Name)
		case errors.Is(err, store.ErrTooMany):
			return fmt.Errorf("there are %d users already, which is as many as there may be", store.MaxUsers)
		case err != nil:
			return err
		}
		fmt.Fprintf(e.stdout, "Added %s, %s of %s.\n", u.Name, u.Role, domainsText(u.Domains))
		return nil
	})
}

type userPasswdCmd struct {
	Name string `arg:"" help:"The user's name."`
}

// Run gives a user another password.
func (c *userPasswdCmd) Run(ctx context.Context, e *env) error {
	return withUser(ctx, e, c.Name, func(p *people.People, _ *store.Store, u store.User) error {
		password, err := readPassword(e)
		if err != nil {
			return err
		}
		if err := p.SetPassword(ctx, u, password, byHand()); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s has a new password, and was logged out.\n", u.Name)
		return nil
	})
}

type userDisableCmd struct {
	Name string `arg:"" help:"The user's name."`
}

// Run lets a user in no more.
func (c *userDisableCmd) Run(ctx context.Context, e *env) error {
	return setDisabled(ctx, e, c.Name, true, "%s is disabled, and was logged out.\n")
}

type userEnableCmd struct {
	Name string `arg:"" help:"The user's name."`
}

// Run lets a user in again.
func (c *userEnableCmd) Run(ctx context.Context, e *env) error {
	return setDisabled(ctx, e, c.Name, false, "%s is enabled.\n")
}

func setDisabled(ctx context.Context, e *env, name string, disabled bool, said string) error {
	return withUser(ctx, e, name, func(_ *people.People, st *store.Store, u store.User) error {
		_, err := st.ChangeUser(ctx, u.ID, store.UserChange{Disabled: &disabled}, byHand())
		if err == nil {
			fmt.Fprintf(e.stdout, said, u.Name)
		}
		return err
	})
}

type userRemoveCmd struct {
	Name string `arg:"" help:"The user's name."`
}

// Run forgets a user.
func (c *userRemoveCmd) Run(ctx context.Context, e *env) error {
	return withUser(ctx, e, c.Name, func(_ *people.People, st *store.Store, u store.User) error {
		err := st.RemoveUser(ctx, u.ID, byHand())
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is removed.\n", u.Name)
		}
		return err
	})
}

type userListCmd struct {
	JSON bool `name:"json" help:"As a JSON array."`
}

// listedUser is a user in the JSON of user list.
type listedUser struct {
	Name        string     `json:"name"`
	Role        store.Role `json:"role"`
	Domains     []string   `json:"domains"` // null: all
	Disabled    bool       `json:"disabled"`
	Password    string     `json:"password"` // none, one-time, set
	Issuer      *string    `json:"issuer"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by"`
	LastLoginAt *time.Time `json:"last_login_at"`
}

// usersAtOnce is how many are read at once.
const usersAtOnce = 500

// Run lists the users by name.
func (c *userListCmd) Run(ctx context.Context, e *env) error {
	return withPeople(ctx, e, func(_ *people.People, st *store.Store) error {
		list := []listedUser{}
		for after := ""; ; {
			users, err := st.ListUsers(ctx, after, usersAtOnce)
			if err != nil {
				return err
			}
			for _, u := range users {
				list = append(list, showUser(u))
			}
			if len(users) < usersAtOnce {
				break
			}
			after = users[len(users)-1].Name
		}
		if c.JSON {
			out := json.NewEncoder(e.stdout)
			out.SetIndent("", "  ")
			return out.Encode(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(e.stdout, "There are no users yet: bindgate serve makes an admin when it starts, or add one with bindgate user add NAME --role admin.")
			return nil
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tDOMAINS\tSTATE\tLAST LOGIN")
		for _, u := range list {
			state, last := "enabled", "never"
			switch {
			case u.Disabled:
				state = "disabled"
			case u.Password == "one-time":
				state = "one-time password"
			case u.Issuer != nil:
				state = "by " + *u.Issuer
			}
			if u.LastLoginAt != nil {
				last = u.LastLoginAt.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.Name, u.Role, domainsText(u.Domains), state, last)
		}
		return w.Flush()
	})
}

func showUser(u store.User) listedUser {
	l := listedUser{Name: u.Name, Role: u.Role, Domains: u.Domains, Disabled: u.Disabled, Password: "none", CreatedAt: u.CreatedAt.UTC(), CreatedBy: u.CreatedBy}
	switch {
	case u.MustChange:
		l.Password = "one-time"
	case u.HasPassword:
		l.Password = "set"
	}
	if u.Issuer != "" {
		l.Issuer = &u.Issuer
	}
	if !u.LastLoginAt.IsZero() {
		l.LastLoginAt = new(u.LastLoginAt.UTC())
	}
	return l
}

func domainsText(domains []string) string {
	if domains == nil {
		return "all domains"
	}
	return strings.Join(domains, ",")
}

// withPeople calls do with the users of the configured database, which is brought to this version's schema.
func withPeople(ctx context.Context, e *env, do func(*people.People, *store.Store) error) (err error) {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	db, err := cfg.joinDatabase(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.stop(ctx)) }()
	if err := migrations.Up(ctx, db.url); err != nil {
		return cfg.databaseError(err)
	}
	st, err := store.Open(ctx, store.Config{URL: db.url, MaxConns: 2})
	if err != nil {
		return cfg.databaseError(err)
	}
	defer st.Close()
	p, err := people.New(st, e.log)
	if err != nil {
		return err
	}
	return do(p, st)
}

// withUser is withPeople for one that is there.
func withUser(ctx context.Context, e *env, name string, do func(*people.People, *store.Store, store.User) error) error {
	return withPeople(ctx, e, func(p *people.People, st *store.Store) error {
		u, err := findUser(ctx, st, name)
		if err == nil {
			err = do(p, st, u)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("there is no user %q; bindgate user list shows who is there", name)
		case errors.Is(err, store.ErrLastAdmin):
			return fmt.Errorf("%s is the last admin of all domains who is enabled: make another one first, or nobody could change users on the dashboard", name)
		}
		return err
	})
}

func findUser(ctx context.Context, st *store.Store, name string) (store.User, error) {
	name, err := people.Name(name)
	if err != nil {
		return store.User{}, store.ErrNotFound
	}
	return st.FindUser(ctx, name)
}

// byHand is whoever runs the command, by the name that the operating system has.
func byHand() store.Actor {
	a := store.Actor{Via: store.ViaCLI}
	if u, err := user.Current(); err == nil {
		a.Subject = u.Username
	}
	return a
}
