package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The states of a listed session beyond those of rules.State.
const (
	StateEvicting = "evicting" // has an eviction, whatever its own state
	StateEnded    = "ended"    // in the history
)

// ListedSession is a session as readers see it.
type ListedSession struct {
	Key        Key
	JID        string
	Domain     string
	SID        string
	Generation int64
	Link       string
	Resource   string
	State      string // a rules.State, StateEvicting or StateEnded
	Device     int64  // 0: unknown
	Identity   string
	Platform   string
	IP         string
	Secure     bool
	Client     string
	DecidedAt  time.Time // zero: not judged
	StartedAt  time.Time
	LastSeenAt time.Time
	EndedAt    time.Time // zero: lives
	EndReason  string

	StillPresent bool // the server was asked several times to end it, and it lives on
}

// ID returns the session's public id.
func (s ListedSession) ID() string { return SessionID(s.Key, s.Generation) }

const listedLive = `s.account, a.jid, a.domain, s.sid, s.generation, s.link, s.resource, case when s.evict_code is null then s.state else 'evicting' end,
	coalesce(s.device, 0), s.identity, s.platform, s.ip, s.secure, s.client, s.decided_at, s.started_at, s.last_seen_at, null::timestamptz, '', coalesce(s.still_present, false)
	from sessions s join accounts a on a.key = s.account`

const listedEnded = `s.account, a.jid, a.domain, s.sid, s.generation, s.link, s.resource, 'ended',
	coalesce(s.device, 0), s.identity, s.platform, s.ip, s.secure, s.client, s.decided_at, s.started_at, s.last_seen_at, s.ended_at, s.end_reason, false
	from session_history s join accounts a on a.key = s.account`

// FindSession returns a session that lives or has ended, by its account and generation; ErrNotFound.
func (s *Store) FindSession(ctx context.Context, account Key, generation int64) (ListedSession, error) {
	// The live ones first: a session that ends meanwhile is in the history when that is read.
	for _, columns := range []string{listedLive, listedEnded} {
		rows, err := s.pool.Query(ctx, "select "+columns+" where s.account = $1 and s.generation = $2", uuidOf(account), generation)
		if err != nil {
			return ListedSession{}, fmt.Errorf("find session: %w", err)
		}
		found, err := pgx.CollectOneRow(rows, scanListedSession)
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return ListedSession{}, fmt.Errorf("find session: %w", err)
		}
	}
	return ListedSession{}, ErrNotFound
}

// SessionsAt returns an account's live sessions on a resource, or of a device if resource is "": first those that may stay, the latest first.
func (s *Store) SessionsAt(ctx context.Context, account Key, resource string, device int64) ([]ListedSession, error) {
	rows, err := s.pool.Query(ctx, "select "+listedLive+` where s.account = $1 and case when $2 = '' then s.device = $3 else s.resource = $2 end
		order by s.evict_code is not null, s.generation desc`, uuidOf(account), resource, device)
	if err != nil {
		return nil, fmt.Errorf("sessions at: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanListedSession)
	if err != nil {
		return nil, fmt.Errorf("sessions at: %w", err)
	}
	return list, nil
}

// HadSession reports whether the account's history has a session on the resource, or of the device if resource is "".
func (s *Store) HadSession(ctx context.Context, account Key, resource string, device int64) (bool, error) {
	var had bool
	err := s.pool.QueryRow(ctx, `select exists (select from session_history where account = $1 and case when $2 = '' then device = $3 else resource = $2 end)`,
		uuidOf(account), resource, device).Scan(&had)
	if err != nil {
		return false, fmt.Errorf("had session: %w", err)
	}
	return had, nil
}

func scanListedSession(row pgx.CollectableRow) (ListedSession, error) {
	var s ListedSession
	var k pgtype.UUID
	var decided, ended pgtype.Timestamptz
	err := row.Scan(&k, &s.JID, &s.Domain, &s.SID, &s.Generation, &s.Link, &s.Resource, &s.State, &s.Device, &s.Identity, &s.Platform, &s.IP, &s.Secure,
		&s.Client, &decided, &s.StartedAt, &s.LastSeenAt, &ended, &s.EndReason, &s.StillPresent)
	s.Key, s.DecidedAt, s.EndedAt = k.Bytes, decided.Time, ended.Time
	return s, err
}

func uuidOf(k Key) pgtype.UUID { return pgtype.UUID{Bytes: k, Valid: true} }

// query collects conditions; each ? stands for the next argument.
type query struct {
	sql  strings.Builder
	args []any
}

func (q *query) where(condition string, args ...any) {
	if q.sql.Len() == 0 {
		q.sql.WriteString(" where ")
	} else {
		q.sql.WriteString(" and ")
	}
	for _, arg := range args {
		before, after, _ := strings.Cut(condition, "?")
		q.args = append(q.args, arg)
		fmt.Fprintf(&q.sql, "%s$%d", before, len(q.args))
		condition = after
	}
	q.sql.WriteString(condition)
}
