package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Webhook is where events are sent to; see WebhookHandler for the other side.
type Webhook struct {
	ID             string      `json:"id"`
	URL            string      `json:"url"`
	Types          []EventType `json:"types"`   // of events; nil: all
	Domains        []string    `json:"domains"` // whose events; nil: all, and those of no domain
	Description    string      `json:"description"`
	Enabled        bool        `json:"enabled"`
	DisabledReason string      `json:"disabled_reason"`  // why it was disabled; "" if a caller did it
	FailingSince   time.Time   `json:"failing_since"`    // the first failure after the last success; zero: the last attempt succeeded
	OldSecretUntil time.Time   `json:"old_secret_until"` // until then the secret before signs too; zero: there is none
	CreatedAt      time.Time   `json:"created_at"`
	CreatedBy      string      `json:"created_by"` // subject of the token
	Secret         Secret      `json:"secret"`     // "whsec_…", where it was just made; else ""
}

// NewWebhook is a webhook to be.
type NewWebhook struct {
	URL         string         `json:"url"`
	Types       []EventType    `json:"types,omitempty"`   // nil: all
	Domains     []string       `json:"domains,omitempty"` // nil: all that the token covers
	Description string         `json:"description,omitempty"`
	Enabled     Optional[bool] `json:"enabled,omitzero"` // left out: true
}

// WebhookChange is a change of a webhook; what is left out stays as it is.
type WebhookChange struct {
	URL         Optional[string]      `json:"url,omitzero"`
	Types       Optional[[]EventType] `json:"types,omitzero"`       // null: all
	Description Optional[string]      `json:"description,omitzero"` // null: none
	Enabled     Optional[bool]        `json:"enabled,omitzero"`
}

// ListWebhooks lists the webhooks.
func (c *Client) ListWebhooks(ctx context.Context, o ListOptions) iter.Seq2[Webhook, error] {
	return list[Webhook](ctx, c, o, nil, "/v1/webhooks")
}

// CreateWebhook has events sent to a URL from now on. Its secret is told this once.
func (c *Client) CreateWebhook(ctx context.Context, w NewWebhook) (*Webhook, error) {
	v, _, err := send[Webhook](ctx, c, request{method: http.MethodPost, body: w, changes: true}, "/v1/webhooks")
	return v, err
}

// GetWebhook returns a webhook.
func (c *Client) GetWebhook(ctx context.Context, id string) (*Webhook, error) {
	return get[Webhook](ctx, c, "/v1/webhooks/%s", id)
}

// ChangeWebhook changes a webhook.
func (c *Client) ChangeWebhook(ctx context.Context, id string, change WebhookChange) (*Webhook, error) {
	v, _, err := send[Webhook](ctx, c, request{method: http.MethodPatch, body: change, changes: true}, "/v1/webhooks/%s", id)
	return v, err
}

// DeleteWebhook deletes a webhook. What is not delivered yet is not any more.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	_, err := c.tell(ctx, request{method: http.MethodDelete, changes: true}, "/v1/webhooks/%s", id)
	return err
}

// RotateWebhookSecret gives a webhook a new secret, which is told this once. The one before signs beside it until OldSecretUntil.
func (c *Client) RotateWebhookSecret(ctx context.Context, id string) (*Webhook, error) {
	v, _, err := send[Webhook](ctx, c, request{method: http.MethodPost, changes: true}, "/v1/webhooks/%s/rotate", id)
	return v, err
}
