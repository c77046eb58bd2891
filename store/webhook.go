package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// WebhookSecret signs what is sent to a webhook. It is kept as it is, since a hash could not sign. It prints as [redacted].
type WebhookSecret []byte

// String hides the secret.
func (WebhookSecret) String() string { return "[redacted]" }

// GoString hides the secret.
func (WebhookSecret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (WebhookSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret.
func (WebhookSecret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Webhook is where events are sent to.
type Webhook struct {
	ID             int64
	URL            string
	Types          []string // of events; nil: all
	Domains        []string // whose events; nil: all, and those of no domain
	Description    string
	Enabled        bool
	DisabledReason string // why it was disabled; "" if a caller did it
	CreatedAt      time.Time
	CreatedBy      string
	FailingSince   time.Time // the first failure after the last success; zero: the last attempt succeeded
	OldSecretUntil time.Time // an old secret signs beside the new one until then; zero: there is none
	Position       int64     // of the last event that was taken up
}

// MaxWebhooks is how many there may be.
const MaxWebhooks = 500

// ErrTooMany is returned when there are as many of something as there may be.
var ErrTooMany = errors.New("store: too many of them")

const webhookColumns = `id, url, types, domains, description, enabled, disabled_reason, created_at, created_by, failing_since,
	case when old_until > clock_timestamp() then old_until end, position`

func scanWebhook(row pgx.CollectableRow) (Webhook, error) {
	var w Webhook
	var failing, old pgtype.Timestamptz
	err := row.Scan(&w.ID, &w.URL, &w.Types, &w.Domains, &w.Description, &w.Enabled, &w.DisabledReason, &w.CreatedAt, &w.CreatedBy, &failing, &old, &w.Position)
	w.FailingSince, w.OldSecretUntil = failing.Time, old.Time
	return w, err
}

// webhookOutcome is what a change of a webhook came to, for Made.
type webhookOutcome struct {
	Webhook  int64 `json:"webhook"`
	Delivery int64 `json:"delivery,omitempty"`
}

// auditedWebhook is what the audit says of a webhook.
type auditedWebhook struct {
	URL         string   `json:"url"`
	Types       []string `json:"types"`
	Domains     []string `json:"domains"`
	Description string   `json:"description"`
	Enabled     bool     `json:"enabled"`
}

// entry is of the audit: about what was done to the webhook.
func (w Webhook) entry(action Action) Entry {
	e := Entry{Action: action, Target: WebhookID(w.ID)}
	if len(w.Domains) == 1 {
		e.Domain = w.Domains[0]
	}
	return e
}

func (w Webhook) audited() auditedWebhook {
	return auditedWebhook{w.URL, w.Types, w.Domains, w.Description, w.Enabled}
}

// CreateWebhook keeps a webhook of URL, Types, Domains, Description and Enabled, and returns it whole. It gets the events that are written from now on. ErrTooMany.
func (s *Store) CreateWebhook(ctx context.Context, w Webhook, secret WebhookSecret, by Actor) (Webhook, error) {
	if was, ok, err := Made[webhookOutcome](by); err != nil {
		return w, err
	} else if ok {
		return s.FindWebhook(ctx, was.Webhook)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended('bindgate webhooks', 0))"); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, "select count(*) from webhooks").Scan(&count); err != nil {
			return err
		}
		if count >= MaxWebhooks {
			return ErrTooMany
		}
		var err error
		if w, err = oneWebhook(tx.Query(ctx, `insert into webhooks (url, types, domains, description, enabled, secret, created_at, created_by, position)
			select $1, $2, $3, $4, $5, $6, clock_timestamp(), $7, position from event_head returning `+webhookColumns,
			w.URL, w.Types, w.Domains, w.Description, w.Enabled, []byte(secret), by.String())); err != nil {
			return err
		}
		out, e := webhookOutcome{Webhook: w.ID}, w.entry(WebhookCreate)
		e.New, e.Outcome = w.audited(), out
		return audit(ctx, tx, by, out, e)
	})
	if err != nil && !errors.Is(err, ErrTooMany) {
		err = fmt.Errorf("create webhook: %w", err)
	}
	return w, err
}

