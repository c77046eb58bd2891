package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// WebhookLease says that a process delivers for a webhook. Fence grows with every new owner.
type WebhookLease struct {
	Webhook int64
	Owner   Key // of the process
	Fence   int64
	Change  int64         // of the webhook, when this was read
	Left    time.Duration // then, until the lease ends
}

// ClaimWebhooks renews the leases that owner has, takes those that nobody has of webhooks with something to do, and returns all that owner has now. A frozen
// process loses its leases after ttl.
func (s *Store) ClaimWebhooks(ctx context.Context, owner Key, ttl time.Duration) ([]WebhookLease, error) {
	if _, err := s.pool.Exec(ctx, `update webhooks set lease_until = clock_timestamp() + $2::interval where owner = $1 and lease_until < clock_timestamp() + $2::interval * 0.6`,
		uuidOf(owner), ttl); err != nil {
		return nil, fmt.Errorf("renew webhooks: %w", err)
	}
	if _, err := s.pool.Exec(ctx, `update webhooks set owner = $1, fence = fence + 1, lease_until = clock_timestamp() + $2::interval
		where id in (select id from webhooks w where lease_until < clock_timestamp() and owner is distinct from $1
			and (enabled or exists (select from webhook_deliveries where webhook = w.id and state = 'pending' and by_hand)) for update skip locked)`, uuidOf(owner), ttl); err != nil {
		return nil, fmt.Errorf("claim webhooks: %w", err)
	}
	rows, err := s.pool.Query(ctx, "select id, fence, change, lease_until - clock_timestamp() from webhooks where owner = $1 and lease_until > clock_timestamp()", uuidOf(owner))
	if err != nil {
		return nil, fmt.Errorf("claim webhooks: %w", err)
	}
	leases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (WebhookLease, error) {
		l := WebhookLease{Owner: owner}
		var left pgtype.Interval
		err := row.Scan(&l.Webhook, &l.Fence, &l.Change, &left)
		l.Left = durationOf(left)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim webhooks: %w", err)
	}
	return leases, nil
}

// ReleaseWebhook gives a lease back, so that a successor need not wait for its end.
func (s *Store) ReleaseWebhook(ctx context.Context, l WebhookLease) error {
	if _, err := s.pool.Exec(ctx, "update webhooks set owner = null, lease_until = '-infinity' where id = $1 and owner = $2 and fence = $3", l.Webhook, uuidOf(l.Owner), l.Fence); err != nil {
		return fmt.Errorf("release webhook: %w", err)
	}
	return nil
}

// OwnedWebhook is a webhook with what its owner needs to deliver.
type OwnedWebhook struct {
	Webhook
	Change     int64
	Secrets    []WebhookSecret // that sign now, the newest first
	SecretsFor time.Duration   // how long these are all that sign; 0: for ever
	Failing    time.Duration   // since the first failure after the last success; 0: the last attempt succeeded
}

// OwnWebhook returns a webhook that owner holds; ErrFenced if it does not.
func (s *Store) OwnWebhook(ctx context.Context, l WebhookLease) (OwnedWebhook, error) {
	var w OwnedWebhook
	var secret, old []byte
	var oldFor, failing pgtype.Interval
	err := s.pool.QueryRow(ctx, `select id, url, types, domains, enabled, position, change, secret, case when old_until > clock_timestamp() then old_secret end,
			case when old_until > clock_timestamp() then old_until - clock_timestamp() end, clock_timestamp() - failing_since
		from webhooks where id = $1 and owner = $2 and fence = $3 and lease_until > clock_timestamp()`, l.Webhook, uuidOf(l.Owner), l.Fence).
		Scan(&w.ID, &w.URL, &w.Types, &w.Domains, &w.Enabled, &w.Position, &w.Change, &secret, &old, &oldFor, &failing)
	if errors.Is(err, pgx.ErrNoRows) {
		return w, ErrFenced
	}
	if err != nil {
		return w, fmt.Errorf("own webhook: %w", err)
	}
	w.Secrets = []WebhookSecret{secret}
	if old != nil {
		w.Secrets, w.SecretsFor = append(w.Secrets, old), durationOf(oldFor)
	}
	w.Failing = durationOf(failing)
	return w, nil
}

// durationOf is an interval that a difference of times gave: it has days, no months.
func durationOf(i pgtype.Interval) time.Duration {
	return time.Duration(i.Days)*24*time.Hour + time.Duration(i.Microseconds)*time.Microsecond
}

// PendingDelivery is one that is to be made.
type PendingDelivery struct {
	ID      int64  // the event's position; below zero: a test
	Account string // whose lane it is in
	ByHand  bool
	Tries   int           // attempts that failed while the target was not at fault
	Wait    time.Duration // before the next attempt; 0 or less: it is due
}

// PendingDeliveries returns what is to be delivered by the owner of a webhook, in the order of the log; asked: only those that somebody has asked for by
// hand or to be hurried.
func (s *Store) PendingDeliveries(ctx context.Context, webhook int64, asked bool) ([]PendingDelivery, error) {
	only := ""
	if asked {
		only = " and (d.by_hand or d.next_at = '-infinity')"
	}
	rows, err := s.pool.Query(ctx, `select d.id, coalesce(b.account, ''), d.by_hand, d.tries, case when d.next_at > clock_timestamp() then d.next_at - clock_timestamp() else '0' end
		from webhook_deliveries d left join lateral (
			select (select accounts[d.id - p.first + 1] from event_batches where id = p.batch and at = p.at) as account
			from event_positions p where p.first <= d.id order by p.first desc limit 1) b on true
		where d.webhook = $1 and d.state = 'pending'`+only+` order by d.id`, webhook)
	if err != nil {
		return nil, fmt.Errorf("pending deliveries: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PendingDelivery, error) {
		var d PendingDelivery
		var wait pgtype.Interval
		err := row.Scan(&d.ID, &d.Account, &d.ByHand, &d.Tries, &wait)
		d.Wait = durationOf(wait)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("pending deliveries: %w", err)
	}
	return list, nil
}
