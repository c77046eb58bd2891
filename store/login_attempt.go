package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// LoginAttempt is an attempt to log in to the dashboard.
type LoginAttempt struct {
	Name    string       // in its one form; "": none that anybody could have
	Network netip.Prefix // it comes from: an address, of IPv6 its /64; zero: not known
	Browser LoginToken   // by which the browser says that it is known; "": it does not
}

// patience is how attempts are slowed down: the first ones are free, then each failure doubles the wait, from firstWait up to longest. It ends when nothing has
// failed for attemptsKept.
type patience struct {
	free    int
	longest time.Duration
}

const (
	firstWait    = 2 * time.Second
	attemptsKept = time.Hour
)

// What is counted. Guesses for one name from anywhere are few a minute; the wait that they cause is short, and not for browsers that are known: whoever
// guesses keeps nobody out for long.
var (
	perPair    = patience{free: 5, longest: 5 * time.Minute} // of name and network
	perName    = patience{free: 30, longest: time.Minute}
	perNetwork = patience{free: 30, longest: 5 * time.Minute}
	perBrowser = patience{free: 5, longest: 5 * time.Minute}
)

// wait is how long the next attempt has to wait after so many failures.
func (p patience) wait(failures int) time.Duration {
	if failures < p.free {
		return 0
	}
	return min(p.longest, firstWait<<min(failures-p.free, 20))
}

// counted is what an attempt counts for.
func (a LoginAttempt) counted(known bool) map[string]patience {
	if known {
		return map[string]patience{"browser " + hex.EncodeToString(a.Browser.hash()): perBrowser}
	}
	m := map[string]patience{"network " + a.Network.String(): perNetwork}
	if a.Name != "" {
		m["name "+a.Name] = perName
		m["pair "+a.Network.String()+" "+a.Name] = perPair
	}
	return m
}

// CountedAttempt is what an attempt was counted as, until it is forgiven.
type CountedAttempt struct{ subjects []string }

// errRefused takes back what was written to look at an attempt.
var errRefused = errors.New("store: the attempt has to wait")

// TryLogin counts an attempt as failed before its password is looked at: however many come at once, no more are let through. If wait is not 0 the attempt is
// refused, has to be made again after it, and was not counted.
func (s *Store) TryLogin(ctx context.Context, a LoginAttempt) (c CountedAttempt, wait time.Duration, err error) {
	known, err := s.knows(ctx, a)
	if err != nil {
		return c, 0, err
	}
	counted := a.counted(known)
	c.subjects = slices.Sorted(maps.Keys(counted))
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into login_attempts select unnest($1::text[]), 0, clock_timestamp(), '-infinity' order by 1 on conflict do nothing", c.subjects); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select subject, case when last_at > clock_timestamp() - $2::interval then failures else 0 end,
				case when refused_until > clock_timestamp() then refused_until - clock_timestamp() else '0' end
			from login_attempts where subject = any($1) order by subject for update`, c.subjects, attemptsKept)
		if err != nil {
			return err
		}
		var subject string
		var failures int
		var left pgtype.Interval
		q := &pgx.Batch{}
		if _, err := pgx.ForEachRow(rows, []any{&subject, &failures, &left}, func() error {
			wait = max(wait, durationOf(left))
			q.Queue("update login_attempts set failures = $2, last_at = clock_timestamp(), refused_until = clock_timestamp() + $3::interval where subject = $1",
				subject, failures+1, counted[subject].wait(failures+1))
			return nil
		}); err != nil {
			return err
		}
		if wait > 0 {
			return errRefused
		}
		return tx.SendBatch(ctx, q).Close()
	})
	if errors.Is(err, errRefused) {
		return c, wait, nil
	}
	if err != nil {
		return c, 0, fmt.Errorf("try login: %w", err)
	}
	return c, 0, nil
}

// ForgiveLogin takes back what TryLogin counted, of an attempt that has succeeded, or could not be made. After a success the user starts anew from here.
func (s *Store) ForgiveLogin(ctx context.Context, c CountedAttempt, success bool) error {
	if _, err := s.pool.Exec(ctx, `update login_attempts set failures = case when $2 and (subject like 'pair %' or subject like 'browser %') then 0 else greatest(failures - 1, 0) end,
			refused_until = '-infinity'
		where subject in (select subject from login_attempts where subject = any($1) order by subject for update)`, c.subjects, success); err != nil {
		return fmt.Errorf("forgive login: %w", err)
	}
	return nil
}

// knows reports whether somebody of the name has logged in in the browser.
func (s *Store) knows(ctx context.Context, a LoginAttempt) (known bool, err error) {
	if a.Browser == "" {
		return false, nil
	}
	err = s.pool.QueryRow(ctx, "select exists (select from login_browsers b join users u on u.id = b.user_id where b.token = $1 and u.name = $2)", a.Browser.hash(), a.Name).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("known browser: %w", err)
	}
	return known, nil
}
