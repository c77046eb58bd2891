package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/bindgate/bindgate/rules"
)

const maxLookup = 500 // accounts

// lookup is who of many is logged in, on the wire: an item for each account, in the order in which they were asked for.
type lookup struct {
	Items []lookedUp `json:"items"`
}

// lookedUp is one account. Online: it has a session that is bound and may stay.
type lookedUp struct {
	Account  string    `json:"account"`
	Online   bool      `json:"online"`
	Sessions []session `json:"sessions"`
}

// lookupSessions answers for accounts that are not on record, or that the caller's token does not cover, as for those without a session.
func (a *api) lookupSessions(c *call) error {
	o, err := readObject(c.Request(), "accounts")
	if err != nil {
		return err
	}
	asked, err := o.accounts("accounts", maxLookup)
	if err != nil {
		return err
	}
	var seen []string
	known := make(map[string]bool, len(asked))
	for _, acc := range asked {
		if !known[acc.jid] && c.caller.sees(acc.domain) {
			seen = append(seen, acc.jid)
		}
		known[acc.jid] = true
	}
	live, err := a.store.LiveSessions(c.ctx, seen)
	if err != nil {
		return err
	}
	v := lookup{Items: make([]lookedUp, len(asked))}
	for i, acc := range asked {
		item := lookedUp{Account: acc.jid, Sessions: make([]session, len(live[acc.key]))}
		for n, s := range live[acc.key] {
			item.Sessions[n] = showSession(s)
			item.Online = item.Online || s.State == string(rules.Active) || s.State == string(rules.Hibernating)
		}
		v.Items[i] = item
	}
	return c.respond(http.StatusOK, v)
}

// accounts reads a list of 1 … limit accounts.
func (o *object) accounts(name string, limit int) ([]account, error) {
	var list []string
	raw, ok := o.fields[name]
	if !ok {
		return nil, failField(codeInvalidField, "/"+name, fmt.Sprintf("This is needed: an array of 1 to %d bare JIDs.", limit))
	}
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		for i, element := range o.list(name, limit) {
			if element[0] != '"' {
				return nil, failField(codeInvalidField, fmt.Sprintf("/%s/%d", name, i), "This must be a string.")
			}
		}
		return nil, o.problem
	}
	if len(list) == 0 || len(list) > limit {
		return nil, failField(codeInvalidField, "/"+name, fmt.Sprintf("This must have 1 to %d elements; it has %d.", limit, len(list)))
	}
	out := make([]account, len(list))
	for i, text := range list {
		j, err := parseAccount(fmt.Sprintf("/%s/%d", name, i), text)
		if err != nil {
			return nil, err
		}
		out[i] = j
	}
	return out, nil
}
