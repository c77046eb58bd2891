package client

import (
	"context"
	"net/http"
	"time"
)

// GrantRequest is who may use a grant, and for how long.
type GrantRequest struct {
	DeviceID string  `json:"device_id,omitempty"`   // the only device that may use it; it needs no token then
	Resource string  `json:"resource,omitempty"`    // the only resource that may be bound with it; no token is needed then
	TTL      Seconds `json:"ttl_seconds,omitempty"` // 0: 300
}

// Grant lets one login take over.
type Grant struct {
	ID        string    `json:"id"`
	Token     Secret    `json:"token"` // for the client that has logged in
	ExpiresAt time.Time `json:"expires_at"`
}

// CreateGrant lets one login of an account take over: past a cooldown, a frozen loop, a rule that requires a grant and a full house, but not past a block or
// a condition. It is for a backend that has just seen a real login.
func (c *Client) CreateGrant(ctx context.Context, jid string, g GrantRequest) (*Grant, error) {
	v, _, err := send[Grant](ctx, c, request{method: http.MethodPost, body: g, changes: true}, "/v1/accounts/%s/grants", jid)
	return v, err
}
