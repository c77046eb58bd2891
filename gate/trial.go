package gate

import (
	"context"
	"slices"
	"time"
)

// SelfTest is what a trial of a link with a throw-away account came to.
type SelfTest struct {
	At       time.Time  `json:"at"`
	Account  string     `json:"account"`
	OK       bool       `json:"ok"`             // it was let in, seen and kicked, and its client was told <conflict/>
	Held     *bool      `json:"held,omitempty"` // the login waited for its decision; nil: not found out
	Kick     *TrialKick `json:"kick,omitempty"` // what the kick came to; nil: there was none
	Findings []string   `json:"findings,omitempty"`
}

// Domain is the account's.
func (t SelfTest) Domain() string {
	_, domain := split(t.Account)
	return domain
}

// TrialKick is what a kicked client was told.
type TrialKick struct {
	Outcome   string `json:"outcome"`   // of the kick
	Condition string `json:"condition"` // the stream error's; "": the stream ended without one
	Text      string `json:"text"`
	Lang      string `json:"lang"`  // of the text
	Ended     string `json:"ended"` // the code in <ended/>; "": there was none
}

// trialPoll is how often it is looked whether a link can be tried.
const trialPoll = 500 * time.Millisecond

// Try has test run once for each connection of a link that this process owns, as soon as the record tells what the domain's server has, and keeps what it came to in the
// link's state. It ends with ctx.
func (g *Gate) Try(ctx context.Context, name, domain string, test func(ctx context.Context) SelfTest) error {
	tried := -1
	for pause(ctx, trialPoll) {
		n := g.connection(name)
		if n == tried || !slices.Contains(g.settled(name), domain) {
			continue
		}
		tried = n
		result := test(ctx)
		if ctx.Err() != nil {
			return nil
		}
		g.withLink(name, func(l *link) { l.selfTest = &result })
	}
	return nil
}
