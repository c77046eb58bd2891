package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/servers"
)

// workDir holds what is built; TestMain makes and removes it.
var workDir string

// binary is the program as users run it, built once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir, "bindgate")
	out, err := exec.Command("go", "build", "-o", path, "github.com/bindgate/bindgate/cmd/bindgate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6") // the tests wait more than they work
	}
	var err error
	if workDir, err = os.MkdirTemp("", "bindgate-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	servers.Close()
	_ = os.RemoveAll(workDir)
	os.Exit(code)
}

// process is a bindgate in a process of its own.
type process struct {
	t      testing.TB
	name   string // as it tells operators
	url    string // of its HTTP server
	log    *buffer
	cmd    *exec.Cmd
	exited chan struct{}
}

const jwtSecret = "0123456789abcdef0123456789abcdef"

// spawn runs the program on the world's database and server, and waits until it serves.
func (w *world) spawn() *process {
	w.t.Helper()
	path, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	secret := filepath.Join(dir, "jwt")
	if err := os.WriteFile(secret, []byte(jwtSecret), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := &process{t: w.t, log: &buffer{}, exited: make(chan struct{})}
	p.cmd = exec.Command(path, "serve", "--database-url", w.url, "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--jwt-secret-file", secret,
		"--xmpp-addr", w.addr, "--xmpp-component", w.server.ComponentJID())
	p.cmd.Env = append(os.Environ(), "BINDGATE_XMPP_SECRET="+w.server.Secret())
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	w.t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.exited
		if w.t.Failed() {
			w.t.Logf("log of process %d:\n%s", p.cmd.Process.Pid, tail(p.log.String(), 40))
		}
	})
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p.name = fmt.Sprintf("%s/%d", host, p.cmd.Process.Pid)
	serving := regexp.MustCompile(`msg=serving url=(\S+)`)
	w.until("bindgate serves", func() string {
		select {
		case <-p.exited:
			w.t.Fatalf("bindgate ended at once:\n%s", p.log)
		default:
		}
		m := serving.FindStringSubmatch(p.log.String())
		if m == nil {
			return "its log: " + p.log.String()
		}
		p.url = m[1]
		return ""
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v: %v", s, err)
	}
}

// kill ends the process at once; it has no say.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// end asks the process to end and waits.
func (p *process) end() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("bindgate ended with status %d:\n%s", code, tail(p.log.String(), 20))
	}
}

// rest is the process's REST API.
func (p *process) rest() *rest {
	p.t.Helper()
	token, err := api.Mint(api.Secret(jwtSecret), api.Claims{Subject: "operator", Scopes: []string{api.ScopeAdmin}})
	if err != nil {
		p.t.Fatal(err)
	}
	return &rest{p.t, p.url, token}
}

// owned waits until the process owns the link and the record was compared with the server on its connection.
func (w *world) owned(p *process) {
	w.t.Helper()
	w.until("process "+p.name+" owns the link", func() string {
		links, err := w.store.Links(w.t.Context())
		if err != nil {
			return err.Error()
		}
		for _, l := range links {
			if l.Owned && l.OwnerName == p.name && strings.Contains(string(l.State), `"up": true`) && strings.Contains(string(l.State), "last_snapshot_at") {
				return ""
			}
		}
		return fmt.Sprintf("%+v", links)
	})
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
