package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Peek is Look of many accounts, in the order of their distinct JIDs; those that are not on record are left out. What it returns may be past by now: who acts on
// it looks again in a Batch.
func (s *Store) Peek(ctx context.Context, jids []string) ([]*Record, error) {
	if len(jids) == 0 {
		return nil, nil
	}
	wants := make([]Want, len(jids))
	for i, jid := range jids {
		wants[i] = Want{Key: KeyOf(jid), JID: jid}
	}
	out := make([]*Record, 0, len(jids))
	_, err := s.batch(ctx, Fence{}, look, wants, func(_ int, r *Record) {
		if r != nil {
			out = append(out, r)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("peek: %w", err)
	}
	return out, nil
}

// guardedRead begins a transaction for reading, with the plans of a batch. It is to end with "commit".
func guardedRead() *pgx.Batch {
	q := &pgx.Batch{}
	q.Queue("begin read only")
	q.Queue(guard)
	return q
}
