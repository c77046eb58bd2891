package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Decision is the answer to one login, and why.
type Decision struct {
	ID          string    `json:"id"` // "": it was evaluated only
	At          time.Time `json:"at"`
	Account     string    `json:"account"`
	Resource    string    `json:"resource"`
	DeviceID    string    `json:"device_id"` // "": not known
	Platform    string    `json:"platform"`
	SessionID   string    `json:"session_id"` // that was let in; "": none
	Outcome     string    `json:"outcome"`    // "allow" or "deny"
	Code        string    `json:"code"`       // "ok", "takeover", "own_reconnect", "limit", "same_resource", "cooldown", "frozen", "grant_required", "condition", "blocked", "choose", "unavailable"
	Evicted     []string  `json:"evicted"`    // the sessions that had to go for it
	RuleField   string    `json:"rule_field"` // that made the decision; "": none did
	RuleLevel   Level     `json:"rule_level"` // where that field was set
	Explanation []string  `json:"explanation"`
	Shadow      bool      `json:"shadow"` // the rule is not enforced: nothing was carried out
	RetryAfter  Seconds   `json:"retry_after_seconds"`
	Repeats     int64     `json:"repeats"` // how often the same device was denied for the same reason again
	LastAt      time.Time `json:"last_at"` // of the last repeat
}

// ListDecisions lists the decisions about an account, the newest first.
func (c *Client) ListDecisions(ctx context.Context, jid string, o ListOptions) iter.Seq2[Decision, error] {
	return list[Decision](ctx, c, o, nil, "/v1/accounts/%s/decisions", jid)
}

// DecisionFilter says which decisions are listed: those that all of its fields fit; zero fields fit all.
type DecisionFilter struct {
	Domain   string
	Outcome  string // "allow" or "deny"
	Code     string
	Platform string // or a group of platforms
	Since    time.Time
	Until    time.Time // before it
	ListOptions
}

// ListAllDecisions lists the decisions about all accounts that the token covers, the newest first.
func (c *Client) ListAllDecisions(ctx context.Context, f DecisionFilter) iter.Seq2[Decision, error] {
	q := query("domain", f.Domain, "outcome", f.Outcome, "code", f.Code, "platform", f.Platform)
	setTimes(q, f.Since, f.Until)
	return list[Decision](ctx, c, f.ListOptions, q, "/v1/decisions")
}

// EvaluateRequest is a login that might be.
type EvaluateRequest struct {
	Account  string `json:"account"`             // bare JID; it need not have logged in before
	Resource string `json:"resource,omitempty"`  // "": the server would make one
	Platform string `json:"platform,omitempty"`  // "": what the matchers say
	DeviceID string `json:"device_id,omitempty"` // "": told by the resource
	IP       string `json:"ip,omitempty"`
	Grant    string `json:"grant,omitempty"` // a grant's token
}

// Evaluate returns the decision that a login would get now, with its explanation, without any effect.
func (c *Client) Evaluate(ctx context.Context, e EvaluateRequest) (*Decision, error) {
	d, _, err := send[Decision](ctx, c, request{method: http.MethodPost, body: e}, "/v1/decisions/evaluate")
	return d, err
}
