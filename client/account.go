package client

import (
	"context"
	"net/http"
	"time"
)

// Account is a bare JID that has logged in, or that something was said of.
type Account struct {
	JID        string      `json:"jid"`
	Domain     string      `json:"domain"`
	Generation int64       `json:"generation"` // grows with every admission
	Revision   int64       `json:"revision"`   // grows with every change to the account
	Counts     StateCounts `json:"counts"`     // of its live sessions
	Group      string      `json:"group"`      // whose rule holds for it; "": none
	Lang       string      `json:"lang"`       // of texts to it (BCP 47); "": its domain's
	Rule       RuleInShort `json:"rule"`       // that holds for it
}

// StateCounts are numbers of live sessions by their states.
type StateCounts struct {
	Binding     int64 `json:"binding"`
	Active      int64 `json:"active"`
	Hibernating int64 `json:"hibernating"`
	Evicting    int64 `json:"evicting"`
}

// RuleInShort is an account's effective rule in short; GetEffectiveRule has it whole.
type RuleInShort struct {
	MaxSessions    *int           `json:"max_sessions"` // nil: no limit
	MaxPerPlatform map[string]int `json:"max_per_platform"`
	OnExcess       OnExcess       `json:"on_excess"`
	Enforce        bool           `json:"enforce"`
	Own            bool           `json:"own"`        // the account has a rule of its own
	ExpiresAt      time.Time      `json:"expires_at"` // of that; zero: never
}

// GetAccount returns an account.
func (c *Client) GetAccount(ctx context.Context, jid string) (*Account, error) {
	return get[Account](ctx, c, "/v1/accounts/%s", jid)
}

type langChange struct {
	Lang Optional[string] `json:"lang"`
}

func langOf(lang string) langChange {
	if lang == "" {
		return langChange{Null[string]()}
	}
	return langChange{Set(lang)}
}

// ChangeAccount sets the language (BCP 47) of texts to an account whose client does not name its own; "" is that of its domain.
func (c *Client) ChangeAccount(ctx context.Context, jid, lang string) (*Account, error) {
	a, _, err := send[Account](ctx, c, request{method: http.MethodPatch, body: langOf(lang), changes: true}, "/v1/accounts/%s", jid)
	return a, err
}
