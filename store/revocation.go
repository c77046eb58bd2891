package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Revocation asks an account's server to revoke stored login credentials.
type Revocation struct {
	Kick       int64    // that asked for it; one has one at most
	Generation int64    // of the account when it was asked for
	Devices    []string // SASL2 user-agent ids whose credentials it is about; nil: all of the account's
	Others     bool     // it is about those of all other devices
	Reason     string   // what is left out, in words
}

// About reports whether the credentials of the device with a SASL2 user-agent id are meant. "": what cannot be told apart by device.
func (v *Revocation) About(userAgent string) bool {
	if v.Devices == nil && !v.Others {
		return true
	}
	return userAgent != "" && slices.Contains(v.Devices, userAgent) != v.Others
}

// DueRevocation is one that the server has to be asked for now.
type DueRevocation struct {
	Key Key
	JID string
	Revocation
	Attempts int // with this one
}

// Settled is what a server has answered.
type Settled struct {
	Outcome string         // revoked, nothing, unable; "": it has not
	Revoked map[string]int // kind → how many; none are left out
	Reason  string
}

// Revoke keeps a revocation, to be asked for at once.
func (r *Record) Revoke(v Revocation) { r.revocations = append(r.revocations, v) }

// Settle notes what the server has answered; the first answer counts.
func (r *Record) Settle(kick int64, s Settled) { r.settled = append(r.settled, settled{kick, s}) }

type settled struct {
	kick int64
	Settled
}

// revocationColumns are what a flush writes of revocations.
type revocationColumns struct{ added, settled columns }

func (c *revocationColumns) collect(r *Record) {
	for _, v := range r.revocations {
		var devices pgtype.Text
		if v.Devices != nil {
			b, _ := json.Marshal(v.Devices) // strings always encode
			devices = pgtype.Text{String: string(b), Valid: true}
		}
		c.added.push(r.Key, v.Kick, r.Domain, v.Generation, devices, v.Others, r.Now, v.Reason)
	}
	for _, s := range r.settled {
		b, _ := json.Marshal(s.Revoked) // so do numbers
		c.settled.push(r.Key, s.kick, s.Outcome, string(b), s.Reason)
	}
}

func (c *revocationColumns) queue(q *pgx.Batch) {
	c.added.queue(q, `insert into revocations (account, kick, domain, generation, devices, others, requested_at, next_at, reason)
		select a, k, m, g, d::jsonb, o, t, t, r from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::boolean[], $7::timestamptz[], $8::text[]) u(a, k, m, g, d, o, t, r)
		on conflict do nothing`) // tried again although it was committed
	c.settled.queue(q, `update revocations v set next_at = null, outcome = u.o, revoked = u.v::jsonb, reason = u.r
		from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[]) u(a, k, o, v, r) where v.account = u.a and v.kick = u.k and v.next_at is not null`)
}

// unrevoked is true of an eviction whose kick also wants credentials revoked, until the server has answered that or was asked twice: else the client would come
// back by them.
const unrevoked = `exists (select from revocations v where v.account = sessions.account and v.kick = sessions.evict_kick and v.next_at is not null and v.attempts < 2)`

// ClaimRevocations takes up to limit revocations that are due, of accounts of these domains or with a live session on the link, and sets when each is due again:
// after 4, 8 and then 30 seconds.
func (s *Store) ClaimRevocations(ctx context.Context, f Fence, domains []string, limit int) ([]DueRevocation, error) {
	rows, err := s.pool.Query(ctx, `with due as (
			select account, kick from revocations v
			where next_at <= now() and exists (select from links where name = $1 and fence = $2)
				and (domain = any($3) or exists (select from sessions s where s.account = v.account and s.link = $1))
			order by next_at limit $4 for update skip locked),
		claimed as (
			update revocations v set attempts = v.attempts + 1,
				next_at = clock_timestamp() + case v.attempts when 0 then interval '4s' when 1 then interval '8s' else interval '30s' end
			from due where v.account = due.account and v.kick = due.kick
			returning v.*)
		select a.key, a.jid, c.kick, c.generation, c.devices, c.others, c.reason, c.attempts from claimed c join accounts a on a.key = c.account`,
		f.Link, f.Value, domains, limit)
	if err != nil {
		return nil, fmt.Errorf("claim revocations: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DueRevocation, error) {
		var d DueRevocation
		var key pgtype.UUID
		err := row.Scan(&key, &d.JID, &d.Kick, &d.Generation, &d.Devices, &d.Others, &d.Reason, &d.Attempts)
		d.Key = key.Bytes
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim revocations: %w", err)
	}
	return due, nil
}

// HastenRevocations makes those due now that wait for another attempt at these domains. For a link that has just come up.
func (s *Store) HastenRevocations(ctx context.Context, domains []string) error {
	if _, err := s.pool.Exec(ctx, `update revocations v set next_at = clock_timestamp()
		from (select account, kick from revocations where domain = any($1) and next_at > clock_timestamp() for update skip locked) w
		where v.account = w.account and v.kick = w.kick`, domains); err != nil {
		return fmt.Errorf("hasten revocations: %w", err)
	}
	return nil
}

// FindRevocation returns what the server has answered to the revocation of a kick. ErrNotFound if the kick wanted none.
func (s *Store) FindRevocation(ctx context.Context, account Key, kick int64) (Settled, error) {
	var out Settled
	err := s.pool.QueryRow(ctx, "select coalesce(outcome, ''), coalesce(revoked, '{}'), reason from revocations where account = $1 and kick = $2",
		pgtype.UUID{Bytes: account, Valid: true}, kick).Scan(&out.Outcome, &out.Revoked, &out.Reason)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return out, ErrNotFound
	case err != nil:
		return out, fmt.Errorf("find revocation: %w", err)
	}
	return out, nil
}
