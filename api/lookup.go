package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const maxLookup = 500 // accounts

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
	body := append(make([]byte, 0, 1024*len(asked)), `{"items":[`...)
	for i, acc := range asked {
		if i > 0 {
			body = append(body, ',')
		}
		online := slices.ContainsFunc(live[acc.key], func(s store.ListedSession) bool {
			return s.State == string(rules.Active) || s.State == string(rules.Hibernating)
		})
		body = appendString(append(body, `{"account":`...), acc.jid)
		body = strconv.AppendBool(append(body, `,"online":`...), online)
		body = append(appendSessions(append(body, `,"sessions":`...), live[acc.key]), '}')
	}
	return c.respondWith(http.StatusOK, append(body, "]}"...))
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
