package client

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// HistoryFilter says which time a history is of; zero fields leave it to the server: the last hour, in steps that make a few hundred.
type HistoryFilter struct {
	Since  time.Time
	Until  time.Time
	Step   Seconds // a minute, 5, 15, an hour, 6, or a day
	Domain string
}

// History is how much there was of what, step by step.
type History struct {
	Since  time.Time `json:"since"` // where the first step begins
	Until  time.Time `json:"until"` // where the last one ends
	Step   Seconds   `json:"step_seconds"`
	Domain string    `json:"domain"` // "": all that the token covers
	Series []Series  `json:"series"`
}

// Series is one figure over time.
type Series struct {
	Name   string     `json:"name"`   // "logins", "denials", "undecided", "evictions", "ended", "sessions_by_state", "sessions_by_platform", "accounts_online", …
	Code   string     `json:"code"`   // which of them: a code of decisions, a state, a platform, "p95"; "": all
	Unit   string     `json:"unit"`   // "count" in the step, "sessions", "accounts", "milliseconds"
	Values []*float64 `json:"values"` // one for each step; nil: not known
}

// GetHistory returns what was counted over time. Minutes are kept for two days, quarters of an hour for eight, and hours for 400.
func (c *Client) GetHistory(ctx context.Context, f HistoryFilter) (*History, error) {
	q := query("domain", f.Domain)
	if f.Step != 0 {
		q.Set("step_seconds", strconv.FormatInt(int64(f.Step), 10))
	}
	setTimes(q, f.Since, f.Until)
	h, _, err := send[History](ctx, c, request{method: http.MethodGet, query: q}, "/v1/stats/history")
	return h, err
}
