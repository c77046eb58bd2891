package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// ListedEntry is an entry of the audit as readers see it.
type ListedEntry struct {
	Entry     int64
	At        time.Time
	Via       Via
	Actor     string
	Address   string // "": not known, or forgotten
	RequestID string
	Action    Action
	Account   string // bare JID; "": of none, or it was erased
	Domain    string
	Target    string
	Old       json.RawMessage // nil: none
	New       json.RawMessage
	Outcome   json.RawMessage
}

// ID returns the entry's public id.
func (e ListedEntry) ID() string { return AuditID(e.At, e.Entry) }

// Position returns the place behind an entry.
func (e ListedEntry) Position() AuditPosition { return AuditPosition{e.At, e.Entry} }

// AuditPosition is a place in the audit; zero is before its latest entry.
type AuditPosition struct {
	At    time.Time
	Entry int64
}

// AuditFilter says which entries are listed; zero fields filter nothing.
type AuditFilter struct {
	Domains []string // nil: all; else what is about one of these, or an account of them
	Actor   string
	Action  Action
	Account *Key
	Domain  string
	Since   time.Time
	Until   time.Time // before it
	After   AuditPosition
	Limit   int
}

// ListAudit returns the entries that pass the filter, the latest first.
func (s *Store) ListAudit(ctx context.Context, f AuditFilter) ([]ListedEntry, error) {
	q := &query{}
	if f.Domains != nil {
		q.where("domain = any(?) and domain <> ''", f.Domains)
	}
	if f.Actor != "" {
		q.where("actor = ?", f.Actor)
	}
	if f.Action != "" {
		q.where("action = " + quoted(f.Action)) // in the text, since an index is for some actions only
	}
	if f.Account != nil {
		q.where("account = ?", uuidOf(*f.Account))
	}
	if f.Domain != "" {
		q.where("domain = ?", f.Domain)
	}
	if !f.Since.IsZero() {
		q.where("at >= ?", f.Since)
	}
	if !f.Until.IsZero() {
		q.where("at < ?", f.Until)
	}
	if !f.After.At.IsZero() {
		q.where("(at, id) < (?, ?)", f.After.At, f.After.Entry)
	}
	rows, err := s.pool.Query(ctx, "select id, at, via, actor, address, request_id, action, jid, domain, target, old, new, outcome from audit"+q.sql.String()+
		fmt.Sprintf(" order by at desc, id desc limit %d", f.Limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ListedEntry])
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	return list, nil
}

// quoted is an action in a statement; one that does not exist is none.
func quoted(a Action) string {
	if !slices.Contains(Actions(), a) {
		return "''"
	}
	return "'" + string(a) + "'"
}
