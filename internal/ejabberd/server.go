// Package ejabberd starts and stops private ejabberd servers for the tests and the benchmarks. Each has free loopback ports, keeps everything it
// writes in one directory, takes any user with any password, and runs as Debian's user ejabberd where root starts it. It is no node of any network.
package ejabberd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bindgate/bindgate/internal/port"
	module "github.com/bindgate/bindgate/xmppbridge/ejabberd"
)

const (
	bootWait = 2 * time.Minute // it takes two seconds on a machine that has them
	stopWait = 10 * time.Second
)

// patientSchedulers do not spin while they wait for work. Spinning takes their turns from them where others want the processor: an ejabberd starts in
// 15 seconds instead of 80 beside four busy processes on two cores. Config.Spinning has them spin.
var patientSchedulers = []string{"+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"}

// calls end, whatever they make the server do.
var calls = &http.Client{Timeout: 2 * time.Minute}

// Server is a running private ejabberd. Its methods may be called from any goroutine, Stop, Kill and Restart one at a time.
type Server struct {
	// C2S, Component and HTTP are host:port. The API is at http://HTTP/api/.
	C2S, Component, HTTP string

	cfg     Config
	ports   ports
	in      *installation
	dir     string
	ownsDir bool
	cred    *syscall.Credential

	config sync.Mutex // guards cfg.Hosts and the file
	mu     sync.Mutex // guards cmd, exited
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs an ejabberd and returns when it takes clients and calls of its API.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	in, err := build(cfg.Root)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg.withDefaults(), in: in, dir: cfg.Dir}
	if err := s.setUp(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("ejabberd: %w", err)
	}
	if err := s.run(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// setUp picks ports, writes the configuration, and gives the directory to the server's user.
func (s *Server) setUp() (err error) {
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "bindgate-ejabberd-"); err != nil {
			return err
		}
		s.ownsDir = true
	}
	if os.Geteuid() == 0 {
		if s.cred, err = credential(); err != nil {
			return err
		}
	}
	for _, p := range []*int{&s.ports.c2s, &s.ports.component, &s.ports.http} {
		if *p, err = port.Pick(); err != nil {
			return err
		}
	}
	addr := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	s.C2S, s.Component, s.HTTP = addr(s.ports.c2s), addr(s.ports.component), addr(s.ports.http)
	for _, d := range []string{"spool", "logs", "modules"} {
		if err := os.MkdirAll(s.path(d), 0o750); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"ejabberd.yml": s.cfg.render(s.ports), "inetrc": "{lookup,[\"file\",\"native\"]}.\n"} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o640); err != nil {
			return err
		}
	}
	return s.hand(s.dir)
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// hand gives what is under path to the server's user.
func (s *Server) hand(path string) error {
	if s.cred == nil {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(s.cred.Uid), int(s.cred.Gid))
	})
}

