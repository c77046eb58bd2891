package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Enforcing is the mode of a link under which rules are carried out; under any other nobody is refused or sent away by one.
const Enforcing = "enforce"

// byOperator is true of an eviction that somebody asked for by name: no mode holds it up.
const byOperator = "(evict_kick is not null and evict_code in ('kick', 'blocked'))"

// ByOperator reports whether somebody asked for this very eviction: no mode of a link holds it up, unlike one that a rule made.
func (e *Eviction) ByOperator() bool { return e.Kick != 0 && (e.Code == "kick" || e.Code == "blocked") }

// SetLinkMode keeps the mode that a link's modules have to be in, and returns the number of this change. ErrNotFound if there is no such link.
func (s *Store) SetLinkMode(ctx context.Context, name, mode string, by Actor) (change int64, err error) {
	if was, ok, err := Made[modeOutcome](by); ok || err != nil {
		return was.Change, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var before string
		if err := tx.QueryRow(ctx, "select mode from links where name = $1 for update", name).Scan(&before); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "with rewound as ("+rewindParts+") update links set mode = $2, mode_change = mode_change + 1 where name = $1 returning mode_change", name, mode).Scan(&change); err != nil {
			return err
		}
		out := modeOutcome{change}
		return audit(ctx, tx, by, out, Entry{Action: LinkMode, Target: name, Old: before, New: mode, Outcome: out})
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, ErrNotFound
	case err != nil:
		return 0, fmt.Errorf("set the mode of link %q: %w", name, err)
	}
	return change, nil
}

// modeOutcome is what a change of a mode came to.
type modeOutcome struct {
	Change int64 `json:"change"`
}

// LinkMode returns the mode that a link's modules have to be in, and the number of the change that said so; 0 if none did.
func (s *Store) LinkMode(ctx context.Context, name string) (mode string, change int64, err error) {
	if err := s.pool.QueryRow(ctx, "select mode, mode_change from links where name = $1", name).Scan(&mode, &change); err != nil {
		return "", 0, fmt.Errorf("mode of link %q: %w", name, err)
	}
	return mode, change, nil
}

// Held returns accounts of a link that have a session which a rule wanted to go, while the link's mode holds that up. An eviction that was just sent to
// the server is left out: its end may be on its way.
func (s *Store) Held(ctx context.Context, link string, limit int) ([]string, error) {
	return s.jids(ctx, "held evictions", `select distinct a.jid from sessions s join accounts a on a.key = s.account
		where s.link = $1 and s.evict_next <= now() and not `+byOperator+`
			and exists (select from links where name = $1 and mode <> '`+Enforcing+`') limit $2`, link, limit)
}

// BlockedLive returns accounts of a link that have a live session of a blocked device, or on the resource that stands for one, which nobody wants to go.
func (s *Store) BlockedLive(ctx context.Context, link string) ([]string, error) {
	return s.jids(ctx, "sessions of blocked devices", `select distinct a.jid from devices d
			join sessions s on s.account = d.account and (s.device = d.id or s.resource = d.resource) join accounts a on a.key = d.account
		where d.blocked and s.link = $1 and s.evict_code is null and s.state <> 'binding'`, link)
}
