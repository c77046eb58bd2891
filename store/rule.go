package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	By       Actor
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
	if was, ok, err := Made[ruleOutcome](c.By); ok || err != nil {
		kept.Version = was.Version
		return kept, was.Created, was.job(), err
	}
	job, err = s.changeRule(ctx, c, &kept, func(tx pgx.Tx, current *KeptRule) (map[string]any, error) {
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
			returning version`, c.Level, c.Subject, string(fields), at, c.By.String()).Scan(&kept.Version)
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
	if was, ok, err := Made[ruleOutcome](c.By); ok || err != nil {
		return was.job(), err
	}
	job, err = s.changeRule(ctx, c, nil, func(tx pgx.Tx, current *KeptRule) (map[string]any, error) {
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

// changeRule makes a change; kept is the new rule, nil if it is unset.
func (s *Store) changeRule(ctx context.Context, c RuleChange, kept *KeptRule, change func(pgx.Tx, *KeptRule) (map[string]any, error)) (job int64, err error) {
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
		if job, err = ruleChanged(ctx, tx, c, data); err != nil {
			return err
		}
		action := RulePut
		if kept == nil {
			action = RuleDelete
		}
		return auditRule(ctx, tx, c, action, current, kept, job)
	})
	return job, err
}

// ruleOutcome is what a change of a rule came to.
type ruleOutcome struct {
	Version int64  `json:"version,omitempty"`
	Created bool   `json:"created,omitempty"`
	KickID  string `json:"kick_id,omitempty"` // of the job that was accepted with it
}

func (o ruleOutcome) job() int64 {
	if o.KickID == "" {
		return 0
	}
	n, _ := ParseJobID(o.KickID) // it is our own
	return n
}

// auditedRule is a rule as the audit shows it.
type auditedRule struct {
	rules.Rule
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func showRule(k *KeptRule) any {
	if k == nil {
		return nil
	}
	v := auditedRule{Rule: k.Rule}
	if !k.ExpiresAt.IsZero() {
		at := k.ExpiresAt.UTC()
		v.ExpiresAt = &at
	}
	return v
}

func auditRule(ctx context.Context, tx pgx.Tx, c RuleChange, action Action, before, after *KeptRule, job int64) error {
	out := ruleOutcome{Created: before == nil}
	if after != nil {
		out.Version = after.Version
	} else {
		out.Created = false
	}
	if job != 0 {
		out.KickID = JobID(job)
	}
	e := Entry{Action: action, Target: string(c.Level), Old: showRule(before), New: showRule(after), Outcome: out}
	switch c.Level {
	case rules.LevelAccount:
		e.Account = c.Subject
	case rules.LevelDomain:
		e.Domain = c.Subject
	case rules.LevelGroup:
		e.Target += " " + c.Subject
	case rules.LevelDefault:
	}
	return audit(ctx, tx, c.By, out, e)
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
	return lockAccounts(ctx, tx, []string{scope.Subject}, nil)
}

func tellRuleChanged(ctx context.Context, tx pgx.Tx, scope RuleScope, by Actor, data map[string]any) error {
	e := Event{Type: "rule.changed"}
	data["level"], data["by"] = scope.Level, by.String()
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
