package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// databaseError says in one line what is wrong with the database and what would be right, with the place where the database was named.
func (c *config) databaseError(err error) error {
	if c.databaseOrigin == "" {
		return err
	}
	return fmt.Errorf("%s: %w", c.databaseOrigin, c.plainDatabaseError(err))
}

// SQLSTATEs that have a remedy.
const (
	stateNoPassword   = "28P01"
	stateNoEntry      = "28000"
	stateNoDatabase   = "3D000"
	stateNoPrivilege  = "42501"
	stateTooMany      = "53300"
	stateReadOnly     = "25006"
	stateStarting     = "57P03"
	stateShuttingDown = "57P01"
)

// plainDatabaseError is what the driver says, less the repetitions: it lists each address that it tried, with and without TLS, each on a line.
func (c *config) plainDatabaseError(err error) error {
	pc, parseErr := pgxpool.ParseConfig(c.DatabaseURL)
	if parseErr != nil {
		return err
	}
	to := pc.ConnConfig
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		remedy := ""
		switch said.Code {
		case stateNoPassword, stateNoEntry:
			remedy = fmt.Sprintf("correct user and password in the address, or let the user %s in (pg_hba.conf)", to.User)
		case stateNoDatabase:
			remedy = fmt.Sprintf("correct the name in the address, or make it: createdb -O %s %s", to.User, to.Database)
		case stateNoPrivilege:
			remedy = fmt.Sprintf("make the user %s its owner: alter database %s owner to %s", to.User, to.Database, to.User)
		case stateTooMany:
			remedy = "raise max_connections there; bindgate keeps up to 16 for each process"
		case stateReadOnly:
			remedy = "it takes no writes: name the primary"
		case stateStarting, stateShuttingDown:
			remedy = "try again when it is up"
		default:
			return err
		}
		return &databaseTrouble{fmt.Sprintf("the PostgreSQL at %s says: %s: %s", place(to.Host, to.Port), said.Message, remedy), err}
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		why := strings.TrimSpace(lines[len(lines)-1])
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			why = fmt.Sprintf("the name %s cannot be resolved", dns.Name)
		} else if _, after, ok := strings.Cut(why, "dial error: "); ok {
			why = after
		}
		return &databaseTrouble{fmt.Sprintf("no PostgreSQL answers at %s: %s: start it, or correct the address", place(to.Host, to.Port), why), err}
	}
	return err
}

// databaseTrouble says it in our words and keeps what the driver said for those that look for it.
type databaseTrouble struct {
	text  string
	cause error
}

func (e *databaseTrouble) Error() string { return e.text }
func (e *databaseTrouble) Unwrap() error { return e.cause }

// place is a host and port, or the directory of a socket.
func place(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}
