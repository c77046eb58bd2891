package store

import (
	"context"
	"fmt"
)

// Ready reports whether the database answers and has the record's tables.
func (s *Store) Ready(ctx context.Context) error {
	var migrated bool
	if err := s.pool.QueryRow(ctx, `select to_regclass('rules') is not null and exists (select from goose_db_version where version_id > 0 and is_applied)`).Scan(&migrated); err != nil {
		return fmt.Errorf("ready: %w", err)
	}
	if !migrated {
		return fmt.Errorf("ready: the database has not been migrated")
	}
	return nil
}
