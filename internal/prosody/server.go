// Package prosody starts and stops private Prosody servers for the tests, the benchmarks and the demo. Each listens on
// free loopback ports, keeps everything it writes in one directory, takes any user with any password, and never runs as
// root when another user is to be had.
package prosody

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bindgate/bindgate/internal/port"
	module "github.com/bindgate/bindgate/xmppbridge/prosody"
)

//go:embed plugins
var plugins embed.FS

// ErrMissing says that there is no Prosody on this machine.
var ErrMissing = errors.New("prosody is not installed (Debian: apt-get install prosody)")

// stopWait is how long a server may take to say goodbye to its clients before it is killed.
const stopWait = 8 * time.Second

// Server is a running private Prosody. Its methods may be called from any goroutine, Stop, Kill and Restart one at a time.
type Server struct {
	// C2S, Component and HTTP are host:port. WebSocket is at ws://HTTP/xmpp-websocket, BOSH at http://HTTP/http-bind.
	C2S, Component, HTTP string

	cfg     Config
	binary  string
	dir     string
	ownsDir bool
	cred    *syscall.Credential
	word    string // that lets Eval in

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a Prosody and returns when it takes clients and components.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	binary, err := exec.LookPath(cfg.Binary)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	s := &Server{cfg: cfg, binary: binary, dir: cfg.Dir, word: rand.Text()}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "bindgate-prosody-"); err != nil {
			return nil, fmt.Errorf("prosody: %w", err)
		}
		s.ownsDir = true
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return nil, fmt.Errorf("prosody: %w", err)
	}
	for attempt := 1; ; attempt++ {
		if err = s.setUp(); err == nil {
			if err = s.run(ctx); err == nil {
				return s, nil
			}
		}
		if attempt == 3 || ctx.Err() != nil || !errors.Is(err, errPort) {
			s.Stop()
			return nil, err
		}
	}
}

// setUp picks ports, writes the configuration and the plugins, and gives the directory to the server's user.
func (s *Server) setUp() error {
	if os.Geteuid() == 0 {
		s.cred = serverUser()
	}
	var p ports
	for _, n := range []*int{&p.c2s, &p.component, &p.http} {
		var err error
		if *n, err = port.Pick(); err != nil {
			return fmt.Errorf("prosody: %w", err)
		}
	}
	addr := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	s.C2S, s.Component, s.HTTP = addr(p.c2s), addr(p.component), addr(p.http)

	for _, d := range []string{"", "data", "plugins"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o750); err != nil {
			return fmt.Errorf("prosody: %w", err)
		}
	}
	kit, err := fs.Sub(plugins, "plugins")
	if err != nil {
		return fmt.Errorf("prosody: %w", err)
	}
	sources := []fs.FS{kit, module.Module}
	if s.cfg.PluginPath != "" {
		sources = append(sources, os.DirFS(s.cfg.PluginPath))
	}
	for _, src := range sources {
		if err := s.copyPlugins(src); err != nil {
			return err
		}
	}
	asRoot := os.Geteuid() == 0 && s.cred == nil
	if err := os.WriteFile(filepath.Join(s.dir, "prosody.cfg.lua"), []byte(s.cfg.render(s.dir, s.word, p, asRoot)), 0o640); err != nil {
		return fmt.Errorf("prosody: %w", err)
	}
	if s.cred == nil {
		return nil
	}
	return filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("prosody: %w", err)
		}
		return os.Lchown(path, int(s.cred.Uid), int(s.cred.Gid))
	})
}

// copyPlugins copies every Lua file of src, so that the server's user can read them wherever the checkout is.
func (s *Server) copyPlugins(src fs.FS) error {
	return fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".lua") {
			return err
		}
		text, err := fs.ReadFile(src, path)
		if err != nil {
			return fmt.Errorf("prosody: read plugin: %w", err)
		}
		target := filepath.Join(s.dir, "plugins", path)
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return fmt.Errorf("prosody: %w", err)
		}
		if err := os.WriteFile(target, text, 0o640); err != nil {
			return fmt.Errorf("prosody: write plugin: %w", err)
		}
		if s.cred != nil {
			return os.Lchown(target, int(s.cred.Uid), int(s.cred.Gid))
		}
		return nil
	})
}

// serverUser is whom a server started by root runs as: prosody, else nobody, else nil (nobody else is to be had).
func serverUser() *syscall.Credential {
	for _, name := range []string{"prosody", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

var errPort = errors.New("a port was taken meanwhile")

// run starts the process and waits until its ports answer.
func (s *Server) run(ctx context.Context) error {
	started := s.logSize()
	cmd := exec.Command(s.binary, "--config", filepath.Join(s.dir, "prosody.cfg.lua"), "-F")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir)
	out, err := os.OpenFile(filepath.Join(s.dir, "prosody.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("prosody: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cred}
	dieWithUs(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("prosody: start: %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.mu.Lock()
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if s.listening(cmd.Process.Pid) {
			return nil
		}
		if bytes.Contains(s.logFrom(started), []byte("Failed to open server port")) {
			s.Kill()
			return fmt.Errorf("prosody: %w", errPort)
		}
		select {
		case <-exited:
			return fmt.Errorf("prosody ended at once; its log:\n%s", s.Log())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("prosody took no connection in time: %w; its log:\n%s", ctx.Err(), s.Log())
		case <-poll.C:
		}
	}
}

// listening reports whether process pid serves: it has written its pid file, its event loop runs and all ports accept.
func (s *Server) listening(pid int) bool {
	if _, err := os.Stat(filepath.Join(s.dir, "ready")); err != nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "prosody.pid"))
	if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(pid) {
		return false
	}
	for _, addr := range []string{s.C2S, s.Component, s.HTTP} {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
	}
	return true
}

// Pid is the process id of the running server, 0 when there is none.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Dir holds the server's configuration, data and log.
func (s *Server) Dir() string { return s.dir }

// Domain is the first virtual host.
func (s *Server) Domain() string { return s.cfg.Domains[0] }

// ComponentJID is the configured external component.
func (s *Server) ComponentJID() string { return s.cfg.Component }

// Secret is the component's.
func (s *Server) Secret() string { return s.cfg.Secret }

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
		return errors.New("prosody is not running")
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
		_ = cmd.Process.Kill()
		<-exited
	}
	_ = os.Remove(filepath.Join(s.dir, "prosody.pid"))
	_ = os.Remove(filepath.Join(s.dir, "ready"))
}

// Log is the end of what the server has written, at most 64 KiB: for failure messages.
func (s *Server) Log() string {
	const most = 64 << 10
	text, _ := os.ReadFile(filepath.Join(s.dir, "prosody.out"))
	text = append(text, s.logFrom(0)...)
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}

func (s *Server) logSize() int64 {
	info, err := os.Stat(filepath.Join(s.dir, "prosody.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *Server) logFrom(offset int64) []byte {
	text, err := os.ReadFile(filepath.Join(s.dir, "prosody.log"))
	if err != nil || int64(len(text)) < offset {
		return nil
	}
	return text[offset:]
}
