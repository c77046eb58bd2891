package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A login to the dashboard ends by itself so long after it began, and after it was last used. One for which a provider vouches is shorter: what the provider
// says of somebody is asked for at each login alone, so a role that is withdrawn there lasts until then.
const (
	LoginLife         = 7 * 24 * time.Hour
	ProviderLoginLife = 12 * time.Hour
	LoginIdle         = 12 * time.Hour
)

const (
	maxLogins   = 50          // of one user; another one ends the one that was longest unused
	loginsKept  = time.Hour   // after they have expired
	maxBrowsers = 20          // of one user, that are known
	seenEvery   = time.Minute // how exactly it is known when a login was last used
)

// LoginToken is what a browser proves its login with. 130 bits that nobody can guess; only its hash is kept. It prints as [redacted].
type LoginToken string

// NewLoginToken makes one.
func NewLoginToken() LoginToken { return LoginToken(rand.Text()) }

// String hides the token.
func (LoginToken) String() string { return "[redacted]" }

// GoString hides the token.
func (LoginToken) GoString() string { return "[redacted]" }

// LogValue hides the token.
func (LoginToken) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the token.
func (LoginToken) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

func (t LoginToken) hash() []byte {
	sum := sha256.Sum256([]byte(t))
	return sum[:]
}

// Login is somebody's being logged in to the dashboard in one browser.
type Login struct {
	ID        int64
	User      int64
	CreatedAt time.Time
	SeenAt    time.Time // last used, to the minute
	ExpiresAt time.Time // if it is used until then
	Address   string    // it began from; "": not known
	UserAgent string    // that the browser named then
}

const loginColumns = "l.id, l.user_id, l.created_at, l.seen_at, l.expires_at, l.address, l.agent"

// stands is true of logins that have not ended by themselves; $1 is LoginIdle.
const stands = "l.expires_at > clock_timestamp() and l.seen_at > clock_timestamp() - $1::interval"

func loginFields(l *Login) []any {
	return []any{&l.ID, &l.User, &l.CreatedAt, &l.SeenAt, &l.ExpiresAt, &l.Address, &l.UserAgent}
}

// NewLogin is a login to be.
type NewLogin struct {
	User      int64
	Password  PasswordHash // that was checked; "": a provider vouches for the user
	Address   string
	UserAgent string
	Had       LoginToken // the browser's, so far, which ends; "": none
	Knew      LoginToken // by which the browser was known, which ends too; "": none
	Browser   LoginToken // by which it is known from now on; "": it is not to be
}

// StartLogin logs a user in under a new token. ErrNotFound if the user is disabled or gone, or has another password by now.
func (s *Store) StartLogin(ctx context.Context, n NewLogin, by Actor) (token LoginToken, l Login, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		token, l, err = startLogin(ctx, tx, n, by)
		return err
	})
	return token, l, wrapUser("start login", err)
}

func startLogin(ctx context.Context, tx pgx.Tx, n NewLogin, by Actor) (token LoginToken, l Login, err error) {
	// The user's row is locked: a change of it ends this login too, or comes before it.
	var name string
	err = tx.QueryRow(ctx, "update users set last_login_at = clock_timestamp() where id = $1 and not disabled and ($2 = '' or password = $2) returning name", n.User, string(n.Password)).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", l, ErrNotFound
	}
	if err != nil {
		return "", l, err
	}
	if _, err := tx.Exec(ctx, "delete from logins where token = $1", n.Had.hash()); err != nil {
		return "", l, err
	}
	if _, err := tx.Exec(ctx, "delete from logins where id in (select id from logins where user_id = $1 order by seen_at desc offset $2)", n.User, maxLogins-1); err != nil {
		return "", l, err
	}
	life := LoginLife
	if n.Password == "" {
		life = ProviderLoginLife
	}
	token = NewLoginToken()
	if err := tx.QueryRow(ctx, `insert into logins as l (user_id, token, created_at, seen_at, expires_at, address, agent)
		values ($1, $2, clock_timestamp(), clock_timestamp(), clock_timestamp() + $3::interval, $4, $5) returning `+loginColumns,
		n.User, token.hash(), life, n.Address, n.UserAgent).Scan(loginFields(&l)...); err != nil {
		return "", l, err
	}
	if n.Browser != "" {
		if err := keepBrowser(ctx, tx, n); err != nil {
			return "", l, err
		}
	}
	by.Subject = name
	return token, l, audit(ctx, tx, by, nil, Entry{Action: UserLogin, Target: name})
}

