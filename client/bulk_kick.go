package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// KickFilter says which sessions of all accounts; everything that is given has to fit. All, alone, means every session.
type KickFilter struct {
	All       bool         `json:"all,omitempty"`
	Domain    string       `json:"domain,omitempty"`
	Group     string       `json:"group,omitempty"`    // of accounts
	Platform  string       `json:"platform,omitempty"` // or group of platforms
	State     SessionState `json:"state,omitempty"`    // StateBinding, StateActive or StateHibernating
	Resource  string       `json:"resource,omitempty"` // a glob: "*" for any characters, "?" for one
	OlderThan Seconds      `json:"older_than_seconds,omitempty"`
}

// BulkKickRequest is a kick of the sessions that a filter finds.
type BulkKickRequest struct {
	Filter            KickFilter        `json:"filter"`
	Reason            string            `json:"reason,omitempty"`           // for the record; clients are not told
	Text              map[string]string `json:"text,omitempty"`             // what the clients are told, by language
	Cooldown          Seconds           `json:"cooldown_seconds,omitempty"` // so long the kicked devices may not come back
	BlockDevices      bool              `json:"block_devices,omitempty"`
	RevokeCredentials bool              `json:"revoke_credentials,omitempty"`
	AtMost            int64             `json:"at_most,omitempty"` // refused (CodeTooManySessions) if the filter finds more sessions; 0: however many
}

// BulkKickState is how far a kick of many accounts has come.
type BulkKickState string

// The states of a kick of many accounts. A newer bindgate may have others.
const (
	BulkKickRunning   BulkKickState = "running"
	BulkKickDone      BulkKickState = "done" // every account was looked at, and every selected session has ended or is still present
	BulkKickCancelled BulkKickState = "cancelled"
)

// BulkKick is the end of sessions of many accounts, done bit by bit.
type BulkKick struct {
	ID          string        `json:"id"`
	Kind        string        `json:"kind"` // "kick", or "apply_rule": accounts are brought within a rule that has changed
	State       BulkKickState `json:"state"`
	RequestedAt time.Time     `json:"requested_at"`
	RequestedBy string        `json:"requested_by"` // the token's subject; "expiry" where an account's rule has expired
	Level       Level         `json:"level"`        // of an apply_rule: the rule's; else ""
	Subject     string        `json:"subject"`      // likewise: whose rule; "" for the default
	Filter      *KickFilter   `json:"filter"`       // of a kick; else nil
	Reason      string        `json:"reason"`       // of a kick
	Domains     []string      `json:"domains"`      // it concerns accounts of these alone; nil: of any
	Total       *int64        `json:"total"`        // accounts that it may concern, as counted at the start; nil until then
	Done        int64         `json:"done"`         // how many of them were looked at
	Sessions    KickCounts    `json:"sessions"`     // that were selected so far
	FinishedAt  time.Time     `json:"finished_at"`  // zero: it goes on
	Warnings    []string      `json:"warnings"`     // of a new one: what is most likely a slip; nil: nothing
}

// KickCounts are sessions by what is known of their end.
type KickCounts struct {
	Kicked       int64 `json:"kicked"`
	Pending      int64 `json:"pending"`
	StillPresent int64 `json:"still_present"`
}

// KickCount is how many sessions a filter finds, and of how many accounts.
type KickCount struct {
	Accounts int64    `json:"accounts"`
	Sessions int64    `json:"sessions"`
	Warnings []string `json:"warnings"` // what is most likely a slip; nil: nothing
}

// CountKick says how many sessions KickMany would end with a filter. Nothing is changed.
func (c *Client) CountKick(ctx context.Context, f KickFilter) (*KickCount, error) {
	body := struct {
		Filter KickFilter `json:"filter"`
	}{f}
	v, _, err := send[KickCount](ctx, c, request{method: http.MethodPost, body: body}, "/v1/kicks/preview")
	return v, err
}

// KickMany ends the sessions that a filter finds, those that live now. The kick is on record when the call returns and is done bit by bit; see WaitBulkKick.
func (c *Client) KickMany(ctx context.Context, k BulkKickRequest) (*BulkKick, error) {
	v, _, err := send[BulkKick](ctx, c, request{method: http.MethodPost, body: k, changes: true}, "/v1/kicks")
	return v, err
}

// BulkKickFilter says which kicks are listed.
type BulkKickFilter struct {
	State BulkKickState // "": all
	ListOptions
}

// ListBulkKicks lists the kicks of many accounts, the newest first.
func (c *Client) ListBulkKicks(ctx context.Context, f BulkKickFilter) iter.Seq2[BulkKick, error] {
	return list[BulkKick](ctx, c, f.ListOptions, query("state", string(f.State)), "/v1/kicks")
}

// GetBulkKick returns how far a kick of many accounts has come.
func (c *Client) GetBulkKick(ctx context.Context, id string) (*BulkKick, error) {
	return get[BulkKick](ctx, c, "/v1/kicks/%s", id)
}

// CancelBulkKick has a kick of many accounts select no further session; those that are selected still go.
func (c *Client) CancelBulkKick(ctx context.Context, id string) (*BulkKick, error) {
	v, _, err := send[BulkKick](ctx, c, request{method: http.MethodDelete, changes: true}, "/v1/kicks/%s", id)
	return v, err
}

// WaitBulkKick waits until a kick of many accounts is not running any more, or ctx ends, and returns how far it has come. It asks seldom: after a quarter of a
// second, then less often, every five seconds at last. While a link is down, a kick of its sessions goes on running. If progress is not nil it is told of
// each answer.
func (c *Client) WaitBulkKick(ctx context.Context, id string, progress func(*BulkKick)) (*BulkKick, error) {
	for wait := 250 * time.Millisecond; ; wait = min(wait*3/2, 5*time.Second) {
		k, err := c.GetBulkKick(ctx, id)
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(k)
		}
		if k.State != BulkKickRunning {
			return k, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return k, err
		}
	}
}
