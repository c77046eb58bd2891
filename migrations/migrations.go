// Package migrations brings a database to the schema that this binary knows.
//
// Migrations only go forward. Each is safe while the previous binary still runs on the database. Those that build indexes on accounts, sessions or their history (8 and
// 10) keep writers of that table waiting, logins among them, for as long as reading all of its rows and sorting them takes.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Those that wait for another process to migrate look every second, for five minutes.
const (
	lockPollSeconds = 1
	lockPolls       = 300
)

// ErrNewer means that the database was migrated by a newer bindgate than this one.
var ErrNewer = errors.New("the database is newer than this bindgate")

// Up applies what is missing, each migration in a transaction, all under a session lock: any number of processes may
// call it at once. A database that is newer than the binary is refused with ErrNewer and left alone.
func Up(ctx context.Context, url string) error {
	db, err := open(url)
	if err != nil {
		return err
	}
	defer db.Close()

	have, err := version(ctx, db)
	if err != nil {
		return err
	}
	if err := refuseNewer(have); err != nil {
		return err
	}
	if have == Latest() {
		return nil
	}

	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPollSeconds, lockPolls))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if have, err = version(ctx, db); err != nil {
		return err
	}
	return refuseNewer(have)
}

// Version is the schema version of the database, 0 if it has none yet. It changes nothing.
func Version(ctx context.Context, url string) (int64, error) {
	db, err := open(url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return version(ctx, db)
}

// Latest is the schema version that this binary knows.
func Latest() int64 {
	var latest int64
	for _, name := range names() {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			latest = max(latest, n)
		}
	}
	return latest
}

// Hash names the whole set of migrations: it changes with every byte of them.
func Hash() string {
	h := sha256.New()
	for _, name := range names() {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err) // an embedded file that was just listed
		}
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func names() []string {
	list, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err) // a constant pattern
	}
	return list
}

func open(url string) (*sql.DB, error) {
	cfg, err := pgxpool.ParseConfig(url) // takes the pool's own parameters too
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	return stdlib.OpenDB(*cfg.ConnConfig), nil
}

func version(ctx context.Context, db *sql.DB) (int64, error) {
	var there bool
	if err := db.QueryRowContext(ctx, `select to_regclass('goose_db_version') is not null`).Scan(&there); err != nil {
		return 0, fmt.Errorf("schema version: %w", err)
	}
	if !there {
		return 0, nil
	}
	var v int64
	if err := db.QueryRowContext(ctx, `select coalesce(max(version_id) filter (where is_applied), 0) from goose_db_version`).Scan(&v); err != nil {
		return 0, fmt.Errorf("schema version: %w", err)
	}
	return v, nil
}

func refuseNewer(have int64) error {
	if have > Latest() {
		return fmt.Errorf("%w: it has schema version %d, this binary knows up to %d: start the newer bindgate, or restore a backup made before the upgrade", ErrNewer, have, Latest())
	}
	return nil
}
