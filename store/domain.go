package store

import (
	"context"
	"fmt"
)

// domainLang is the default language of an account's domain, as a column of a statement about accounts; ” is none.
const domainLang = "coalesce((select d.lang from domains d where d.name = accounts.domain), '')"

// SetDomainLang keeps the language of texts to a domain's accounts, for those that have none of their own; "" is none.
func (s *Store) SetDomainLang(ctx context.Context, domain, lang string) error {
	sql := `insert into domains (name, lang) values ($1, $2) on conflict (name) do update set lang = excluded.lang`
	args := []any{domain, lang}
	if lang == "" {
		sql, args = `delete from domains where name = $1`, args[:1]
	}
	if _, err := s.pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("set the language of a domain: %w", err)
	}
	return nil
}

// SetAccountLang keeps the language of texts to an account; "" is none. ErrNotFound if the account is not on record.
func (s *Store) SetAccountLang(ctx context.Context, account Key, lang string) error {
	tag, err := s.pool.Exec(ctx, `update accounts set lang = nullif($2, ''), revision = revision + 1 where key = $1 and lang is distinct from nullif($2, '')`, uuidOf(account), lang)
	if err != nil {
		return fmt.Errorf("set the language of an account: %w", err)
	}
	if tag.RowsAffected() == 0 { // as wanted, or not there
		_, err = s.FindAccount(ctx, account)
	}
	return err
}

// Domain is a domain as readers see it.
type Domain struct {
	Name     string
	Accounts int64
	Rule     bool   // it has a rule
	Lang     string // of texts to its accounts; "": none
}
