package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/rules"
)

// KeptPlatforms are the platforms as they are kept; for reading only. Version is of the same sequence as the rules'.
type KeptPlatforms struct {
	rules.Platforms
	Version int64
}

// FindPlatforms returns how platforms are told: what an operator has put, else what is shipped.
func (s *Store) FindPlatforms(ctx context.Context) (KeptPlatforms, error) {
	return findPlatforms(ctx, s.pool, "")
}

// PutPlatforms replaces the platforms whole, with the event rule.changed in the same transaction; it holds from each account's next login on.
func (s *Store) PutPlatforms(ctx context.Context, p rules.Platforms, by Actor, check RuleCheck) (KeptPlatforms, error) {
	kept := KeptPlatforms{Platforms: p}
	fields, err := json.Marshal(p)
	if err != nil {
		return kept, fmt.Errorf("put platforms: %w", err)
	}
	if was, ok, err := Made[ruleOutcome](by); ok || err != nil {
		kept.Version = was.Version
		return kept, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		current, err := findPlatforms(ctx, tx, " for update")
		if err != nil {
			return err
		}
		if err := check(&KeptRule{Version: current.Version}); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `update platforms set fields = $1, version = nextval('rule_version'), updated_at = clock_timestamp(), updated_by = $2 returning version`,
			string(fields), by.String()).Scan(&kept.Version); err != nil {
			return err
		}
		if err := tellRuleChanged(ctx, tx, RuleScope{Level: "platforms"}, by, map[string]any{"rule": json.RawMessage(fields), "version": kept.Version}); err != nil {
			return err
		}
		out := ruleOutcome{Version: kept.Version}
		return audit(ctx, tx, by, out, Entry{Action: PlatformsPut, Old: current.Platforms, New: p, Outcome: out})
	})
	if err != nil {
		return kept, fmt.Errorf("put platforms: %w", err)
	}
	return kept, nil
}

func findPlatforms(ctx context.Context, q querier, lock string) (KeptPlatforms, error) {
	var k KeptPlatforms
	var fields []byte
	if err := q.QueryRow(ctx, `select fields, version from platforms`+lock).Scan(&fields, &k.Version); err != nil {
		return k, fmt.Errorf("find platforms: %w", err)
	}
	if fields == nil {
		k.Platforms = rules.ShippedPlatforms()
		return k, nil
	}
	var err error
	if k.Platforms, err = rules.ParsePlatforms(fields); err != nil {
		return k, fmt.Errorf("the kept platforms: %w", err)
	}
	return k, nil
}

// platformsAt returns the platforms of a version that was just read in a transaction of q; they are read again only when it is another one.
func (s *Store) platformsAt(ctx context.Context, q querier, version int64) (*KeptPlatforms, error) {
	if k := s.platforms.Load(); k != nil && k.Version == version {
		return k, nil
	}
	k, err := findPlatforms(ctx, q, "")
	if err != nil {
		return nil, err
	}
	s.platforms.Store(&k)
	return &k, nil
}
