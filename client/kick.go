package client

import (
	"context"
	"net/http"
	"slices"
)

// KickRequest says which sessions of an account have to go: exactly one of SessionIDs, DeviceIDs, Platform, ExceptSessionID and All. The rest is optional.
type KickRequest struct {
	SessionIDs      []string `json:"session_ids,omitempty"`
	DeviceIDs       []string `json:"device_ids,omitempty"`
	Platform        string   `json:"platform,omitempty"`
	ExceptSessionID string   `json:"except_session_id,omitempty"` // all but this one
	All             bool     `json:"all,omitempty"`

	Reason   string            `json:"reason,omitempty"`           // for the record; clients are not told
	Text     map[string]string `json:"text,omitempty"`             // what the clients are told, by language
	Cooldown Seconds           `json:"cooldown_seconds,omitempty"` // so long the kicked devices may not come back
	// BlockDevices blocks the devices of these sessions, ends all sessions of theirs, and lets everybody else of the account in at once.
	BlockDevices bool `json:"block_devices,omitempty"`
	// RevokeCredentials has the server revoke the tokens that it stores for the account before the sessions end. The password is not the server's: change it.
	RevokeCredentials bool `json:"revoke_credentials,omitempty"`
	// IfRevision makes the kick only if the account is still at this revision; CodeRevisionMismatch else.
	IfRevision *int64 `json:"if_revision,omitempty"`
}

// Outcome is what became of a session that was kicked.
type Outcome string

// The outcomes. A newer bindgate may have others.
const (
	OutcomeKicked       Outcome = "kicked"        // its end was seen
	OutcomeGone         Outcome = "gone"          // it did not live any more
	OutcomePending      Outcome = "pending"       // on record, no proof yet; it is done also after a restart of bindgate
	OutcomeStillPresent Outcome = "still_present" // the server was asked several times and the session lives on
)

// KickReport is what a kick has come to.
type KickReport struct {
	Generation       int64             `json:"generation"`
	Revision         int64             `json:"revision"`
	Results          []KickResult      `json:"results"`            // one for each selected session
	BlockedDeviceIDs []string          `json:"blocked_device_ids"` // with BlockDevices
	Credentials      *CredentialReport `json:"credentials"`        // with RevokeCredentials; else nil
	Warnings         []string          `json:"warnings"`           // what is most likely a slip; nil: nothing
}

// KickResult is what became of one session.
type KickResult struct {
	SessionID     string  `json:"session_id"`
	Resource      string  `json:"resource"`
	Outcome       Outcome `json:"outcome"`
	DeviceBlocked bool    `json:"device_blocked"` // with BlockDevices: its device is blocked now
}

// CredentialReport is what became of the credentials that the server stores for the account.
type CredentialReport struct {
	Outcome string               `json:"outcome"` // "revoked", "nothing" (none were stored), "pending", "unable"
	Revoked []RevokedCredentials `json:"revoked"`
	Reason  string               `json:"reason"` // why nothing was revoked, or what was left
}

// RevokedCredentials are those of one kind.
type RevokedCredentials struct {
	Kind  string `json:"kind"` // "fast", "tokenauth"
	Count int64  `json:"count"`
}

// Done reports whether everything has a final outcome. What is pending needs no further call: GetSession, and the events kick.verified and kick.unverified, tell.
func (r *KickReport) Done() bool {
	if r.Credentials != nil && r.Credentials.Outcome == "pending" {
		return false
	}
	return !slices.ContainsFunc(r.Results, func(k KickResult) bool { return k.Outcome == OutcomePending })
}

// Kick ends sessions of an account. The request is on record before it is answered; the answer waits up to two seconds for proof that the sessions have
// ended. It keeps no device from logging in again, unless it blocks it or takes away what it logs in with.
func (c *Client) Kick(ctx context.Context, jid string, k KickRequest) (*KickReport, error) {
	r, _, err := send[KickReport](ctx, c, request{method: http.MethodPost, body: k, changes: true}, "/v1/accounts/%s/kick", jid)
	return r, err
}
