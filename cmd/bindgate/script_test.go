package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bindgate/bindgate/internal/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bindgate": main})
}

// TestScripts runs the command as users do. Each script has an empty database at $DB.
func TestScripts(t *testing.T) {
	t.Parallel()
	pgtest.Empty(t) // skips, or fails, if there is no PostgreSQL
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for _, v := range os.Environ() {
				if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "BINDGATE_") {
					e.Setenv(name, "")
				}
			}
			e.Setenv("DB", pgtest.Empty(t))
			return nil
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort, "takeport": takePort, "sql": sql, "waitfor": waitFor, "opendir": openDir, "chown": chown, "get": get,
		},
	})
}

// freePort NAME sets NAME to a loopback address that nobody listens on.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// takePort NAME listens until the script ends and sets NAME to the address.
func takePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// sql STATEMENT runs on $DB; its result, if it is text, goes to nobody: a failure ends the script.
func sql(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, ts.Getenv("DB"))
	ts.Check(err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, strings.Join(args, " "))
	if neg != (err != nil) {
		ts.Fatalf("sql %s: %v", strings.Join(args, " "), err)
	}
}

// waitfor URL waits until it answers 200.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		res, err := http.Get(args[0]) //nolint:noctx // bounded by the loop
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not answer 200", args[0])
}

// get STATUS URL [FILE] expects the status, with the token in FILE.
func get(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[1], nil) //nolint:noctx // a test
	ts.Check(err)
	if len(args) > 2 {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	res.Body.Close()
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("GET %s: %s, want %s", args[1], res.Status, args[0])
	}
}

// opendir NAME makes a directory that every user may pass, and sets NAME to it.
func openDir(ts *testscript.TestScript, _ bool, args []string) {
	dir, err := os.MkdirTemp("/tmp", "bindgate-script-")
	ts.Check(err)
	ts.Check(os.Chmod(dir, 0o711)) //nolint:gosec // PostgreSQL runs as another user
	ts.Defer(func() {
		endServers(dir)
		os.RemoveAll(dir)
	})
	ts.Setenv(args[0], dir)
}

// endServers ends the databases that a script which failed has left below dir.
func endServers(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "postgresql", "postmaster.pid")) // a well formed pattern
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(b), "\n")
		if pid, err := strconv.Atoi(first); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
	}
}

// chown UID PATH.
func chown(ts *testscript.TestScript, _ bool, args []string) {
	uid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.Chown(ts.MkAbs(args[1]), uid, -1))
}
