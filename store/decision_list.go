package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ListedDecision is a kept decision as readers see it.
type ListedDecision struct {
	At          time.Time // with the account, its key
	Resource    string
	Device      int64 // 0: unknown
	Platform    string
	Generation  int64 // of the session it let in; 0: none
	Outcome     string
	Code        string
	Evicted     []int64 // generations
	RuleField   string  // of the rule, that made it; "": none
	RuleLevel   string
	Explanation []string
	Shadow      bool
	RetryAfter  int        // seconds; 0: not known
	Repeats     int        // how often the same was said again
	LastAt      *time.Time // of the last repeat
}

// ListDecisions returns an account's decisions, the newest first: those before a time, or all if it is zero.
func (s *Store) ListDecisions(ctx context.Context, account Key, before time.Time, limit int) ([]ListedDecision, error) {
	q := &query{}
	q.where("account = ?", uuidOf(account))
	if !before.IsZero() {
		q.where("at < ?", before)
	}
	rows, err := s.pool.Query(ctx, `select at, resource, coalesce(device, 0), platform, coalesce(generation, 0), outcome, code, evicted, coalesce(rule_field, ''), rule_level, explanation, shadow,
			coalesce(retry_after, 0), repeats, last_at
		from decisions`+q.sql.String()+fmt.Sprintf(" order by at desc limit %d", limit), q.args...)
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ListedDecision])
	if err != nil {
		return nil, fmt.Errorf("list decisions: %w", err)
	}
	return list, nil
}