// credential is that of the user ejabberd.
func credential() (*syscall.Credential, error) {
	u, err := user.Lookup("ejabberd")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// run starts the process and waits until its API answers. Erlang is started as ejabberdctl does it, but without a node name, which would need a port and a
// daemon.
func (s *Server) run(ctx context.Context) error {
	out, err := os.OpenFile(s.path("ejabberd.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	defer out.Close()
	args := []string{"-noinput", "+K", "true", "+P", "50000"}
	if !s.cfg.Spinning {
		args = append(args, patientSchedulers...)
	}
	for _, dir := range slices.Concat(s.in.ebins, []string{s.in.kit}) {
		args = append(args, "-pa", dir)
	}
	if !s.cfg.Bare {
		args = append(args, "-pa", s.in.gate)
	}
	cmd := exec.Command("erl", append(args, "-mnesia", "dir", strconv.Quote(s.path("spool")), "-s", "ejabberd")...)
	cmd.Dir = s.path("spool")
	cmd.Env = append(os.Environ(), "HOME="+s.path("spool"), "EJABBERD_CONFIG_PATH="+s.path("ejabberd.yml"), "EJABBERD_LOG_PATH="+s.path("logs/ejabberd.log"),
		"ERL_INETRC="+s.path("inetrc"), "ERL_MAX_PORTS=32000", "ERL_CRASH_DUMP_BYTES=0", "CONTRIB_MODULES_PATH="+s.path("modules"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cred} // a group of its own: it has helpers as its children
	dieWithUs(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ejabberd: start: %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, bootWait)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if s.listening(ctx) {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("ejabberd ended at once; its log:\n%s", s.Log())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("ejabberd took no call in time: %w; its log:\n%s", ctx.Err(), s.Log())
		case <-poll.C:
		}
	}
}

// listening reports whether all ports are served. The API's is the first to be.
func (s *Server) listening(ctx context.Context) bool {
	if _, err := s.Eval(ctx, "ok"); err != nil {
		return false
	}
	for _, addr := range []string{s.C2S, s.Component} {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
	}
	return true
}

// Call calls a command of the HTTP API with its arguments, a JSON object, and returns the answer.
func (s *Server) Call(ctx context.Context, command, args string) (string, error) {
	return s.post(ctx, "/api/"+command, "application/json", args)
}

// Eval evaluates Erlang in the server, expressions without the last full stop, and returns the last value: a binary as it is, all else as Erlang writes it.
func (s *Server) Eval(ctx context.Context, erlang string) (string, error) {
	return s.post(ctx, "/kit", "text/plain", erlang+".")
}

func (s *Server) post(ctx context.Context, path, contentType, text string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTP+path, strings.NewReader(text))
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := calls.Do(req)
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ejabberd: %s: %s: %s", path, resp.Status, body)
	}
	return string(body), nil
}

// AddHost adds a virtual host to the running server.
func (s *Server) AddHost(ctx context.Context, h Host) error {
	s.config.Lock()
	defer s.config.Unlock()
	before := s.cfg.Hosts
	s.cfg.Hosts = append(slices.Clone(before), h.withDefaults())
	if err := os.WriteFile(s.path("ejabberd.yml"), []byte(s.cfg.render(s.ports)), 0o640); err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	// 23.01 would begin to connect each new host to an SQL database that it is not configured for.
	if _, err := s.Eval(ctx, "ejabberd_hooks:delete(host_up, ejabberd_sql_sup, start, 20)"); err != nil {
		return err
	}
	_, err := s.Call(ctx, "reload_config", "{}")
	if err != nil {
		s.cfg.Hosts = before
	}
	return err
}

// Install lays the gate module's sources where ejabberdctl module_install takes them from, and installs it as that does.
func (s *Server) Install(ctx context.Context) error {
	target := s.path("modules/sources/mod_bindgate")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	if err := os.CopyFS(target, module.Module); err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	if err := s.hand(s.path("modules")); err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	_, err := s.Call(ctx, "module_install", `{"module":"mod_bindgate"}`)
	return err
}

// KeepConfig keeps AddHost from reloading the configuration, which would start a module that was stopped by hand, until release is called.
func (s *Server) KeepConfig() (release func()) {
	s.config.Lock()
	return sync.OnceFunc(s.config.Unlock)
}

// Domain is the first virtual host.
func (s *Server) Domain() string { return s.cfg.Hosts[0].Domain }

// ComponentJID is the first virtual host's external component.
func (s *Server) ComponentJID() string { return s.cfg.Hosts[0].Component }

// Secret is that of every component.
func (s *Server) Secret() string { return s.cfg.Secret }

// Dir holds the server's configuration, database and log.
func (s *Server) Dir() string { return s.dir }

// Addresses are those of C2S and Component.
func (s *Server) Addresses() (clients, components string) { return s.C2S, s.Component }

// WebSocketURL is where RFC 7395 clients connect.
func (s *Server) WebSocketURL() string { return "ws://" + s.HTTP + "/xmpp-websocket" }

// BOSHURL is where XEP-0124 clients connect.
func (s *Server) BOSHURL() string { return "http://" + s.HTTP + "/http-bind" }

// Stop asks the server to shut down, kills it when it does not, and removes the directory if Start made it.
func (s *Server) Stop() {
	s.end(syscall.SIGTERM)
	if s.ownsDir {
		_ = os.RemoveAll(s.dir)
	}
}

// Kill ends the server at once (SIGKILL), as a crash would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Restart stops the server if it runs and starts it again on the same ports and data.
func (s *Server) Restart(ctx context.Context) error {
	s.end(syscall.SIGTERM)
	return s.run(ctx)
}

// Signal sends sig to the server, SIGSTOP and SIGCONT for example. It is an error when none runs.
func (s *Server) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("ejabberd is not running")
	}
	return s.cmd.Process.Signal(sig)
}

func (s *Server) end(sig syscall.Signal) {
	s.mu.Lock()
	cmd, exited := s.cmd, s.exited
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // also its helpers
	<-exited
}

// Log is the end of what the server has written, at most 64 KiB: for failure messages.
func (s *Server) Log() string {
	const most = 64 << 10
	all := s.LogOf("")
	return all[max(0, len(all)-most):]
}

// LogOf is every line of the log that has a word in it.
func (s *Server) LogOf(word string) string {
	var all strings.Builder
	for _, name := range []string{"ejabberd.out", "logs/ejabberd.log"} {
		text, _ := os.ReadFile(s.path(name))
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, word) {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}
