package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var (
	// ErrKeyReused is returned for an Idempotency-Key that was used for another request.
	ErrKeyReused = errors.New("store: the key was used for another request")
	// ErrKeyInUse is returned while another attempt of the same request is being carried out.
	ErrKeyInUse = errors.New("store: the request is being carried out")
	// ErrClaimLost ends a transaction of an attempt whose place another one has taken, or that has been given up. Nothing was written.
	ErrClaimLost = errors.New("store: another attempt of the request has taken over")
)

// keysKept is how long a key stands for its request.
const keysKept = 24 * time.Hour

// Claim is one attempt to carry out a request that has an Idempotency-Key. At most one attempt changes the record: the transaction that makes the change
// writes the claim with it, and fails if another attempt holds the key by then.
type Claim struct {
	Hash   []byte
	Since  time.Time       // of the key, which the attempts of one request have in common; used again after a day it has another
	Seed   []byte          // nobody can guess it: what is secret in the answer is derived from it, so that every attempt gives the same
	Answer []byte          // that was kept, sealed; nil: the request is to be carried out
	came   json.RawMessage // what the change of an earlier attempt came to; nil: none changed anything
	number int64
}

// Made returns what the change of an earlier attempt of the actor's request came to, the outcome of its audit entry; false: none has changed anything, and
// it is to be done now. An attempt may have died between its change and its answer.
func Made[T any](by Actor) (came T, ok bool, err error) {
	if by.Claim == nil || by.Claim.came == nil {
		return came, false, nil
	}
	if err := json.Unmarshal(by.Claim.came, &came); err != nil {
		return came, false, fmt.Errorf("what an earlier attempt came to: %w", err)
	}
	return came, true, nil
}

// ClaimKey takes a key for an attempt that ends within lease. The fingerprint is that of the request, account the one that it names (nil: none). Claim.Answer
// is set if the request has been answered. ErrKeyReused, ErrKeyInUse.
func (s *Store) ClaimKey(ctx context.Context, hash, fingerprint []byte, account *Key, lease time.Duration) (*Claim, error) {
	c := &Claim{Hash: hash}
	var key pgtype.UUID
	if account != nil {
		key = uuidOf(*account)
	}
	for range 3 { // it may be freed between the two statements
		err := s.pool.QueryRow(ctx, `insert into idempotency_keys as k (hash, fingerprint, account, created_at, claim, lease_until)
				values ($1, $2, $3, clock_timestamp(), nextval('idempotency_claim'), clock_timestamp() + $4::interval)
			on conflict (hash) do update set claim = excluded.claim, lease_until = excluded.lease_until, fingerprint = excluded.fingerprint, account = excluded.account, answer = null,
				made = case when k.created_at > clock_timestamp() - $5::interval then k.made end,
				created_at = case when k.created_at > clock_timestamp() - $5::interval then k.created_at else excluded.created_at end
				where k.created_at <= clock_timestamp() - $5::interval or k.answer is null and k.lease_until <= clock_timestamp() and k.fingerprint = excluded.fingerprint
			returning claim, made, created_at`, hash, fingerprint, key, lease, keysKept).Scan(&c.number, &c.came, &c.Since)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("claim key: %w", err)
		}
		var before []byte
		err = s.pool.QueryRow(ctx, `select fingerprint, answer from idempotency_keys where hash = $1`, hash).Scan(&before, &c.Answer)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			continue
		case err != nil:
			return nil, fmt.Errorf("claim key: %w", err)
		case !bytes.Equal(before, fingerprint):
			return nil, ErrKeyReused
		case c.Answer == nil:
			return nil, ErrKeyInUse
		}
		return c, nil
	}
	return nil, ErrKeyInUse
}

// KeepAnswer ends an attempt with an answer, sealed, that every later one gets. ErrClaimLost if another attempt has the key.
func (s *Store) KeepAnswer(ctx context.Context, c *Claim, answer []byte) error {
	tag, err := s.pool.Exec(ctx, `update idempotency_keys set answer = $3, made = null, lease_until = '-infinity' where hash = $1 and claim = $2`, c.Hash, c.number, answer)
	switch {
	case err != nil:
		return fmt.Errorf("keep answer: %w", err)
	case tag.RowsAffected() == 0:
		return fmt.Errorf("keep answer: %w", ErrClaimLost)
	}
	return nil
}

// FreeKey ends an attempt without an answer: the next one carries the request out, or, if this one has changed the record, goes on from there. What this
// attempt would still change is refused.
func (s *Store) FreeKey(ctx context.Context, c *Claim) error {
	_, err := s.pool.Exec(ctx, `with freed as (delete from idempotency_keys where hash = $1 and claim = $2 and made is null)
		update idempotency_keys set claim = nextval('idempotency_claim'), lease_until = '-infinity' where hash = $1 and claim = $2 and made is not null`, c.Hash, c.number)
	if err != nil {
		return fmt.Errorf("free key: %w", err)
	}
	return nil
}

// made is a claim whose change is written.
type made struct {
	claim *Claim
	came  any // nil: nothing to tell
}

// queue writes that the claim's change is made. It fails the transaction, by a division by zero, if the claim is not held any more or has made its change already.
func (m made) queue(q *pgx.Batch) {
	came := jsonText(m.came)
	if !came.Valid {
		came = pgtype.Text{String: "{}", Valid: true}
	}
	q.Queue(`with m as (update idempotency_keys set made = $3::jsonb where hash = $1 and claim = $2 and made is null and answer is null returning 1) select 1 / count(*) from m`,
		m.claim.Hash, m.claim.number, came)
}

// claimLost is the SQLSTATE of made's failure.
const claimLost = "22012"
