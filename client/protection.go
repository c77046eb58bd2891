package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Protection is whom takeovers and kicks keep out of an account now.
type Protection struct {
	Cooldowns []Cooldown `json:"cooldowns"`
	Freezes   []Freeze   `json:"freezes"`
}

// Cooldown is a device that may not take over yet, or who cannot be told from it.
type Cooldown struct {
	DeviceID        string    `json:"device_id"`         // "": it is known by its resource alone
	Resource        string    `json:"resource"`          // that it had last
	Reason          string    `json:"reason"`            // "takeover" or "kick"
	WinnerSessionID string    `json:"winner_session_id"` // with its end the cooldown ends; "": none
	Since           time.Time `json:"since"`
	Attempts        int64     `json:"attempts"` // how often it was denied since; not counted after a kick
	LastAttemptAt   time.Time `json:"last_attempt_at"`
	RetryAfter      Seconds   `json:"retry_after_seconds"` // so long it has to be silent
}

// Freeze is a device that is shut out because it and the winner kept displacing each other.
type Freeze struct {
	DeviceID        string    `json:"device_id"`
	Resource        string    `json:"resource"`
	WinnerSessionID string    `json:"winner_session_id"`
	Until           time.Time `json:"until"`
	RetryAfter      Seconds   `json:"retry_after_seconds"`
}

// Loop is two devices that kept displacing each other, one of which stays for now.
type Loop struct {
	Account         string    `json:"account"`
	WinnerSessionID string    `json:"winner_session_id"` // who stays
	DeviceID        string    `json:"device_id"`         // who is shut out; "": it is known by its resource alone
	Resource        string    `json:"resource"`          // of who is shut out
	OpenedAt        time.Time `json:"opened_at"`
	Until           time.Time `json:"until"`
}

// GetProtection returns whom takeovers and kicks keep out of an account now.
func (c *Client) GetProtection(ctx context.Context, jid string) (*Protection, error) {
	return get[Protection](ctx, c, "/v1/accounts/%s/protection", jid)
}

// ReleaseProtection ends all cooldowns and freezes of an account.
func (c *Client) ReleaseProtection(ctx context.Context, jid string) error {
	_, err := c.tell(ctx, request{method: http.MethodDelete, changes: true}, "/v1/accounts/%s/protection", jid)
	return err
}

// LoopFilter says which loops are listed.
type LoopFilter struct {
	Account string // a bare JID; "": of all accounts
	ListOptions
}

// ListLoops lists the devices that keep displacing each other, in no meaningful order.
func (c *Client) ListLoops(ctx context.Context, f LoopFilter) iter.Seq2[Loop, error] {
	return list[Loop](ctx, c, f.ListOptions, query("account", f.Account), "/v1/loops")
}
