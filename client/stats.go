package client

import (
	"context"
	"time"
)

// Stats is how much there is of everything.
type Stats struct {
	CountedAt  time.Time     `json:"counted_at"` // zero: not yet
	Sessions   SessionStats  `json:"sessions"`
	Accounts   AccountStats  `json:"accounts"`
	Domains    []DomainStats `json:"domains"`    // the hundred with the most sessions
	Evictions  Recent        `json:"evictions"`  // sessions that ended because they had to, by their code
	Denials    Recent        `json:"denials"`    // logins that were denied, by the code of the decision
	OpenLoops  int64         `json:"open_loops"` // see ListLoops
	Unverified Unverified    `json:"unverified_kicks"`
	EventsWait Seconds       `json:"events_waiting_seconds"` // of the oldest event without a position; it grows while the log stands still
}

// SessionStats are of live sessions.
type SessionStats struct {
	Total      int64            `json:"total"`
	ByState    StateCounts      `json:"by_state"`
	ByPlatform map[string]int64 `json:"by_platform"`
}

// AccountStats are of accounts on record.
type AccountStats struct {
	Total           int64 `json:"total"`
	Online          int64 `json:"online"` // with a session that may stay
	SeveralSessions int64 `json:"with_several_sessions"`
}

// DomainStats are of one domain.
type DomainStats struct {
	Domain   string `json:"domain"`
	Accounts int64  `json:"accounts"`
	Sessions int64  `json:"sessions"`
}

// Recent is how often something happened, by its code.
type Recent struct {
	LastMinute map[string]int64 `json:"last_minute"`
	LastHour   map[string]int64 `json:"last_hour"`
}

// Unverified are sessions that were kicked and whose end was not seen.
type Unverified struct {
	Pending      int64 `json:"pending"`
	StillPresent int64 `json:"still_present"`
}

// GetStats returns how much there is of everything, as counted a few seconds ago.
func (c *Client) GetStats(ctx context.Context) (*Stats, error) {
	return get[Stats](ctx, c, "/v1/stats")
}
