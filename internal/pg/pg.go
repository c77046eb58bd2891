// Package pg runs a private PostgreSQL cluster in a directory, from the binaries that are on the machine.
//
// The cluster listens on a Unix socket only, inside a directory that nobody but its owner (and root) can enter; that is
// its access control, no password exists. It never runs as root: a root process starts it as the user "postgres".
//
// A cluster outlives a crash of the process that started it; the next Start on its directory adopts it. One process at
// a time owns a directory.
package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "bindgate"
	database  = "bindgate"
	port      = "5432" // only names the socket

	startTimeout = 60 * time.Second // crash recovery of a large cluster included
	pollEvery    = 20 * time.Millisecond
	watchEvery   = 250 * time.Millisecond
)

// Config says where a cluster lives and how it runs.
type Config struct {
	// Dir is the cluster's directory. It is made if it is missing and filled by initdb if it is empty. When it cannot
	// be reached by the user that PostgreSQL runs as (root, with a data directory below /root), it becomes a symbolic
	// link to a directory in /var/lib/bindgate.
	Dir string

	// Settings are passed to the server and win over the defaults of this package.
	Settings map[string]string

	// Ephemeral ends the cluster and removes its directory when this process ends, however it ends. For tests.
	Ephemeral bool

	// Log may be nil.
	Log *slog.Logger
}

// Cluster is a running cluster. Its methods are safe for concurrent use.
type Cluster struct {
	dir      string // as PostgreSQL sees it: absolute, links resolved
	socket   string // directory of the socket
	bin      binaries
	owner    owner
	settings map[string]string
	log      *slog.Logger
	lock     *os.File
	leash    *leash

	mu         sync.Mutex
	postmaster process
}

// Start brings up the cluster in cfg.Dir and returns when it answers. A cluster that still runs there is adopted.
//
// It fails with a sentence that says what to do: no PostgreSQL on the machine, a directory that belongs to somebody
// else or holds something else, data of a major version whose binaries are missing, a directory that another process
// uses already.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if cfg.Dir == "" {
		return nil, errors.New("start postgresql: no directory given")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	c := &Cluster{log: cfg.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()

	if c.owner, err = findOwner(); err != nil {
		return nil, err
	}
	if c.dir, err = c.owner.prepare(cfg.Dir); err != nil {
		return nil, err
	}
	if c.lock, err = lockDir(c.dir); err != nil {
		return nil, err
	}
	major, err := clusterVersion(c.dir)
	if err != nil {
		return nil, err
	}
	if c.bin, err = find(major); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Dir, err)
	}
	if c.socket, err = c.owner.socketDir(c.dir); err != nil {
		return nil, err
	}
	c.settings = map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": c.socket,
		"unix_socket_permissions": "0700",
		"timezone":                "UTC",
		"jit":                     "off",
		"log_min_messages":        "warning",
	}
	for k, v := range cfg.Settings {
		c.settings[k] = v
	}

	if major == "" {
		if err := c.initialize(ctx, cfg.Ephemeral); err != nil {
			return nil, err
		}
	}
	if cfg.Ephemeral {
		if c.leash, err = newLeash(c.dir, c.socket); err != nil {
			return nil, err
		}
	}
	if pm, ok := findPostmaster(c.dir); ok {
		c.postmaster, c.socket = process{pid: pm.pid, dir: c.dir}, pm.socket
		c.log.InfoContext(ctx, "adopted a running postgresql", "dir", c.dir, "pid", pm.pid)
		err = c.answering(ctx)
	} else {
		err = c.start(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c, c.createDatabase(ctx)
}

// Running returns the URL of the cluster in dir, if one runs there. It starts and changes nothing.
func Running(dir string) (string, bool) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false
	}
	pm, ok := findPostmaster(dir)
	if !ok {
		return "", false
	}
	return socketURL(pm.socket, database), true
}

// URL is what pgx.Connect takes. It stays the same over restarts.
func (c *Cluster) URL() string { return socketURL(c.socket, database) }

// BinDir is where the PostgreSQL programs of this cluster's version are (psql, pgbench, …).
func (c *Cluster) BinDir() string { return c.bin.dir }

// LogFile is the server's log.
func (c *Cluster) LogFile() string { return filepath.Join(c.dir, "server.log") }

// Stop shuts down in PostgreSQL's fast mode: open transactions are rolled back, connections closed, the data is left
// clean. It waits until the server is gone or ctx ends, then gives the directory free.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.shutdown(ctx)
	if err == nil && c.socket != c.dir {
		_ = os.Remove(c.socket) // made again by the next start
	}
	c.release()
	return err
}

