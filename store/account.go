package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
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

// lockAccounts locks accounts, in the order in which everyone does: those that are to be there, which are put on record if they are not, and of others those that are.
func lockAccounts(ctx context.Context, tx pgx.Tx, there []string, others []pgtype.UUID) error {
	keys, domains := uuids(len(there), func(i int) Key { return KeyOf(there[i]) }), make([]string, len(there))
	for i, jid := range there {
		domains[i] = domainOf(jid)
	}
	for range 3 { // one that is erased between the two statements is put on record again
		if _, err := tx.Exec(ctx, `insert into accounts (key, jid, domain) select * from unnest($1::uuid[], $2::text[], $3::text[]) order by 1 on conflict do nothing`, keys, there, domains); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select key = any($1) from accounts where key = any($1) or key = any($2) order by key for update`, keys, others)
		if err != nil {
			return err
		}
		locked, err := pgx.CollectRows(rows, pgx.RowTo[bool])
		if err != nil {
			return err
		}
		n := 0
		for _, is := range locked {
			if is {
				n++
			}
		}
		if n == len(there) {
			return nil
		}
	}
	return ErrBusy
}
