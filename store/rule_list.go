package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// ListedRule is a rule as readers see it.
type ListedRule struct {
	RuleScope
	KeptRule
	UpdatedAt time.Time
	UpdatedBy string
}

// RuleFilter says which rules are listed; zero fields filter nothing.
type RuleFilter struct {
	Domains []string // nil: all; else the default's, and those of the domains, of their accounts, and of groups that have any of those
	Level   rules.Level
	Text    string // in the subject, in capitals or not
}

// ListRules returns the rules behind a scope that have not expired, by level and subject.
func (s *Store) ListRules(ctx context.Context, f RuleFilter, after RuleScope, limit int) ([]ListedRule, error) {
	rows, err := s.pool.Query(ctx, `select scope, subject, fields, version, expires_at, updated_at, updated_by from rules
		where (scope collate "C", subject collate "C") > ($1, $2) and (expires_at is null or expires_at > clock_timestamp())
			and ($4::text[] is null or scope = 'default' or scope = 'domain' and subject = any($4) or scope = 'account' and split_part(subject, '@', 2) = any($4)
				or scope = 'group' and exists (select from group_sizes g where g.account_group = subject and g.domain = any($4) and g.members > 0))
			and ($5 = '' or scope = $5) and ($6 = '' or position(lower($6) in lower(subject)) > 0)
		order by scope collate "C", subject collate "C" limit $3`, string(after.Level), after.Subject, limit, f.Domains, string(f.Level), f.Text)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ListedRule, error) {
		var r ListedRule
		var fields []byte
		var expires pgtype.Timestamptz
		if err := row.Scan(&r.Level, &r.Subject, &fields, &r.Version, &expires, &r.UpdatedAt, &r.UpdatedBy); err != nil {
			return r, err
		}
		r.ExpiresAt = expires.Time
		var err error
		if r.Rule, err = rules.Kept(fields); err != nil {
			return r, fmt.Errorf("the kept rule of %s %q: %w", r.Level, r.Subject, err)
		}
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return list, nil
}
