package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// countedHere is how many accounts of a domain are counted for a list: beyond it the census tells.
const countedHere = 100

// ListGroups returns the groups behind a name, by their names: all that have an account or a rule. With domains not nil it counts their accounts only, and
// leaves out groups without any.
func (s *Store) ListGroups(ctx context.Context, domains []string, after string, limit int) ([]Group, error) {
	rows, err := s.pool.Query(ctx, `select name, sum(members)::bigint, bool_or(rule) from (
			select account_group as name, members, false as rule from group_sizes where account_group > $1 and members > 0 and ($3::text[] is null or domain = any($3))
			union all select subject, 0, true from rules where scope = 'group' and subject > $1) g
		group by name having $3::text[] is null or sum(members) > 0 order by name limit $2`, after, limit, domains)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Group])
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return list, nil
}

// memberLooks is how many members are looked at for one page.
const memberLooks = 2000

// MemberPage is a piece of a list of a group's members.
type MemberPage struct {
	Accounts []string // bare JIDs
	Next     *Key     // where the list goes on: behind this account; nil: it ends here
}

// ListMembers returns a page of a group's members behind an account, by their keys; with domains not nil, of those. It looks at a bounded number of accounts, so that
// a page may have fewer than the limit, or none, and yet not be the last.
func (s *Store) ListMembers(ctx context.Context, group string, domains []string, after Key, limit int) (MemberPage, error) {
	var page MemberPage
	rows, err := s.pool.Query(ctx, `select key, jid, $3::text[] is null or domain = any($3)
		from (select key, jid, domain from accounts where account_group = $1 and key > $2 order by key limit $4) m order by key`, group, after, domains, memberLooks)
	if err != nil {
		return page, fmt.Errorf("list members: %w", err)
	}
	var at Key
	var jid string
	var listed bool
	looked, last := 0, Key{}
	_, err = pgx.ForEachRow(rows, []any{&at, &jid, &listed}, func() error {
		switch looked++; {
		case page.Next != nil || !listed:
		case len(page.Accounts) == limit:
			page.Next = &last
		default:
			page.Accounts = append(page.Accounts, jid)
		}
		if page.Next == nil {
			last = at
		}
		return nil
	})
	if err != nil {
		return page, fmt.Errorf("list members: %w", err)
	}
	if looked == memberLooks && page.Next == nil {
		page.Next = &last
	}
	return page, nil
}

// ListDomains returns the domains behind a name, by their names: all that have an account, a rule or a language; with domains not nil, of those. Up to a hundred
// accounts are counted, more are those of the last census, if that has seen more.
func (s *Store) ListDomains(ctx context.Context, domains []string, after string, limit int) ([]Domain, error) {
	rows, err := s.pool.Query(ctx, fmt.Sprintf(`with recursive
		named as (
			(select domain as name, 1 as nth from accounts where domain > $1 order by domain limit 1)
			union all select (select domain from accounts where domain > named.name order by domain limit 1), nth + 1
				from named where named.name is not null and nth < $2 and $3::text[] is null),
		known as (
			select name, bool_or(rule) as rule from (
				select name, false as rule from named where name is not null
				union all select o, false from unnest($3::text[]) o where o > $1 and exists (select from accounts where domain = o)
				union all select subject, true from rules where scope = 'domain' and subject > $1
				union all select name, false from domains where name > $1) k
			where $3::text[] is null or name = any($3) group by name order by name limit $2)
		select k.name, greatest(c.n, case when c.n = %[1]d then (census.figures -> 'domains' -> k.name ->> 'accounts')::bigint end), k.rule, coalesce(d.lang, '')
		from census, known k left join domains d on d.name = k.name
			cross join lateral (select count(*) as n from (select from accounts where domain = k.name limit %[1]d) m) c
		order by k.name`, countedHere), after, limit, domains)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Domain])
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return list, nil
}
