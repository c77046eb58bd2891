package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Role says what a user of the dashboard may do.
type Role string

// The roles; each may what those before it may.
const (
	RoleViewer  Role = "viewer"  // look
	RoleSupport Role = "support" // and kick one account's sessions
	RoleAdmin   Role = "admin"   // everything
)

// Roles are all of them, the least first.
func Roles() []Role { return []Role{RoleViewer, RoleSupport, RoleAdmin} }

// Covers reports whether the role may what least may. An unknown role covers nothing and is covered by nothing.
func (r Role) Covers(least Role) bool {
	have, need := slices.Index(Roles(), r), slices.Index(Roles(), least)
	return need >= 0 && have >= need
}

// PasswordHash is what is kept of a password. It prints as [redacted].
type PasswordHash string

// String hides the hash.
func (PasswordHash) String() string { return "[redacted]" }

// GoString hides the hash.
func (PasswordHash) GoString() string { return "[redacted]" }

// LogValue hides the hash.
func (PasswordHash) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the hash.
func (PasswordHash) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// User is somebody who uses the dashboard.
type User struct {
	ID          int64
	Name        string // in its one form; it never changes
	Role        Role
	Domains     []string // whose accounts the user sees; nil: all
	HasPassword bool
	MustChange  bool   // the password is good for choosing another one
	Issuer      string // of OpenID Connect; "": nobody vouches for the user
	Subject     string // by which the issuer knows the user
	Disabled    bool
	CreatedAt   time.Time
	CreatedBy   string
	LastLoginAt time.Time // zero: never
}

// Unlimited reports whether the user is an admin of all domains: one who may change users.
func (u User) Unlimited() bool { return u.Role == RoleAdmin && u.Domains == nil }

// MaxUsers is how many there may be.
const MaxUsers = 10_000

var (
	// ErrTaken is returned when a name belongs to another already.
	ErrTaken = errors.New("store: the name is taken")
	// ErrLastAdmin is returned for a change after which nobody could change users any more. Nothing was written.
	ErrLastAdmin = errors.New("store: nobody could change users any more")
)

// lockUsers lets one transaction at a time change users: who is the last admin is to be seen.
const lockUsers = "select pg_advisory_xact_lock(hashtextextended('bindgate users', 0))"

const userColumns = `u.id, u.name, u.role, u.domains, u.password is not null, u.must_change, coalesce(u.issuer, ''), coalesce(u.subject, ''), u.disabled, u.created_at, u.created_by, u.last_login_at`

// userFields is where userColumns go.
func userFields(u *User, lastLogin *pgtype.Timestamptz) []any {
	return []any{&u.ID, &u.Name, &u.Role, &u.Domains, &u.HasPassword, &u.MustChange, &u.Issuer, &u.Subject, &u.Disabled, &u.CreatedAt, &u.CreatedBy, lastLogin}
}

func scanUser(row pgx.CollectableRow) (User, error) {
	var u User
	var last pgtype.Timestamptz
	err := row.Scan(userFields(&u, &last)...)
	u.LastLoginAt = last.Time
	return u, err
}

func oneUser(rows pgx.Rows, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	u, err := pgx.CollectExactlyOneRow(rows, scanUser)
	if errors.Is(err, pgx.ErrNoRows) {
		return u, ErrNotFound
	}
	return u, err
}

// FindUser returns the user of a name in its one form; ErrNotFound.
func (s *Store) FindUser(ctx context.Context, name string) (User, error) {
	u, err := oneUser(s.pool.Query(ctx, "select "+userColumns+" from users u where name = $1", name))
	return u, wrapUser("find user", err)
}

// ListUsers returns users by name, from behind after on.
func (s *Store) ListUsers(ctx context.Context, after string, limit int) ([]User, error) {
	rows, err := s.pool.Query(ctx, `select `+userColumns+` from users u where name collate "C" > $1 order by name collate "C" limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanUser)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return list, nil
}

// FindPassword returns the user of a name with what is kept of the password; "" if none is. ErrNotFound.
func (s *Store) FindPassword(ctx context.Context, name string) (u User, hash PasswordHash, err error) {
	var last pgtype.Timestamptz
	err = s.pool.QueryRow(ctx, "select "+userColumns+", coalesce(u.password, '') from users u where name = $1", name).Scan(append(userFields(&u, &last), &hash)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	u.LastLoginAt = last.Time
	return u, hash, wrapUser("find password", err)
}

// NewUser is a user to be.
type NewUser struct {
	Name       string // in its one form
	Role       Role
	Domains    []string     // prepared; nil: all
	Password   PasswordHash // "": none
	MustChange bool
	Issuer     string // of OpenID Connect; "": none
	Subject    string
}

// auditedUser is what the audit says of a user.
type auditedUser struct {
	Role     Role     `json:"role"`
	Domains  []string `json:"domains"`
	Disabled bool     `json:"disabled"`
	Issuer   string   `json:"issuer,omitempty"`
}

func (u User) audited() auditedUser { return auditedUser{u.Role, u.Domains, u.Disabled, u.Issuer} }

// AddUser keeps a user. ErrTaken, ErrTooMany.
func (s *Store) AddUser(ctx context.Context, n NewUser, by Actor) (u User, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockUsers); err != nil {
			return err
		}
		u, err = insertUser(ctx, tx, n, by)
		return err
	})
	return u, wrapUser("add user", err)
}

// AddFirstUser keeps the user if there is none yet, and reports whether it did. Of any number of processes that ask at once one does.
func (s *Store) AddFirstUser(ctx context.Context, n NewUser, by Actor) (added bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockUsers); err != nil {
			return err
		}
		var some bool
		if err := tx.QueryRow(ctx, "select exists (select from users)").Scan(&some); err != nil || some {
			return err
		}
		added = true
		_, err := insertUser(ctx, tx, n, by)
		return err
	})
	return added && err == nil, wrapUser("add first user", err)
}

// HasUsers reports whether there are any.
func (s *Store) HasUsers(ctx context.Context) (some bool, err error) {
	if err := s.pool.QueryRow(ctx, "select exists (select from users)").Scan(&some); err != nil {
		return false, fmt.Errorf("users: %w", err)
	}
	return some, nil
}

// insertUser keeps a user in a transaction that has lockUsers.
func insertUser(ctx context.Context, tx pgx.Tx, n NewUser, by Actor) (User, error) {
	var count int
	if err := tx.QueryRow(ctx, "select count(*) from users").Scan(&count); err != nil {
		return User{}, err
	}
	if count >= MaxUsers {
		return User{}, ErrTooMany
	}
	u, err := oneUser(tx.Query(ctx, `insert into users as u (name, role, domains, password, must_change, issuer, subject, created_at, created_by)
		values ($1, $2, $3, nullif($4, ''), $5, nullif($6, ''), nullif($7, ''), clock_timestamp(), $8) returning `+userColumns,
		n.Name, n.Role, n.Domains, string(n.Password), n.MustChange, n.Issuer, n.Subject, by.String()))
	if err != nil {
		return u, err
	}
	return u, audit(ctx, tx, by, nil, Entry{Action: UserAdd, Target: u.Name, New: u.audited()})
}

// wrapUser says what was being done, unless the error is one that callers expect.
func wrapUser(doing string, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg) && pg.ConstraintName == "users_name_key":
		return ErrTaken
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrTaken), errors.Is(err, ErrTooMany), errors.Is(err, ErrLastAdmin):
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}
