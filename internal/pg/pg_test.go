package pg_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/internal/pg"
)

func TestStartStopAndStartAgainKeepsTheData(t *testing.T) {
	t.Parallel()
	dir := place(t)
	c := start(t, dir)
	exec(t, c.URL(), `create table kept (n int)`)
	stop(t, c)
	if _, ok := pg.Running(dir); ok {
		t.Error("Running says yes after Stop")
	}

	c = start(t, dir)
	if url, ok := pg.Running(dir); !ok || url != c.URL() {
		t.Errorf("Running = %q, %v; want %q", url, ok, c.URL())
	}
	exec(t, c.URL(), `insert into kept values (1)`)
	stop(t, c)
}

func TestADirectoryHasOneUser(t *testing.T) {
	t.Parallel()
	dir := place(t)
	c := start(t, dir)
	defer stop(t, c)
	_, err := pg.Start(t.Context(), pg.Config{Dir: dir})
	wantError(t, err, "in use by another bindgate", dir)
}

func TestARunningClusterIsAdopted(t *testing.T) {
	t.Parallel()
	dir := place(t)
	abandoned := start(t, dir)
	exec(t, abandoned.URL(), `create table kept ()`)
	pid := postmasterPID(t, dir)
	pg.Abandon(abandoned) // as a crash of its owner does

	c := start(t, dir)
	if got := postmasterPID(t, dir); got != pid {
		t.Errorf("postmaster is %s, want the old one, %s", got, pid)
	}
	exec(t, c.URL(), `select from kept`)
	stop(t, c)
}

func TestACrashedClusterStarts(t *testing.T) {
	t.Parallel()
	dir := place(t)
	c := start(t, dir)
	exec(t, c.URL(), `create table kept ()`)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	pg.Abandon(c)
	// Its process id may belong to another program by now.
	pid := filepath.Join(dir, "postmaster.pid")
	lines, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(lines), "\n")
	if err := os.WriteFile(pid, []byte("1\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}

	c = start(t, dir)
	exec(t, c.URL(), `select from kept`)
	stop(t, c)
}

func TestAWatchedClusterComesBack(t *testing.T) {
	t.Parallel()
	c := start(t, place(t))
	exec(t, c.URL(), `create table kept ()`)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- c.Watch(ctx) }()
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	deadline, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(deadline, c.URL())
		if err == nil {
			conn.Close(deadline)
			break
		}
		select {
		case <-deadline.Done():
			t.Fatalf("it did not come back: %v", err)
		case <-tick.C:
		}
	}
	exec(t, c.URL(), `select from kept`)
	cancel()
	if err := <-watched; err != nil {
		t.Errorf("Watch: %v", err)
	}
	stop(t, c)
}

func TestDataOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := place(t)
	stop(t, start(t, dir))
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pg.Start(t.Context(), pg.Config{Dir: dir})
	wantError(t, err, "written by PostgreSQL 9", "install postgresql-9", dir)
}

func TestADirectoryWithOtherFilesIsRefused(t *testing.T) {
	t.Parallel()
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pg.Start(t.Context(), pg.Config{Dir: dir})
	if err == nil {
		t.Fatal("started in a directory with other files")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	needsRoot(t, "only root can make one")
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 1, 1); err != nil { // daemon
		t.Fatal(err)
	}
	_, err := pg.Start(t.Context(), pg.Config{Dir: dir})
	wantError(t, err, dir, "daemon", "postgres", "chown")
}

func TestADeepDirectoryHasAShortSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(place(t), strings.Repeat("long/", 25), "cluster")
	c := start(t, dir)
	exec(t, c.URL(), `select 1`)
	stop(t, c)
}

func TestADirectoryThatPostgresCannotReachIsALink(t *testing.T) {
	t.Parallel()
	needsRoot(t, "only root runs PostgreSQL as another user")
	closed := place(t)
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "cluster")
	c := start(t, dir)
	t.Cleanup(func() {
		if at, err := filepath.EvalSymlinks(dir); err == nil {
			os.RemoveAll(at)
			os.Remove(at + ".lock")
		}
	})
	exec(t, c.URL(), `create table kept ()`)
	stop(t, c)
	c = start(t, dir)
	exec(t, c.URL(), `select from kept`)
	stop(t, c)
}

// place is a path below a directory that every user may pass.
func place(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "bindgate-pg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	return filepath.Join(base, "cluster")
}

// needsRoot skips a test, or fails it when CI is set, if this is another user.
func needsRoot(t *testing.T, why string) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

func start(t *testing.T, dir string) *pg.Cluster {
	t.Helper()
	c, err := pg.Start(t.Context(), pg.Config{Dir: dir, Settings: map[string]string{"fsync": "off"}})
	if err == nil {
		t.Cleanup(func() { end(dir) })
		return c
	}
	if strings.Contains(err.Error(), pg.ErrNotInstalled.Error()) && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	t.Fatal(err)
	return nil
}

// end leaves no server behind, whatever became of the test.
func end(dir string) {
	if c, err := pg.Adopt(dir); err == nil {
		c()
	}
}

func stop(t *testing.T, c *pg.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func postmasterPID(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(b), "\n")
	return pid
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not mention %q", err, p)
		}
	}
}
