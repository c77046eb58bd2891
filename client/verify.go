package client

import (
	"context"
	"net/http"
)

// VerifyRequest names a session by exactly one of its id, its resource and its device.
type VerifyRequest struct {
	SessionID  string `json:"session_id,omitempty"`
	Resource   string `json:"resource,omitempty"`   // whoever is at this resource
	DeviceID   string `json:"device_id,omitempty"`  // whoever is on this device
	Generation int64  `json:"generation,omitempty"` // only the session that was given this generation; 0: any
}

// Verdict says whether a session still stands.
type Verdict struct {
	Current bool   `json:"current"`
	Reason  string `json:"reason"` // "current", "evicting", "ended", "superseded" (a later login has its place), "not_found"
}

// Verify tells a backend that holds a session's id, resource or device whether it still speaks to the one that is logged in.
func (c *Client) Verify(ctx context.Context, jid string, v VerifyRequest) (*Verdict, error) {
	r, _, err := send[Verdict](ctx, c, request{method: http.MethodPost, body: v}, "/v1/accounts/%s/verify", jid)
	return r, err
}
