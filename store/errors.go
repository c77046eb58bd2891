package store

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNotFound is returned when nothing in the record has the given name.
	ErrNotFound = errors.New("store: not found")
	// ErrVersion is returned when what was to be changed is no longer at the version the caller saw.
	ErrVersion = errors.New("store: changed meanwhile")
	// ErrFenced is returned to a process that no longer owns the link it writes for; nothing was written.
	ErrFenced = errors.New("store: the link belongs to another process now")
)

// Unreachable reports whether err says that the database itself cannot be used now, so that trying a smaller piece is useless.
func Unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "53300": // shutdown, crash, starting up, too many connections
			return true
		}
		return false
	}
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}
