package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// SessionFilter says which sessions are listed; zero fields filter nothing.
type SessionFilter struct {
	Domains   []string // nil: all; empty: none
	Account   string   // bare; "": of all
	Platforms []string
	State     string // StateEnded lists the history; all others, and "", the live ones
	Text      string // in the full JID, in capitals or not
	Resource  string // how the resource begins
	After     SessionPosition
	Limit     int // of the page
}

// SessionPosition is a place in a list of sessions: behind a session, or behind all of an account that were there. Zero is the start. Which fields count depends on the
// filter.
type SessionPosition struct {
	Domain     string
	JID        string
	Key        Key
	Rest       bool   // who begins with the filter's Text is listed already
	SID        string // of a live one; "": none
	EndedAt    time.Time
	Generation int64
}

// SessionPage is a piece of a list of sessions.
type SessionPage struct {
	Sessions []ListedSession
	Next     *SessionPosition // where the list goes on; nil: it ends here
}

const (
	pageLooks     = 2000 // accounts or sessions that are looked at for one page
	evictingLooks = 250  // sessions that are evicting, if not all of them are wanted
	pageDomains   = 16   // domains, likewise
)

// ListSessions returns a page of the sessions that pass the filter. A list read page by page has every session that is there all the while exactly once.
//
// A page costs the same however many sessions there are: it goes by the index that fits the filter best, and looks at a bounded number of accounts or sessions. So it may
// have fewer than the limit, or none, and yet not be the last.
func (s *Store) ListSessions(ctx context.Context, f SessionFilter) (SessionPage, error) {
	var page SessionPage
	var err error
	switch {
	case f.Account == "" && f.Text != "":
		page, err = s.sessionsWithText(ctx, f)
	default:
		page, err = s.anySessions(ctx, f)
	}
	if err != nil {
		return page, fmt.Errorf("list sessions: %w", err)
	}
	return page, nil
}

func (s *Store) anySessions(ctx context.Context, f SessionFilter) (SessionPage, error) {
	if f.Account == "" && f.Domains != nil && f.State != StateEvicting && f.State != stateBinding {
		return s.sessionsOfDomains(ctx, f)
	}
	return s.sessionPage(ctx, f)
}

// sessionsWithText lists first the accounts that begin with the text, by their index, and behind them all others that have it somewhere.
func (s *Store) sessionsWithText(ctx context.Context, f SessionFilter) (SessionPage, error) {
	var all SessionPage
	if !f.After.Rest {
		page, err := s.sessionPage(ctx, f)
		if err != nil || page.Next != nil {
			return page, err
		}
		all = page
		f.After = SessionPosition{Rest: true}
		if f.Limit -= len(page.Sessions); f.Limit == 0 {
			all.Next = &f.After
			return all, nil
		}
	}
	page, err := s.anySessions(ctx, f)
	if err != nil {
		return page, err
	}
	all.Sessions = append(all.Sessions, page.Sessions...)
	if all.Next = page.Next; all.Next != nil {
		all.Next.Rest = true
	}
	return all, nil
}

// sessionsOfDomains goes through one domain after the other.
func (s *Store) sessionsOfDomains(ctx context.Context, f SessionFilter) (SessionPage, error) {
	domains := slices.Compact(slices.Sorted(slices.Values(f.Domains)))
	at, _ := slices.BinarySearch(domains, f.After.Domain)
	var all SessionPage
	for n, domain := range domains[at:] {
		if n == pageDomains {
			all.Next = &SessionPosition{Domain: domain}
			return all, nil
		}
		one := f
		one.Domains, one.Limit = []string{domain}, f.Limit-len(all.Sessions)
		if domain != f.After.Domain {
			one.After = SessionPosition{Rest: f.After.Rest}
		}
		page, err := s.sessionPage(ctx, one)
		if err != nil {
			return all, err
		}
		all.Sessions = append(all.Sessions, page.Sessions...)
		if page.Next != nil {
			page.Next.Domain = domain
			all.Next = page.Next
			return all, nil
		}
		if len(all.Sessions) == f.Limit && at+n+1 < len(domains) {
			all.Next = &SessionPosition{Domain: domains[at+n+1]}
			return all, nil
		}
	}
	return all, nil
}

// sessionPage reads a page by one index.
func (s *Store) sessionPage(ctx context.Context, f SessionFilter) (page SessionPage, err error) {
	q := newPageQuery(f)
	if f.Account != "" {
		rows, err := s.pool.Query(ctx, q.page(), q.args...)
		if err != nil {
			return page, err
		}
		page.Sessions, err = pgx.CollectRows(rows, scanListedSession)
		page.cut(f.Limit)
		return page, err
	}
	// One snapshot: where the page ends and what is on it must not differ.
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// What is looked at comes in the order of an index. To sort all that fits would seem cheaper to the planner, which cannot know how much that is.
		if _, err := tx.Exec(ctx, guard+", set_config('enable_bitmapscan', 'off', true)"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, q.page(), q.args...)
		if err != nil {
			return err
		}
		if page.Sessions, err = pgx.CollectRows(rows, scanListedSession); err != nil || page.cut(f.Limit) {
			return err
		}
		var end SessionPosition
		var key pgtype.UUID
		var ended pgtype.Timestamptz
		switch err := tx.QueryRow(ctx, q.end(), q.args[:q.lookArgs]...).Scan(&key, &end.JID, &end.SID, &ended, &end.Generation); {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		default:
			end.Key, end.EndedAt = key.Bytes, ended.Time
			page.Next = &end
		}
		return nil
	})
	return page, err
}

// cut makes a page of what was read: one session more if there are more. It reports whether there are.
func (p *SessionPage) cut(limit int) bool {
	if len(p.Sessions) <= limit {
		return false
	}
	p.Sessions = p.Sessions[:limit]
	last := p.Sessions[limit-1]
	p.Next = &SessionPosition{JID: last.JID, Key: last.Key, SID: last.SID, EndedAt: last.EndedAt, Generation: last.Generation}
	return true
}
