package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// domainLang is the default language of an account's domain, as a column of a statement about accounts; ” is none.
const domainLang = "coalesce((select d.lang from domains d where d.name = accounts.domain), '')"

// KnowsDomain reports whether a domain has an account, a rule or a language.
func (s *Store) KnowsDomain(ctx context.Context, domain string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from accounts where domain = $1) or exists (select from rules where scope = 'domain' and subject = $1)
		or exists (select from domains where name = $1)`, domain).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("knows domain: %w", err)
	}
	return known, nil
}

// SetDomainLang keeps the language of texts to a domain's accounts, for those that have none of their own; "" is none.
func (s *Store) SetDomainLang(ctx context.Context, domain, lang string, by Actor) error {
	if _, ok, err := Made[struct{}](by); ok || err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was := ""
		err := tx.QueryRow(ctx, `select lang from domains where name = $1 for update`, domain).Scan(&was)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if lang == "" {
			_, err = tx.Exec(ctx, `delete from domains where name = $1`, domain)
		} else {
			_, err = tx.Exec(ctx, `insert into domains (name, lang) values ($1, $2) on conflict (name) do update set lang = excluded.lang`, domain, lang)
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, by, struct{}{}, Entry{Action: DomainChange, Domain: domain, Target: domain, Old: langEntry(was), New: langEntry(lang)})
	})
	if err != nil {
		return fmt.Errorf("set the language of a domain: %w", err)
	}
	return nil
}

// SetAccountLang keeps the language of texts to an account; "" is none. ErrNotFound if the account is not on record.
func (s *Store) SetAccountLang(ctx context.Context, jid, lang string, by Actor) error {
	if _, ok, err := Made[struct{}](by); ok || err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		was := ""
		err := tx.QueryRow(ctx, `select coalesce(lang, '') from accounts where key = $1 for update`, uuidOf(KeyOf(jid))).Scan(&was)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if was != lang {
			if _, err := tx.Exec(ctx, `update accounts set lang = nullif($2, ''), revision = revision + 1 where key = $1`, uuidOf(KeyOf(jid)), lang); err != nil {
				return err
			}
		}
		return audit(ctx, tx, by, struct{}{}, Entry{Action: AccountChange, Account: jid, Old: langEntry(was), New: langEntry(lang)})
	})
	if err != nil {
		return fmt.Errorf("set the language of an account: %w", err)
	}
	return nil
}

func langEntry(lang string) map[string]any {
	if lang == "" {
		return map[string]any{"lang": nil}
	}
	return map[string]any{"lang": lang}
}

// Domain is a domain as readers see it.
type Domain struct {
	Name     string
	Accounts int64
	Rule     bool   // it has a rule
	Lang     string // of texts to its accounts; "": none
}
