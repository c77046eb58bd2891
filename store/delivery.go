package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Delivery is an event that was sent to a webhook, or is to be.
type Delivery struct {
	Webhook     int64
	ID          int64  // the event's position; below zero: a test
	Type        string // of the event; "" if it is not kept any more, or a test
	Account     string
	State       string
	ByHand      bool
	Attempts    int
	CreatedAt   time.Time
	AttemptedAt time.Time // zero: not yet
	NextAt      time.Time // zero: at once, if it is pending
	FinishedAt  time.Time // zero: not yet
	Attempted   bool      // an attempt has ended; what follows is of the last one
	Status      int       // 0: there was no answer
	Duration    time.Duration
	Answer      string
	Error       string
}

const deliveryQuery = `select d.webhook, d.id, coalesce(e.type, ''), coalesce(e.account, ''), d.state, d.by_hand, d.attempts, d.created_at, d.attempted_at, d.next_at, d.finished_at,
		d.status, d.duration_ms, coalesce(d.answer, ''), coalesce(d.error, '')
	from webhook_deliveries d left join lateral (
		select b.types[d.id - p.first + 1] as type, b.accounts[d.id - p.first + 1] as account
		from (select * from event_positions where first <= d.id order by first desc limit 1) p
			cross join lateral (select types, accounts from event_batches where id = p.batch and at = p.at) b) e on true
	where d.webhook = $1`

func scanDelivery(row pgx.CollectableRow) (Delivery, error) {
	var d Delivery
	var attempted, next, finished pgtype.Timestamptz
	var status, duration pgtype.Int4
	err := row.Scan(&d.Webhook, &d.ID, &d.Type, &d.Account, &d.State, &d.ByHand, &d.Attempts, &d.CreatedAt, &attempted, &next, &finished, &status, &duration, &d.Answer, &d.Error)
	d.AttemptedAt, d.NextAt, d.FinishedAt = attempted.Time, next.Time, finished.Time
	d.Attempted, d.Status, d.Duration = duration.Valid, int(status.Int32), time.Duration(duration.Int32)*time.Millisecond
	return d, err
}

// DeliveryPosition is a place in a list of deliveries: behind the one it was made of. Zero is the start.
type DeliveryPosition struct {
	CreatedAt time.Time
	ID        int64
}

// ListDeliveries returns a webhook's deliveries in a state, "" for all, the newest first.
func (s *Store) ListDeliveries(ctx context.Context, webhook int64, state string, after DeliveryPosition, limit int) ([]Delivery, error) {
	only := ""
	switch state { // a literal: a parameter finds no partial index
	case DeliveryPending, DeliveryDelivered, DeliveryFailed:
		only = " and d.state = '" + state + "'"
	}
	rows, err := s.pool.Query(ctx, deliveryQuery+only+` and ($2::timestamptz is null or (d.created_at, d.id) < ($2, $3))
		order by d.created_at desc, d.id desc limit $4`, webhook, optionalTime(after.CreatedAt), after.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanDelivery)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return list, nil
}

// FindDelivery returns a delivery; ErrNotFound.
func (s *Store) FindDelivery(ctx context.Context, webhook, id int64) (Delivery, error) {
	rows, err := s.pool.Query(ctx, deliveryQuery+" and d.id = $2", webhook, id)
	if err != nil {
		return Delivery{}, fmt.Errorf("find delivery: %w", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDelivery)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNotFound
	}
	if err != nil {
		return d, fmt.Errorf("find delivery: %w", err)
	}
	return d, nil
}

// TestWebhook asks for a test delivery and returns its id; ErrNotFound.
func (s *Store) TestWebhook(ctx context.Context, webhook int64, by Actor) (id int64, err error) {
	return s.askDelivery(ctx, webhook, WebhookTest, by, `insert into webhook_deliveries (webhook, id, state, by_hand, created_at)
		values ($1, -nextval('webhook_tests'), 'pending', true, clock_timestamp()) returning id`, webhook)
}

// Redeliver asks for one more attempt: of a delivery that waits for its next, now; of one that is over, at once and whatever else waits. ErrNotFound.
func (s *Store) Redeliver(ctx context.Context, webhook, id int64, by Actor) error {
	_, err := s.askDelivery(ctx, webhook, WebhookRedeliver, by, `update webhook_deliveries set state = 'pending', by_hand = by_hand or state <> 'pending',
		next_at = case when state = 'pending' then timestamptz '-infinity' end, finished_at = null
		where webhook = $1 and id = $2 returning id`, webhook, id)
	return err
}

// askDelivery runs a statement that returns a delivery's id, and tells the webhook's owner to look.
func (s *Store) askDelivery(ctx context.Context, webhook int64, action Action, by Actor, sql string, args ...any) (id int64, err error) {
	if was, ok, err := Made[webhookOutcome](by); ok || err != nil {
		return was.Delivery, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Its row comes first and delivery's second, as in StepWebhook.
		w, err := oneWebhook(tx.Query(ctx, "update webhooks set change = change + 1 where id = $1 returning "+webhookColumns, webhook))
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, sql, args...).Scan(&id); errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		} else if err != nil {
			return err
		}
		out, e := webhookOutcome{webhook, id}, w.entry(action)
		e.Outcome = map[string]string{"delivery": DeliveryID(webhook, id)}
		return audit(ctx, tx, by, out, e)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("ask for a delivery: %w", err)
	}
	return id, err
}

// ForgetDeliveries deletes a bounded number of deliveries that were over so long ago, by the database's clock; more: there may be more. A webhook that is
// deleted takes its own along, and what writes one holds the webhook's row: none is left behind.
func (s *Store) ForgetDeliveries(ctx context.Context, kept time.Duration) (more bool, err error) {
	tag, err := s.pool.Exec(ctx, `delete from webhook_deliveries where ctid = any (array(
		select ctid from webhook_deliveries where finished_at < clock_timestamp() - $1::interval limit $2 for update skip locked))`, kept, forgetBatch)
	if err != nil {
		return false, fmt.Errorf("forget deliveries: %w", err)
	}
	return tag.RowsAffected() == forgetBatch, nil
}
