// Package store is the PostgreSQL record: accounts, devices, sessions, decisions, rules, events, kicks and links.
//
// One rule holds it together: whoever changes an account's rows holds the account's row lock (Batch takes it), so the order of those
// locks is the order of everything that happens to the account. Only this package knows SQL and SQLSTATEs.
package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Store is a pool of connections to the record. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool
	platforms atomic.Pointer[KeptPlatforms] // as last read

	// What was found when decisions were listed last: where to begin to look, not more.
	decisionRate   atomic.Uint64 // how many there were a second: the bits of a float64
	newestDecision atomic.Int64  // when the newest was, in microseconds since 1970
}

// Config says how to reach the database.
type Config struct {
	URL      string // a PostgreSQL connection string or URL
	MaxConns int32  // 0: 16
}

// Open connects and checks that the database answers. It does not migrate.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	pc.MaxConns = 16
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 2 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("database: %w", err)
	}
	return &Store{pool: pool}, nil
}

// FromPool makes a store of a pool that the caller keeps and closes.
func FromPool(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Pool returns the store's connections.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Close ends the connections.
func (s *Store) Close() { s.pool.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Now returns the database's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	if err := s.pool.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return now, fmt.Errorf("clock: %w", err)
	}
	return now, nil
}
