package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// linkLockClass is the first number of every link's advisory lock; the second is the link's own.
const linkLockClass = 0x6267 // "bg"

// Link is the row of a link.
type Link struct {
	Name      string
	Owner     Key // of the process, not of an account; zero: nobody
	OwnerName string
	Fence     int64
	Owned     bool // the lease holds, by the database's clock
	Driver    string
	Component string
	Mode      string
	State     json.RawMessage
	UpdatedAt time.Time
}

// ErrHeld is returned when another process owns a link.
var ErrHeld = errors.New("store: another process owns the link")

// AcquireLink makes owner the link's owner for ttl if nobody else is, and fences its predecessor: every transaction the predecessor
// had begun is finished when this returns, and none that it begins later is written. ErrHeld if another lease holds.
func (s *Store) AcquireLink(ctx context.Context, name, driver, component string, owner Key, ownerName string, ttl time.Duration) (Fence, error) {
	fence := Fence{Link: name}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into links (name) values ($1) on conflict do nothing", name); err != nil {
			return err
		}
		var held bool
		if err := tx.QueryRow(ctx, "select number, expires_at > clock_timestamp() and owner is distinct from $2 from links where name = $1",
			name, pgtype.UUID{Bytes: owner, Valid: true}).Scan(&fence.Number, &held); err != nil {
			return err
		}
		if held {
			return ErrHeld
		}
		if _, err := tx.Exec(ctx, "set local lock_timeout = '4s'"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1, $2)", linkLockClass, fence.Number); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `update links set owner = $2, owner_name = $3, fence = fence + 1, driver = $4, component = $5,
				expires_at = clock_timestamp() + $6::interval, updated_at = clock_timestamp()
			where name = $1 and (expires_at <= clock_timestamp() or owner is not distinct from $2) returning fence`,
			name, pgtype.UUID{Bytes: owner, Valid: true}, ownerName, driver, component, ttl).Scan(&fence.Value)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrHeld
		}
		return err
	})
	if err != nil {
		if errors.Is(err, ErrHeld) {
			return Fence{}, err
		}
		return Fence{}, fmt.Errorf("acquire link %q: %w", name, translate(err))
	}
	return fence, nil
}

// RenewLink extends the lease and keeps the owner's view of the link for others to read. ErrFenced: another process owns it.
func (s *Store) RenewLink(ctx context.Context, f Fence, ttl time.Duration, state json.RawMessage) error {
	tag, err := s.pool.Exec(ctx, `update links set expires_at = clock_timestamp() + $3::interval, state = $4, updated_at = clock_timestamp()
		where name = $1 and fence = $2`, f.Link, f.Value, ttl, string(state))
	if err != nil {
		return fmt.Errorf("renew link %q: %w", f.Link, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrFenced
	}
	return nil
}

// ReleaseLink gives the lease back, so that a successor need not wait for its end.
func (s *Store) ReleaseLink(ctx context.Context, f Fence, state json.RawMessage) error {
	_, err := s.pool.Exec(ctx, `update links set expires_at = '-infinity', owner = null, owner_name = '', state = $3, updated_at = clock_timestamp()
		where name = $1 and fence = $2`, f.Link, f.Value, string(state))
	if err != nil {
		return fmt.Errorf("release link %q: %w", f.Link, err)
	}
	return nil
}

// Links returns all links by name.
func (s *Store) Links(ctx context.Context) ([]Link, error) {
	rows, err := s.pool.Query(ctx, `select name, owner, owner_name, fence, expires_at > clock_timestamp(), driver, component, mode, state, updated_at from links order by name`)
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	links, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Link, error) {
		var l Link
		var owner pgtype.UUID
		err := row.Scan(&l.Name, &owner, &l.OwnerName, &l.Fence, &l.Owned, &l.Driver, &l.Component, &l.Mode, &l.State, &l.UpdatedAt)
		l.Owner = owner.Bytes
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	return links, nil
}

// AnyLinkUp reports whether a process owns one of the links and says that it is up.
func (s *Store) AnyLinkUp(ctx context.Context, names []string) (up bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from links where name = any($1) and expires_at > clock_timestamp() and state @> '{"up": true}')`, names).Scan(&up)
	if err != nil {
		return false, fmt.Errorf("links that are up: %w", err)
	}
	return up, nil
}