// Restart is a fast shutdown and a start in the same place.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.shutdown(ctx); err != nil {
		return err
	}
	return c.start(ctx)
}

// Watch starts the server again when it has ended without being told to, until ctx ends; a start that
// ctx interrupts is given up. It returns an error only if the server cannot be started.
func (c *Cluster) Watch(ctx context.Context) error {
	for sleep(ctx, watchEvery) == nil {
		if err := c.revive(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) revive(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.postmaster.alive() {
		return nil
	}
	c.log.WarnContext(ctx, "postgresql has ended, starting it again", "dir", c.dir)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if pm, ok := findPostmaster(c.dir); ok { // somebody was faster
		c.postmaster = process{pid: pm.pid, dir: c.dir}
		return c.answering(ctx)
	}
	return c.start(ctx)
}

// Kill ends the postmaster with SIGKILL, as a crash would, and waits until it is gone. Start it again with Restart.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.postmaster.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill postgresql: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.gone(ctx)
}

func (c *Cluster) shutdown(ctx context.Context) error {
	if !c.postmaster.alive() {
		return nil
	}
	if err := c.postmaster.signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop postgresql: %w", err)
	}
	return c.gone(ctx)
}

func (c *Cluster) gone(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) { return !c.postmaster.alive(), nil })
	if err != nil {
		return fmt.Errorf("postgresql (process %d) does not end: %w", c.postmaster.pid, err)
	}
	return nil
}

// release gives up what this process holds besides the server itself.
func (c *Cluster) release() {
	if c.leash != nil {
		c.leash.let()
		c.leash = nil
	}
	if c.lock != nil {
		// A child of this process that is just being started shares the file until it runs its program: closing it alone would not give it free.
		_ = syscall.Flock(int(c.lock.Fd()), syscall.LOCK_UN)
		c.lock.Close()
		c.lock = nil
	}
}

// start runs the server and waits for its first answer. After a crash, processes of the previous server may hold its
// shared memory for a moment; then it is tried again.
func (c *Cluster) start(ctx context.Context) error {
	for {
		err := c.startOnce(ctx)
		if !errors.Is(err, errStillHeld) {
			return err
		}
		if err := sleep(ctx, 5*pollEvery); err != nil {
			return errStillHeld
		}
	}
}

var errStillHeld = errors.New("postgresql: processes of a previous server still hold its shared memory")

func (c *Cluster) startOnce(ctx context.Context) error {
	if err := removeStalePID(c.dir); err != nil {
		return err
	}
	log, err := c.owner.openLog(c.LogFile())
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("postgresql log: %w", err)
	}

	args := []string{"-D", c.dir}
	for _, k := range slices.Sorted(keys(c.settings)) {
		args = append(args, "-c", k+"="+c.settings[k])
	}
	cmd := exec.Command(filepath.Join(c.bin.dir, "postgres"), args...) // outlives ctx
	cmd.Dir = "/"
	cmd.Env = c.owner.env()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = c.owner.attr()
	cmd.SysProcAttr.Setsid = true // a Ctrl-C in the terminal is for us; we end the server in our order
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgresql: %w", err)
	}
	c.postmaster = process{pid: cmd.Process.Pid, child: true}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("start postgresql: %w", err)
	}
	if err := c.answering(ctx); err != nil {
		said := tail(c.LogFile(), before)
		if !c.postmaster.alive() && strings.Contains(said, "shared memory block") {
			return errStillHeld
		}
		if c.postmaster.alive() {
			_ = c.postmaster.signal(syscall.SIGQUIT)
		}
		return fmt.Errorf("%w; its log %s says: %s", err, c.LogFile(), lastLines(said, 5))
	}
	return nil
}

// answering waits until the server takes a connection.
func (c *Cluster) answering(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		if !c.postmaster.alive() {
			return false, errors.New("postgresql ended while it started")
		}
		conn, err := pgx.Connect(ctx, socketURL(c.socket, "postgres"))
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return true, conn.Close(ctx)
	})
}

func socketURL(dir, db string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + db}
	u.RawQuery = url.Values{"host": {dir}, "port": {port}}.Encode()
	return u.String()
}

// Check reports what would keep Start from working in dir, without changing anything.
func Check(dir string) error {
	if _, err := findOwner(); err != nil {
		return err
	}
	major, err := clusterVersion(dir)
	if err != nil {
		return err
	}
	_, err = find(major)
	return err
}
