package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// AccountSummary is an account with its live sessions counted by state.
type AccountSummary struct {
	JID         string
	Domain      string
	Generation  int64
	Revision    int64
	Group       string // "": none
	Lang        string // of texts; "": none of its own
	Binding     int
	Active      int
	Hibernating int
	Evicting    int
}

// FindAccount returns an account; ErrNotFound.
func (s *Store) FindAccount(ctx context.Context, account Key) (AccountSummary, error) {
	var a AccountSummary
	err := s.pool.QueryRow(ctx, `select a.jid, a.domain, a.generation, a.revision, coalesce(a.account_group, ''), coalesce(a.lang, ''),
			count(*) filter (where s.evict_code is null and s.state = 'binding'), count(*) filter (where s.evict_code is null and s.state = 'active'),
			count(*) filter (where s.evict_code is null and s.state = 'hibernating'), count(*) filter (where s.evict_code is not null)
		from accounts a left join sessions s on s.account = a.key
		where a.key = $1 group by a.key`, uuidOf(account)).
		Scan(&a.JID, &a.Domain, &a.Generation, &a.Revision, &a.Group, &a.Lang, &a.Binding, &a.Active, &a.Hibernating, &a.Evicting)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("find account: %w", err)
	}
	return a, nil
}
