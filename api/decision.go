package api

import (
	"net/http"
	"net/url"
	"time"

	"github.com/bindgate/bindgate/store"
)

// decision is a kept decision on the wire.
type decision struct {
	ID          *string    `json:"id"` // null: it was evaluated only
	At          *time.Time `json:"at"`
	Account     string     `json:"account"`
	Resource    string     `json:"resource"`
	DeviceID    *string    `json:"device_id"`
	Platform    string     `json:"platform"`
	SessionID   *string    `json:"session_id"`
	Outcome     string     `json:"outcome"`
	Code        string     `json:"code"`
	Evicted     []string   `json:"evicted"`
	RuleField   *string    `json:"rule_field"`
	RuleLevel   string     `json:"rule_level"`
	Explanation []string   `json:"explanation"`
	Shadow      bool       `json:"shadow"`
	RetryAfter  *int       `json:"retry_after_seconds"`
	Repeats     int        `json:"repeats"`
	LastAt      *time.Time `json:"last_at"`
}

func (a *api) listDecisions(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	of := c.listName("/v1/accounts/decisions", acc.jid)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	before := unpackTime(place)
	found, err := a.store.FindAccount(c.ctx, acc.key)
	if err != nil {
		return err
	}
	read, err := a.store.ListDecisions(c.ctx, acc.key, before, limit+1)
	if err != nil {
		return err
	}
	show := func(d store.ListedDecision) decision { return showDecision(acc.key, found.JID, d) }
	return c.respond(http.StatusOK, page(read, limit, show, func(d store.ListedDecision) string { return a.cursors.seal(of, packTime(d.At)) }))
}

func showDecision(key store.Key, jid string, d store.ListedDecision) decision {
	id := store.DecisionID(key, d.At)
	v := decision{
		ID: &id, At: utc(d.At), Account: jid, Resource: d.Resource, DeviceID: deviceID(key, d.Device), Platform: d.Platform, Outcome: d.Outcome,
		Code: d.Code, Evicted: make([]string, len(d.Evicted)), RuleField: orNull(d.RuleField), RuleLevel: d.RuleLevel, Explanation: append([]string{}, d.Explanation...), Shadow: d.Shadow,
		Repeats: d.Repeats, LastAt: d.LastAt,
	}
	if v.LastAt != nil {
		v.LastAt = utc(*d.LastAt)
	}
	if d.RetryAfter > 0 {
		v.RetryAfter = &d.RetryAfter
	}
	for i, g := range d.Evicted {
		v.Evicted[i] = store.SessionID(key, g)
	}
	if d.Generation != 0 {
		id := store.SessionID(key, d.Generation)
		v.SessionID = &id
	}
	return v
}
