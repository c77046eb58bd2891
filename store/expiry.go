package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/rules"
)

// byExpiry is the subject of who changes a rule that expires.
const byExpiry = "expiry"

// ExpireRules deletes up to limit rules whose time is over, each in a transaction of its own with the event rule.changed and, if the account has a live
// session, a job that brings it within what holds from now on. However many processes do it at once, each rule expires once. It returns how many did.
func (s *Store) ExpireRules(ctx context.Context, limit int) (n int, err error) {
	over, err := s.jids(ctx, "expired rules", `select subject from rules where scope = 'account' and expires_at <= now() order by expires_at limit $1`, limit)
	if err != nil {
		return 0, err
	}
	for _, jid := range over {
		expired, err := s.expireRule(ctx, RuleScope{rules.LevelAccount, jid})
		if err != nil {
			return n, fmt.Errorf("expire rule: %w", err)
		}
		if expired {
			n++
		}
	}
	return n, nil
}

func (s *Store) expireRule(ctx context.Context, scope RuleScope) (expired bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockRule(ctx, tx, scope); err != nil {
			return err
		}
		c := RuleChange{RuleScope: scope, By: Actor{Via: ViaSelf, Subject: byExpiry}}
		var fields []byte
		before := &KeptRule{}
		err := tx.QueryRow(ctx, `delete from rules where scope = $1 and subject = $2 and expires_at <= clock_timestamp()
			returning exists (select from sessions where account = $3), fields, expires_at`, scope.Level, scope.Subject, uuidOf(KeyOf(scope.Subject))).Scan(&c.ApplyNow, &fields, &before.ExpiresAt)
		if errors.Is(err, pgx.ErrNoRows) { // another process was first, or it was put anew
			return nil
		}
		if err != nil {
			return err
		}
		expired = true
		if before.Rule, err = rules.Kept(fields); err != nil {
			return err
		}
		job, err := ruleChanged(ctx, tx, c, map[string]any{"rule": nil, "version": nil})
		if err != nil {
			return err
		}
		return auditRule(ctx, tx, c, RuleExpire, before, nil, job)
	})
	return expired && err == nil, err
}
