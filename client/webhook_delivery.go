package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery. A newer bindgate may have others.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed" // and is not tried again by itself
)

// WebhookDelivery is an event that was sent to a webhook, or is to be.
type WebhookDelivery struct {
	ID            string           `json:"id"`
	EventID       string           `json:"event_id"` // the receiver sees it as Delivery.ID; "": it is a test
	Type          EventType        `json:"type"`     // "": the event is not kept any more
	Account       string           `json:"account"`  // bare JID; "": of none
	State         DeliveryState    `json:"state"`
	Attempts      int              `json:"attempts"` // that were begun
	CreatedAt     time.Time        `json:"created_at"`
	NextAttemptAt time.Time        `json:"next_attempt_at"` // zero: none is to come, or at once
	FinishedAt    time.Time        `json:"finished_at"`     // zero: it is pending
	LastAttempt   *DeliveryAttempt `json:"last_attempt"`    // nil: none has ended
}

// DeliveryAttempt is how an attempt has ended.
type DeliveryAttempt struct {
	At         time.Time `json:"at"`
	Status     int       `json:"status"` // of the receiver's answer; 0: there was none
	DurationMS int64     `json:"duration_ms"`
	Answer     string    `json:"answer"` // its first bytes
	Error      string    `json:"error"`  // why there was none, or none that counts
}

// DeliveryFilter says which deliveries are listed.
type DeliveryFilter struct {
	State DeliveryState // "": all
	ListOptions
}

// ListDeliveries lists what was sent to a webhook, or is to be, the newest first.
func (c *Client) ListDeliveries(ctx context.Context, webhook string, f DeliveryFilter) iter.Seq2[WebhookDelivery, error] {
	return list[WebhookDelivery](ctx, c, f.ListOptions, query("state", string(f.State)), "/v1/webhooks/%s/deliveries", webhook)
}

// TestWebhook sends an event of the type EventWebhookTest to a webhook, and waits some seconds for how that ends.
func (c *Client) TestWebhook(ctx context.Context, webhook string) (*WebhookDelivery, error) {
	d, _, err := send[WebhookDelivery](ctx, c, request{method: http.MethodPost, changes: true}, "/v1/webhooks/%s/test", webhook)
	return d, err
}

// Redeliver has a delivery attempted once more, soon.
func (c *Client) Redeliver(ctx context.Context, webhook, delivery string) (*WebhookDelivery, error) {
	d, _, err := send[WebhookDelivery](ctx, c, request{method: http.MethodPost, changes: true}, "/v1/webhooks/%s/deliveries/%s/redeliver", webhook, delivery)
	return d, err
}
