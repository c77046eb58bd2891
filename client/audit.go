package client

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// AuditEntry is who did what to what.
type AuditEntry struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Actor     Actor           `json:"actor"`
	RequestID string          `json:"request_id"`
	Action    string          `json:"action"`  // such as "rule.put", "session.kick"
	Account   string          `json:"account"` // bare JID; "": it is about none, or about one that was erased
	Domain    string          `json:"domain"`  // "": it is about all of them
	Target    string          `json:"target"`  // what it was done to beside the account
	Old       json.RawMessage `json:"old"`     // what was there, as the API shows it; null: nothing
	New       json.RawMessage `json:"new"`     // what is there now
	Outcome   json.RawMessage `json:"outcome"` // what it came to
}

// Actor is who did it.
type Actor struct {
	Via     string `json:"via"`     // "api" with a token, "dashboard" a user of it, "cli" the command line, "owner" the account's owner, "bindgate" by itself
	Subject string `json:"subject"` // the token's, a user's name, the owner's bare JID, or which part of bindgate
	Address string `json:"address"` // of the caller; "": not known, or forgotten
}

// AuditFilter says which entries are listed: those that all of its fields fit; zero fields fit all.
type AuditFilter struct {
	Actor   string // a subject
	Action  string
	Account string // bare JID
	Domain  string // and its accounts
	Since   time.Time
	Until   time.Time // before it
	ListOptions
}

// ListAudit lists who did what to what, the latest first.
func (c *Client) ListAudit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	q := query("actor", f.Actor, "action", f.Action, "account", f.Account, "domain", f.Domain)
	setTimes(q, f.Since, f.Until)
	return list[AuditEntry](ctx, c, f.ListOptions, q, "/v1/audit")
}