func oneWebhook(rows pgx.Rows, err error) (Webhook, error) {
	if err != nil {
		return Webhook{}, err
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWebhook)
	if errors.Is(err, pgx.ErrNoRows) {
		return w, ErrNotFound
	}
	return w, err
}

// FindWebhook returns a webhook; ErrNotFound.
func (s *Store) FindWebhook(ctx context.Context, id int64) (Webhook, error) {
	w, err := oneWebhook(s.pool.Query(ctx, "select "+webhookColumns+" from webhooks where id = $1", id))
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("find webhook: %w", err)
	}
	return w, err
}

// ListWebhooks returns webhooks by id, from behind after on. With domains not nil: only those that are limited to some of them.
func (s *Store) ListWebhooks(ctx context.Context, domains []string, after int64, limit int) ([]Webhook, error) {
	rows, err := s.pool.Query(ctx, "select "+webhookColumns+" from webhooks where id > $1 and ($2::text[] is null or domains <@ $2) order by id limit $3", after, domains, limit)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanWebhook)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return list, nil
}

// WebhookChange says what becomes of a webhook; nil fields stay.
type WebhookChange struct {
	URL         *string
	Types       *[]string // to nil: all
	Description *string
	Enabled     *bool
}

// ChangeWebhook changes a webhook and returns it; ErrNotFound. One that is enabled again goes on where it stood.
func (s *Store) ChangeWebhook(ctx context.Context, id int64, c WebhookChange, by Actor) (Webhook, error) {
	var types []string
	if c.Types != nil {
		types = *c.Types
	}
	return s.alterWebhook(ctx, id, WebhookUpdate, by, `update webhooks set change = change + 1, url = coalesce($2, url), types = case when $3 then $4::text[] else types end,
			description = coalesce($5, description), enabled = coalesce($6, enabled),
			disabled_reason = case when $6 is null then disabled_reason else '' end,
			failing_since = case when $2 is null and $6 is distinct from true then failing_since end
		where id = $1 returning `+webhookColumns, id, c.URL, c.Types != nil, types, c.Description, c.Enabled)
}

// RotateWebhook gives a webhook a new secret; the one before signs beside it for a while. ErrNotFound.
func (s *Store) RotateWebhook(ctx context.Context, id int64, secret WebhookSecret, beside time.Duration, by Actor) (Webhook, error) {
	return s.alterWebhook(ctx, id, WebhookRotate, by, `update webhooks set change = change + 1, old_secret = secret, old_until = clock_timestamp() + $3::interval, secret = $2
		where id = $1 returning `+webhookColumns, id, []byte(secret), beside)
}

// alterWebhook runs an update that returns the webhook.
func (s *Store) alterWebhook(ctx context.Context, id int64, action Action, by Actor, sql string, args ...any) (w Webhook, err error) {
	if was, ok, err := Made[webhookOutcome](by); err != nil {
		return w, err
	} else if ok {
		return s.FindWebhook(ctx, was.Webhook)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		before, err := oneWebhook(tx.Query(ctx, "select "+webhookColumns+" from webhooks where id = $1 for update", id))
		if err != nil {
			return err
		}
		if w, err = oneWebhook(tx.Query(ctx, sql, args...)); err != nil {
			return err
		}
		out, e := webhookOutcome{Webhook: id}, w.entry(action)
		if action == WebhookUpdate {
			e.Old, e.New = before.audited(), w.audited()
		}
		e.Outcome = out
		return audit(ctx, tx, by, out, e)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("change webhook: %w", err)
	}
	return w, err
}

// DeleteWebhook forgets a webhook with its deliveries; ErrNotFound. What is on its way when this returns may still arrive.
func (s *Store) DeleteWebhook(ctx context.Context, id int64, by Actor) error {
	if _, ok, err := Made[webhookOutcome](by); ok || err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		w, err := oneWebhook(tx.Query(ctx, "delete from webhooks where id = $1 returning "+webhookColumns, id))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "delete from webhook_deliveries where webhook = $1", id); err != nil {
			return err
		}
		e := w.entry(WebhookDelete)
		e.Old = w.audited()
		return audit(ctx, tx, by, webhookOutcome{Webhook: id}, e)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("delete webhook: %w", err)
	}
	return err
}
