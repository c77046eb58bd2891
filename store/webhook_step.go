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

// WebhookStep is what the owner of a webhook writes at once.
type WebhookStep struct {
	Position int64               // of the last event that was taken up
	Taken    []TakenDelivery     // that are new
	Begun    []int64             // known deliveries that are attempted now
	Ended    []AttemptedDelivery // attempts that are over; none of Begun
	Health   Health
	Disable  string // why the webhook is disabled, which is an event too; "": it is not
}

// Health is how the deliveries of a webhook go.
type Health int

// What a step tells of a webhook's health.
const (
	HealthSame    Health = iota // as before
	HealthFailing               // the last attempt failed
	HealthGood                  // the last attempt succeeded
)

// TakenDelivery is an event that was taken up.
type TakenDelivery struct {
	Position int64
	Begun    bool // it is attempted now
}

// AttemptedDelivery says how an attempt ended.
type AttemptedDelivery struct {
	ID       int64
	State    string        // delivered, failed, or pending: it is tried again
	Retry    time.Duration // after this
	Tries    int           // attempts that failed while the target was not at fault
	Status   int           // of the target's answer; 0: there was none
	Duration time.Duration
	Answer   string // its first bytes
	Error    string // why the attempt failed
}

// The states of deliveries.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed"
)

// StepWebhook writes a step in one transaction. ErrFenced: the lease is lost, or the webhook is gone; nothing was written.
func (s *Store) StepWebhook(ctx context.Context, l WebhookLease, step WebhookStep) error {
	taken, begun := make([]int64, len(step.Taken)), make([]bool, len(step.Taken))
	for i, t := range step.Taken {
		taken[i], begun[i] = t.Position, t.Begun
	}
	n := len(step.Ended)
	ids, states, retries, statuses, tries := make([]int64, n), make([]string, n), make([]int64, n), make([]pgtype.Int4, n), make([]int32, n)
	durations, answers, errs := make([]int32, n), make([]pgtype.Text, n), make([]pgtype.Text, n)
	for i, e := range step.Ended {
		ids[i], states[i], retries[i], durations[i] = e.ID, e.State, e.Retry.Milliseconds(), int32(min(e.Duration.Milliseconds(), 1<<30))
		tries[i] = int32(e.Tries)
		statuses[i] = pgtype.Int4{Int32: int32(e.Status), Valid: e.Status != 0}
		answers[i], errs[i] = optionalText(e.Answer), optionalText(e.Error)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var held bool
		if err := tx.QueryRow(ctx, stepWebhook, l.Webhook, uuidOf(l.Owner), l.Fence, step.Position, int(step.Health), step.Disable, taken, begun, step.Begun,
			ids, states, retries, statuses, durations, answers, errs, tries).Scan(&held); err != nil {
			return err
		}
		if !held {
			return ErrFenced
		}
		if step.Disable == "" {
			return nil
		}
		data, err := json.Marshal(map[string]string{"webhook_id": WebhookID(l.Webhook), "reason": step.Disable})
		if err != nil {
			return err
		}
		var now time.Time
		if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, insertEvents, eventArgs(now, []Event{{Type: "webhook.disabled", Data: data}})...)
		return err
	})
	if err != nil && !errors.Is(err, ErrFenced) {
		err = fmt.Errorf("step of a webhook: %w", err)
	}
	return err
}

const stepWebhook = `with held as (
			update webhooks set position = greatest(position, $4::bigint),
				failing_since = case $5::integer when 1 then coalesce(failing_since, clock_timestamp()) when 2 then null else failing_since end,
				enabled = enabled and $6::text = '', disabled_reason = case when enabled and $6::text <> '' then $6::text else disabled_reason end
			where id = $1 and owner = $2 and fence = $3 and lease_until > clock_timestamp() returning id),
		taken as (insert into webhook_deliveries (webhook, id, state, attempts, created_at, attempted_at)
			select held.id, t.id, 'pending', t.begun::integer, clock_timestamp(), case when t.begun then clock_timestamp() end
			from held, unnest($7::bigint[], $8::boolean[]) t(id, begun) on conflict do nothing),
		begun as (update webhook_deliveries d set attempts = attempts + 1, attempted_at = clock_timestamp(), next_at = null
			from held, unnest($9::bigint[]) b(id) where d.webhook = held.id and d.id = b.id),
		ended as (update webhook_deliveries d set state = e.state, by_hand = d.by_hand and e.state = 'pending',
				next_at = case when e.state = 'pending' then clock_timestamp() + e.retry * interval '1 millisecond' end,
				finished_at = case when e.state <> 'pending' then clock_timestamp() end, status = e.status, duration_ms = e.duration, answer = e.answer, error = e.error, tries = e.tries
			from held, unnest($10::bigint[], $11::text[], $12::bigint[], $13::integer[], $14::integer[], $15::text[], $16::text[], $17::integer[])
				e(id, state, retry, status, duration, answer, error, tries)
			where d.webhook = held.id and d.id = e.id)
		select exists (select from held)`
