package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// RuleScope names one rule.
type RuleScope struct {
	Level   rules.Level
	Subject string // an account's bare JID, a group's or a domain's name; "" for the default
}

// KeptRule is a rule as it is kept. Version grows over all rules and never comes back.
type KeptRule struct {
	Rule      rules.Rule
	Version   int64
	ExpiresAt time.Time // zero: never
}

// RuleChange says which rule changes, by whom and how.
type RuleChange struct {
	RuleScope
	By       string
	ApplyNow bool // accept, with the change, a job that brings the accounts with live sessions within it; else it holds from the next login on
	Check    RuleCheck
}

// RuleCheck is asked, under the lock that orders changes of the rule, whether the change may be made; current is nil if there is none.
// Its error ends the change.
type RuleCheck func(current *KeptRule) error

// FindRule returns a rule; ErrNotFound if it is unset or has expired.
func (s *Store) FindRule(ctx context.Context, scope RuleScope) (KeptRule, error) {
	return findRule(ctx, s.pool, scope)
}

// AccountRules returns what is set for an account, the strongest first, and the account's own rule, nil if it has none or it has expired.
func (s *Store) AccountRules(ctx context.Context, bareJID string) ([]rules.LevelRule, *KeptRule, error) {
	var own *KeptRule
	switch r, err := s.FindRule(ctx, RuleScope{rules.LevelAccount, bareJID}); {
	case err == nil:
		own = &r
	case !errors.Is(err, ErrNotFound):
		return nil, nil, err
	}
	of, err := s.levels(ctx, []string{bareJID})
	if err != nil {
		return nil, nil, fmt.Errorf("account rules: %w", err)
	}
	return of(bareJID), own, nil
}

// PutRule replaces a rule whole, with the event rule.changed in the same transaction. An account that is not on record yet is put there.
// created reports that there was none; job is the one that was accepted, 0 if none was.
func (s *Store) PutRule(ctx context.Context, c RuleChange, rule rules.Rule, expires time.Time) (kept KeptRule, created bool, job int64, err error) {
	fields, err := json.Marshal(rule)
	if err != nil {
		return kept, false, 0, fmt.Errorf("put rule: %w", err)
	}
	kept = KeptRule{Rule: rule, ExpiresAt: expires}
	job, err = s.changeRule(ctx, c, func(tx pgx.Tx, current *KeptRule) (map[string]any, error) {
		created = current == nil
		var at *time.Time
		data := map[string]any{"rule": json.RawMessage(fields)}
		if !expires.IsZero() {
			at = &expires
			data["expires_at"] = expires.UTC()
		}
		err := tx.QueryRow(ctx, `insert into rules (scope, subject, fields, version, expires_at, updated_at, updated_by)
				values ($1, $2, $3, nextval('rule_version'), $4, clock_timestamp(), $5)
			on conflict (scope, subject) do update set fields = excluded.fields, version = excluded.version, expires_at = excluded.expires_at,
				updated_at = excluded.updated_at, updated_by = excluded.updated_by
			returning version`, c.Level, c.Subject, string(fields), at, c.By).Scan(&kept.Version)
		data["version"] = kept.Version
		return data, err
	})
	if err != nil {
		return kept, false, 0, fmt.Errorf("put rule: %w", err)
	}
	return kept, created, job, nil
}

// DeleteRule unsets a rule other than the default, with the event rule.changed in the same transaction; ErrNotFound if it is unset or has expired.
// job is the one that was accepted, 0 if none was.
func (s *Store) DeleteRule(ctx context.Context, c RuleChange) (job int64, err error) {
	job, err = s.changeRule(ctx, c, func(tx pgx.Tx, current *KeptRule) (map[string]any, error) {
		if current == nil {
			return nil, ErrNotFound
		}
		_, err := tx.Exec(ctx, `delete from rules where scope = $1 and subject = $2`, c.Level, c.Subject)
		return map[string]any{"rule": nil, "version": nil}, err
	})
	if err != nil {
		return 0, fmt.Errorf("delete rule: %w", err)
	}
	return job, nil
}

func (s *Store) changeRule(ctx context.Context, c RuleChange, change func(pgx.Tx, *KeptRule) (map[string]any, error)) (job int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The lock comes first and alone, so that what is read after it is not from before it.
		if err := lockRule(ctx, tx, c.RuleScope); err != nil {
			return err
		}
		var current *KeptRule
		switch r, err := findRule(ctx, tx, c.RuleScope); {
		case err == nil:
			current = &r
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if err := c.Check(current); err != nil {
			return err
		}
		data, err := change(tx, current)
		if err != nil {
			return err
		}
		job, err = ruleChanged(ctx, tx, c, data)
		return err
	})
	return job, err
}

// ruleChanged writes what every change of a rule has beside it.
func ruleChanged(ctx context.Context, tx pgx.Tx, c RuleChange, data map[string]any) (job int64, err error) {
	if c.Level == rules.LevelAccount {
		if _, err := tx.Exec(ctx, `update accounts set revision = revision + 1 where key = $1`, uuidOf(KeyOf(c.Subject))); err != nil {
			return 0, err
		}
	}
	if c.ApplyNow {
		if job, err = acceptJob(ctx, tx, c.RuleScope, c.By); err != nil {
			return 0, err
		}
		data["kick_id"] = JobID(job)
	}
	return job, tellRuleChanged(ctx, tx, c.RuleScope, c.By, data)
}

func lockRule(ctx context.Context, tx pgx.Tx, scope RuleScope) error {
	switch scope.Level {
	case rules.LevelDefault:
		_, err := tx.Exec(ctx, `select from rules where scope = 'default' and subject = '' for update`)
		return err
	case rules.LevelDomain, rules.LevelGroup: // the row may not be there
		_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))`, string(scope.Level), scope.Subject)
		return err
	case rules.LevelAccount:
	}
	key := uuidOf(KeyOf(scope.Subject))
	_, domain, _ := strings.Cut(scope.Subject, "@")
	if _, err := tx.Exec(ctx, `insert into accounts (key, jid, domain) values ($1, $2, $3) on conflict do nothing`, key, scope.Subject, domain); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `select from accounts where key = $1 for update`, key)
	return err
}

func tellRuleChanged(ctx context.Context, tx pgx.Tx, scope RuleScope, by string, data map[string]any) error {
	e := Event{Type: "rule.changed"}
	data["level"], data["by"] = scope.Level, by
	switch scope.Level {
	case rules.LevelAccount:
		e.Account = scope.Subject
	case rules.LevelDomain, rules.LevelGroup:
		data[string(scope.Level)] = scope.Subject
	case rules.LevelDefault:
	}
	var err error
	if e.Data, err = json.Marshal(data); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, `select clock_timestamp()`).Scan(&e.At); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertEvents, eventArgs(e.At, []Event{e})...)
	return err
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func findRule(ctx context.Context, q querier, scope RuleScope) (KeptRule, error) {
	var r KeptRule
	var fields []byte
	var expires pgtype.Timestamptz
	err := q.QueryRow(ctx, `select fields, version, expires_at from rules
		where scope = $1 and subject = $2 and (expires_at is null or expires_at > clock_timestamp())`, scope.Level, scope.Subject).Scan(&fields, &r.Version, &expires)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("find rule: %w", err)
	}
	if r.Rule, err = rules.Kept(fields); err != nil {
		return r, fmt.Errorf("the kept rule of %s %q: %w", scope.Level, scope.Subject, err)
	}
	r.ExpiresAt = expires.Time
	return r, nil
}