// keepBrowser makes a browser known for the user, and for no other.
func keepBrowser(ctx context.Context, tx pgx.Tx, n NewLogin) error {
	if _, err := tx.Exec(ctx, "delete from login_browsers where token = $1", n.Knew.hash()); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into login_browsers values ($1, $2, clock_timestamp())", n.Browser.hash(), n.User); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "delete from login_browsers where token in (select token from login_browsers where user_id = $1 order by used_at desc offset $2)", n.User, maxBrowsers)
	return err
}

// FindLogin returns the login that a token proves, and its user. With active its use counts: it is a person who asks, and not a page by itself. ErrNotFound
// if the login has ended.
func (s *Store) FindLogin(ctx context.Context, token LoginToken, active bool) (l Login, u User, err error) {
	var last pgtype.Timestamptz
	var stale bool
	err = s.pool.QueryRow(ctx, "select "+loginColumns+", l.seen_at < clock_timestamp() - $3::interval, "+userColumns+" from logins l join users u on u.id = l.user_id where "+stands+" and l.token = $2 and not u.disabled",
		LoginIdle, token.hash(), seenEvery).Scan(append(append(loginFields(&l), &stale), userFields(&u, &last)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, u, ErrNotFound
	}
	u.LastLoginAt = last.Time
	if err == nil && stale && active {
		_, err = s.pool.Exec(ctx, "update logins set seen_at = clock_timestamp() where id = $1", l.ID)
	}
	return l, u, wrapUser("find login", err)
}

// ListLogins returns a user's logins, the latest used first.
func (s *Store) ListLogins(ctx context.Context, user int64) ([]Login, error) {
	rows, err := s.pool.Query(ctx, "select "+loginColumns+" from logins l where "+stands+" and user_id = $2 order by seen_at desc, id desc", LoginIdle, user)
	if err != nil {
		return nil, fmt.Errorf("list logins: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Login, err error) { return l, row.Scan(loginFields(&l)...) })
	if err != nil {
		return nil, fmt.Errorf("list logins: %w", err)
	}
	return list, nil
}

// EndLogin logs a user out of one browser; ErrNotFound.
func (s *Store) EndLogin(ctx context.Context, user, login int64, by Actor) error {
	return s.endLogins(ctx, user, by, func(tx pgx.Tx) (int64, error) {
		tag, err := tx.Exec(ctx, "delete from logins where user_id = $1 and id = $2", user, login)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		return tag.RowsAffected(), err
	})
}

// EndLogins logs a user out everywhere but in one login; 0: everywhere. ErrNotFound if there is no such user.
func (s *Store) EndLogins(ctx context.Context, user, but int64, by Actor) error {
	return s.endLogins(ctx, user, by, func(tx pgx.Tx) (int64, error) { return endLogins(ctx, tx, user, but) })
}

func (s *Store) endLogins(ctx context.Context, user int64, by Actor, end func(pgx.Tx) (int64, error)) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		u, err := oneUser(tx.Query(ctx, "select "+userColumns+" from users u where id = $1 for update", user))
		if err != nil {
			return err
		}
		ended, err := end(tx)
		if err != nil {
			return err
		}
		return audit(ctx, tx, by, nil, Entry{Action: UserLoginEnd, Target: u.Name, Outcome: endedLogins{ended}})
	})
	return wrapUser("end logins", err)
}

func endLogins(ctx context.Context, tx pgx.Tx, user, but int64) (int64, error) {
	tag, err := tx.Exec(ctx, "delete from logins where user_id = $1 and id <> $2", user, but)
	return tag.RowsAffected(), err
}

// ReplacePassword is SetPassword by the user, who stays logged in: under a new token. ErrNotFound if the password that was checked is another by now, or the
// login of the browser (Had) has ended: whoever resets a password or ends logins meanwhile has the last word.
func (s *Store) ReplacePassword(ctx context.Context, id int64, checked, hash PasswordHash, n NewLogin, by Actor) (token LoginToken, l Login, err error) {
	_, err = s.alterUser(ctx, "replace password", id, func(tx pgx.Tx, u User) (User, error) {
		var same bool
		if err := tx.QueryRow(ctx, "select exists (select from users u join logins l on l.user_id = u.id where u.id = $1 and u.password = $2 and l.token = $3)", id, string(checked), n.Had.hash()).Scan(&same); err != nil {
			return u, err
		}
		if !same {
			return u, ErrNotFound
		}
		if u, err = setPassword(ctx, tx, u, hash, false, by); err != nil {
			return u, err
		}
		n.User, n.Password = id, hash
		token, l, err = startLogin(ctx, tx, n, by)
		return u, err
	})
	return token, l, err
}
