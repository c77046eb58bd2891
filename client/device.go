package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Device is an installation of a client on an account. It outlives its sessions.
type Device struct {
	ID          string    `json:"id"` // made of the account and of what the device is known by: forgotten and met again, it has the same
	Account     string    `json:"account"`
	Name        string    `json:"name"`     // what people call it; "": nothing
	Platform    string    `json:"platform"` // as registered, or else as found
	Identity    Identity  `json:"identity"`
	Resource    string    `json:"resource"`      // what it is known by; "": by the next
	UserAgentID string    `json:"user_agent_id"` // (XEP-0388)
	Client      string    `json:"client"`        // what its software calls itself; "": not known
	Registered  bool      `json:"registered"`
	Blocked     bool      `json:"blocked"`
	FirstSeenAt time.Time `json:"first_seen_at"` // zero: it has not logged in yet
	LastSeenAt  time.Time `json:"last_seen_at"`  // exact to an hour
	SessionIDs  []string  `json:"session_ids"`   // that have not ended
}

// Registration names a device by exactly one of Resource, which only this device may use, and UserAgentID (XEP-0388).
type Registration struct {
	Resource    string           `json:"resource,omitempty"`
	UserAgentID string           `json:"user_agent_id,omitempty"`
	Name        Optional[string] `json:"name,omitzero"`     // left out: stays as it is; null: none
	Platform    Optional[string] `json:"platform,omitzero"` // left out: stays as it is; null: what its client looks like
}

// DeviceChange is a change of a device; what is left out stays as it is.
type DeviceChange struct {
	Name     Optional[string] `json:"name,omitzero"`     // null: none
	Platform Optional[string] `json:"platform,omitzero"` // null: what its client looks like
	Blocked  Optional[bool]   `json:"blocked,omitzero"`  // true also ends the device's live sessions
}

// ListDevices lists the devices of an account that were seen or registered, in no meaningful order.
func (c *Client) ListDevices(ctx context.Context, jid string, o ListOptions) iter.Seq2[Device, error] {
	return list[Device](ctx, c, o, nil, "/v1/accounts/%s/devices", jid)
}

// GetDevice returns a device.
func (c *Client) GetDevice(ctx context.Context, jid, id string) (*Device, error) {
	return get[Device](ctx, c, "/v1/accounts/%s/devices/%s", jid, id)
}

// RegisterDevice makes every bind with the device's user-agent id or resource known for certain to be this device: it replaces its own earlier session and is
// no takeover. The account need not have logged in before. A device that is on record is changed as far as r says.
func (c *Client) RegisterDevice(ctx context.Context, jid string, r Registration) (*Device, error) {
	d, _, err := send[Device](ctx, c, request{method: http.MethodPost, body: r, changes: true}, "/v1/accounts/%s/devices", jid)
	return d, err
}

// ChangeDevice names, blocks or unblocks a device. A blocked device is denied before any rule is looked at. The answer to a block waits up to two seconds for
// the end of the device's sessions; what is left by then is in SessionIDs and goes by itself.
func (c *Client) ChangeDevice(ctx context.Context, jid, id string, change DeviceChange) (*Device, error) {
	d, _, err := send[Device](ctx, c, request{method: http.MethodPatch, body: change, changes: true}, "/v1/accounts/%s/devices/%s", jid, id)
	return d, err
}

// ForgetDevice takes a device's name, registration and block away. Its live sessions stay.
func (c *Client) ForgetDevice(ctx context.Context, jid, id string) error {
	_, err := c.tell(ctx, request{method: http.MethodDelete, changes: true}, "/v1/accounts/%s/devices/%s", jid, id)
	return err
}
