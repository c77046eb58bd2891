package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/migrations"
)

type doctorCmd struct{}

// checkTimeout bounds each thing that doctor asks over a network.
const checkTimeout = 5 * time.Second

// minPostgres is the oldest major version that is still maintained by its makers.
const minPostgres = 14

// report is what doctor found so far.
type report struct {
	out            io.Writer
	warned, failed int
}

func (r *report) ok(what, format string, args ...any) { r.line("OK  ", what, format, args...) }
func (r *report) warn(what, format string, args ...any) {
	r.warned++
	r.line("WARN", what, format, args...)
}

func (r *report) fail(what, format string, args ...any) {
	r.failed++
	r.line("FAIL", what, format, args...)
}

func (r *report) line(level, what, format string, args ...any) {
	fmt.Fprintf(r.out, "%s  %s: %s\n", level, what, fmt.Sprintf(format, args...))
}

// Run checks everything that serve would use, changes nothing, and says what to do about what it finds. Status 1 if serve would not work.
func (*doctorCmd) Run(ctx context.Context, e *env) error {
	r := &report{out: e.stdout}
	cfg, err := e.config()
	if err != nil {
		r.fail("configuration", "%v", err)
		return r.end()
	}
	if cfg.File != "" {
		r.ok("configuration", "%s and environment are understood", cfg.File)
	} else {
		r.ok("configuration", "flags and environment are understood; no configuration file")
	}
	r.dataDir(&cfg)
	key := r.tokenSecret(&cfg)
	r.publicKeys(ctx, &cfg)
	url := r.database(ctx, &cfg)
	served := r.listen(ctx, &cfg)
	for _, problem := range cfg.wayProblems() {
		r.warn("dashboard", "%s", problem)
	}
	r.links(ctx, &cfg, key, url, served)
	r.prosody(&cfg, prosodyConfig)
	r.ejabberd(&cfg, ejabberdConfig)
	r.openFiles()
	return r.end()
}

func (r *report) end() error {
	switch {
	case r.failed > 0:
		fmt.Fprintf(r.out, "\n%s, %s: bindgate will not work like this.\n", count(r.failed, "failure"), count(r.warned, "warning"))
		return errReported
	case r.warned > 0:
		fmt.Fprintf(r.out, "\nNothing failed, %s.\n", count(r.warned, "warning"))
	default:
		fmt.Fprintf(r.out, "\nAll is well.\n")
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r *report) dataDir(cfg *config) {
	if err := cfg.checkDataDir(); err != nil {
		r.fail("data directory", "%v", err)
		return
	}
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		r.ok("data directory", "%s will be made when it is needed", cfg.DataDir)
		return
	}
	r.ok("data directory", "%s is ours", cfg.DataDir)
}

// database returns the URL if the database answers.
func (r *report) database(ctx context.Context, cfg *config) string {
	url := cfg.DatabaseURL
	switch {
	case cfg.Embedded:
		running := false
		if url, running = pg.Running(cfg.clusterDir()); !running {
			if err := pg.Check(cfg.clusterDir()); err != nil {
				r.fail("database", "embedded: %v", err)
			} else {
				r.ok("database", "embedded, not running now: serve starts it")
			}
			return ""
		}
	case url == "":
		r.fail("database", "%v", errNoDatabase)
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		r.fail("database", "the address is not understood")
		return ""
	}
	conn, err := pgx.ConnectConfig(ctx, pc.ConnConfig)
	if err != nil {
		r.fail("database", "%v", cfg.databaseError(err))
		return ""
	}
	defer conn.Close(ctx)
	if err := r.server(ctx, conn); err != nil {
		r.fail("database", "%v", err)
		return ""
	}
	r.schema(ctx, url)
	return url
}

func (r *report) server(ctx context.Context, conn *pgx.Conn) error {
	var version, fsync, commit, fullPages string
	var number, connections int
	var standby, mayCreate bool
	var user string
	err := conn.QueryRow(ctx, `select current_setting('server_version'), current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('synchronous_commit'), current_setting('full_page_writes'), current_setting('max_connections')::int, pg_is_in_recovery(),
		current_user, coalesce(has_schema_privilege(current_schema(), 'create'), false)`).
		Scan(&version, &number, &fsync, &commit, &fullPages, &connections, &standby, &user, &mayCreate)
	if err != nil {
		return fmt.Errorf("its settings cannot be read: %w", err)
	}
	if standby {
		return errors.New("it is a standby, which cannot be written to: name the primary")
	}
	if number/10000 < minPostgres {
		return fmt.Errorf("PostgreSQL %s is too old: use %d or newer", version, minPostgres)
	}
	if !mayCreate {
		return fmt.Errorf("the user %s may not make tables there: alter database %s owner to %s", user, conn.Config().Database, user)
	}
	r.ok("database", "PostgreSQL %s answers", version)
	if fsync == "off" || fullPages == "off" {
		r.warn("database", "fsync = %s, full_page_writes = %s: a crash of the machine can destroy the record; set both to on", fsync, fullPages)
	}
	if commit == "off" {
		r.warn("database", "synchronous_commit = off: a kick that was confirmed can be lost in a crash; set it to on for bindgate's database")
	}
	if connections < 40 {
		r.warn("database", "max_connections = %d: bindgate keeps up to 16 for each process; 100 leaves room", connections)
	}
	return nil
}

func (r *report) schema(ctx context.Context, url string) {
	have, err := migrations.Version(ctx, url)
	switch {
	case err != nil:
		r.fail("schema", "%v", err)
	case have > migrations.Latest():
		r.fail("schema", "%v: it has version %d, this binary knows up to %d: start the newer bindgate", migrations.ErrNewer, have, migrations.Latest())
	case have < migrations.Latest():
		r.ok("schema", "version %d, will go to %d: serve does it at its start, or bindgate migrate now", have, migrations.Latest())
	default:
		r.ok("schema", "version %d, up to date", have)
	}
}

// listen reports whether a bindgate answers on --listen already.
func (r *report) listen(ctx context.Context, cfg *config) bool {
	if served(ctx, cfg.Listen) {
		r.ok("http", "a bindgate answers on %s", cfg.Listen)
		return true
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		r.fail("http", "%v", cfg.listenError(err))
		return false
	}
	l.Close()
	r.ok("http", "%s is free", cfg.Listen)
	return false
}

func (r *report) openFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Max < 4096 {
		r.warn("open files", "at most %s: ulimit -n 4096 or more leaves room for many API clients", strconv.FormatUint(l.Max, 10))
	}
}
