package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/rules"
)

// BulkKick ends the sessions that a filter finds, on whatever link.
type BulkKick struct {
	Filter    KickFilter        `json:"-"`
	Platforms []string          `json:"platforms,omitempty"` // that Filter.Platform stood for when it was asked for
	Reason    string            `json:"reason,omitempty"`    // for the audit
	Text      map[string]string `json:"text,omitempty"`      // language → what the clients are told; nil: the rule's words
	Cooldown  int64             `json:"cooldown,omitempty"`  // seconds that the kicked devices have to wait; 0: not at all
	Block     bool              `json:"block,omitempty"`     // the devices of these sessions too
	Revoke    bool              `json:"revoke,omitempty"`    // what the server stores of login credentials, before the sessions end
}

// KickFilter says which sessions; all that is set has to fit.
type KickFilter struct {
	Domain    string `json:"domain,omitempty"`
	Group     string `json:"group,omitempty"`
	Platform  string `json:"platform,omitempty"`           // or a group of platforms
	State     string `json:"state,omitempty"`              // a rules.State
	Resource  string `json:"resource,omitempty"`           // a pattern (rules.Glob)
	OlderThan int64  `json:"older_than_seconds,omitempty"` // when the kick was asked for
}

// OfAccounts reports whether the filter is for whole accounts.
func (f KickFilter) OfAccounts() bool {
	return f.Platform == "" && f.State == "" && f.Resource == "" && f.OlderThan == 0
}

// Going reports whether an operator has asked already that the session ends.
func (s *Session) Going() bool {
	return s.Eviction != nil && !s.Eviction.NextAt.IsZero() && s.Eviction.ByOperator()
}

// For reports whether a kick that was asked for at a time is for a session of an account of its domain and group. Who came in later is not meant: a session's start
// is told by the same clock, the database's. A session that the server had and the record did not may seem younger than it is by what its report took, never older.
func (k *BulkKick) For(s *Session, asked time.Time) bool {
	f := k.Filter
	return !s.Going() && !s.StartedAt.After(asked.Add(-time.Duration(f.OlderThan)*time.Second)) && (f.State == "" || string(s.State) == f.State) &&
		(f.Platform == "" || slices.Contains(k.Platforms, s.Platform)) && (f.Resource == "" || rules.Glob(f.Resource, s.Resource))
}

// where is For as a condition for a session s, which lets none of them out.
func (k *BulkKick) where() string {
	sql := "not (s.evict_next is not null and " + strings.ReplaceAll(byOperator, "evict_", "s.evict_") + ") and s.started_at <= @until"
	if k.Filter.State != "" {
		sql += " and s.state = @state"
	}
	if k.Filter.Platform != "" {
		sql += " and s.platform = any(@platforms)"
	}
	if k.Filter.Resource != "" {
		sql += " and s.resource ilike @resource"
	}
	return sql
}

func (k *BulkKick) args(args pgx.NamedArgs, asked time.Time) {
	args["until"] = asked.Add(-time.Duration(k.Filter.OlderThan) * time.Second)
	args["state"], args["platforms"] = k.Filter.State, k.Platforms
	args["resource"] = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`, `?`, `_`).Replace(k.Filter.Resource)
}

// CountKick counts the sessions that a kick would be for if it were asked for now, and their accounts. It looks at every live session.
func (s *Store) CountKick(ctx context.Context, k BulkKick, domains []string) (accounts, sessions int64, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("count kick: %w", err)
	}
	p := JobPart{Kick: &k, Domains: domains, RequestedAt: now}
	c := p.Crowd()
	err = s.pool.QueryRow(ctx, `select count(*), coalesce(sum(n), 0)::bigint from (select count(*) as n from sessions s join accounts a on a.key = s.account
		where `+c.session()+` and `+c.where()+` group by s.account) of_accounts`, c.args(Key{}, 0)).Scan(&accounts, &sessions)
	if err != nil {
		return 0, 0, fmt.Errorf("count kick: %w", err)
	}
	return accounts, sessions, nil
}

// AcceptKick puts a kick on record; whatever becomes of this process, it is done. domains limit it to their accounts; nil: not.
func (s *Store) AcceptKick(ctx context.Context, k BulkKick, domains []string, by Actor) (id int64, err error) {
	if was, ok, err := Made[int64](by); ok || err != nil {
		return was, err
	}
	filter, err := json.Marshal(k.Filter)
	if err != nil {
		return 0, fmt.Errorf("accept kick: %w", err)
	}
	kick, err := json.Marshal(k)
	if err != nil {
		return 0, fmt.Errorf("accept kick: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "insert into jobs (kind, filter, kick, domains, requested_at, requested_by) values ($1, $2, $3, $4, clock_timestamp(), $5) returning id",
			JobKick, string(filter), string(kick), domains, by.String()).Scan(&id); err != nil {
			return err
		}
		return audit(ctx, tx, by, id, Entry{Action: SessionKick, Target: JobID(id), Domain: onlyOne(domains), New: map[string]any{"filter": k.Filter, "kick": k, "domains": domains}})
	})
	if err != nil {
		return 0, fmt.Errorf("accept kick: %w", err)
	}
	return id, nil
}
