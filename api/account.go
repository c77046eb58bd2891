package api

import (
	"net/http"
	"time"

	"github.com/bindgate/bindgate/rules"
)

// accountView is an account on the wire.
type accountView struct {
	JID        string      `json:"jid"`
	Domain     string      `json:"domain"`
	Generation int64       `json:"generation"`
	Revision   int64       `json:"revision"`
	Counts     counts      `json:"counts"`
	Group      *string     `json:"group"`
	Lang       *string     `json:"lang"`
	Rule       ruleInShort `json:"rule"`
}

type counts struct {
	Binding     int `json:"binding"`
	Active      int `json:"active"`
	Hibernating int `json:"hibernating"`
	Evicting    int `json:"evicting"`
}

// ruleInShort is what an account's effective rule comes down to.
type ruleInShort struct {
	MaxSessions    *int           `json:"max_sessions"`
	MaxPerPlatform map[string]int `json:"max_per_platform"`
	OnExcess       rules.OnExcess `json:"on_excess"`
	Enforce        bool           `json:"enforce"`
	Own            bool           `json:"own"` // the account has a rule of its own
	ExpiresAt      *time.Time     `json:"expires_at"`
}

func (a *api) getAccount(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	return a.respondAccount(c, acc)
}

func (a *api) respondAccount(c *call, acc account) error {
	found, err := a.store.FindAccount(c.ctx, acc.key)
	if err != nil {
		return err
	}
	levels, own, err := a.store.AccountRules(c.ctx, acc.jid)
	if err != nil {
		return err
	}
	e := rules.Merge(levels...)
	v := accountView{
		JID: found.JID, Domain: found.Domain, Generation: found.Generation, Revision: found.Revision,
		Counts: counts{Binding: found.Binding, Active: found.Active, Hibernating: found.Hibernating, Evicting: found.Evicting},
		Group:  orNull(found.Group), Lang: orNull(found.Lang),
		Rule: ruleInShort{MaxSessions: e.MaxSessions, MaxPerPlatform: e.MaxPerPlatform, OnExcess: e.OnExcess, Enforce: e.Enforce, Own: own != nil},
	}
	if own != nil {
		v.Rule.ExpiresAt = utc(own.ExpiresAt)
	}
	return c.respond(http.StatusOK, v)
}
