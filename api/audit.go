package api

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/store"
)

// auditEntry is an entry of the audit on the wire.
type auditEntry struct {
	ID        string          `json:"id"`
	At        *time.Time      `json:"at"`
	Actor     auditActor      `json:"actor"`
	RequestID *string         `json:"request_id"`
	Action    store.Action    `json:"action"`
	Account   *string         `json:"account"`
	Domain    *string         `json:"domain"`
	Target    *string         `json:"target"`
	Old       json.RawMessage `json:"old"`
	New       json.RawMessage `json:"new"`
	Outcome   json.RawMessage `json:"outcome"`
}

type auditActor struct {
	Via     store.Via `json:"via"`
	Subject *string   `json:"subject"`
	Address *string   `json:"address"`
}

func showEntry(e store.ListedEntry) auditEntry {
	return auditEntry{
		ID: e.ID(), At: utc(e.At), Actor: auditActor{e.Via, orNull(e.Actor), orNull(e.Address)}, RequestID: orNull(e.RequestID), Action: e.Action,
		Account: orNull(e.Account), Domain: orNull(e.Domain), Target: orNull(e.Target), Old: e.Old, New: e.New, Outcome: e.Outcome,
	}
}

var auditParams = []string{"actor", "action", "account", "domain", "since", "until"}

func (a *api) listAudit(c *call) error {
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	f := store.AuditFilter{Domains: c.caller.domains, Actor: q.Get("actor"), Action: store.Action(q.Get("action")), Limit: limit + 1}
	if f.Action != "" && !slices.Contains(store.Actions(), f.Action) {
		return failField(codeInvalidField, "action", "This must be one of "+strings.ReplaceAll(strings.Trim(fmt.Sprint(store.Actions()), "[]"), " ", ", ")+".")
	}
	if s := q.Get("account"); s != "" {
		acc, err := parseAccount("account", s)
		if err != nil {
			return err
		}
		f.Account = &acc.key
	}
	if d := q.Get("domain"); d != "" {
		if f.Domain, err = parseDomain("domain", d); err != nil {
			return err
		}
	}
	if f.Since, err = timeParam(q, "since"); err != nil {
		return err
	}
	if f.Until, err = timeParam(q, "until"); err != nil {
		return err
	}
	of := c.filteredName("/v1/audit", auditParams)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	f.After = unpackEntry(place)
	read, err := a.store.ListAudit(c.ctx, f)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, page(read, limit, showEntry, func(e store.ListedEntry) string { return a.cursors.seal(of, packEntry(e.Position())) }))
}

func packEntry(p store.AuditPosition) []byte {
	return binary.BigEndian.AppendUint64(packTime(p.At), uint64(p.Entry))
}

func unpackEntry(b []byte) (p store.AuditPosition) {
	if len(b) != 16 { // the start
		return p
	}
	return store.AuditPosition{At: unpackTime(b[:8]), Entry: int64(binary.BigEndian.Uint64(b[8:]))}
}
