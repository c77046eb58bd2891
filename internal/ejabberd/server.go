// Package ejabberd starts and stops private ejabberd servers for the benchmarks. Each is an Erlang node of its own on free loopback ports, keeps
// everything it writes in one directory, takes any user with any password, and runs as Debian's user ejabberd where root starts it.
package ejabberd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing says that there is no ejabberd on this machine.
var ErrMissing = errors.New("ejabberd is not installed (Debian: apt-get install ejabberd)")

const (
	bootWait = 60 * time.Second
	stopWait = 10 * time.Second
)

// Server is a running private ejabberd.
type Server struct {
	// C2S, Component and HTTP are host:port. The API is at http://HTTP/api/.
	C2S, Component, HTTP string

	cfg     Config
	dir     string
	ownsDir bool
	cred    *syscall.Credential
	cmd     *exec.Cmd
	exited  chan struct{}
}

// Start runs an ejabberd and returns when it takes clients and calls of its API.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), dir: cfg.Dir}
	ctl := cfg.Ctl
	for _, name := range []string{"ejabberdctl", "/usr/sbin/ejabberdctl"} {
		if found, err := exec.LookPath(name); ctl == "" && err == nil {
			ctl = found
		}
	}
	if ctl == "" {
		return nil, ErrMissing
	}
	if err := s.setUp(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("ejabberd: %w", err)
	}
	if err := s.run(ctx, ctl); err != nil {
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
	var p ports
	taken := map[int]bool{}
	for _, port := range []*int{&p.c2s, &p.component, &p.http, &p.dist} {
		for *port == 0 || taken[*port] {
			if *port, err = freePort(); err != nil {
				return err
			}
		}
		taken[*port] = true
	}
	addr := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	s.C2S, s.Component, s.HTTP = addr(p.c2s), addr(p.component), addr(p.http)
	for _, d := range []string{"spool", "logs", "modules"} {
		if err := os.MkdirAll(s.path(d), 0o750); err != nil {
			return err
		}
	}
	files := map[string]string{
		"ejabberd.yml": s.cfg.render(p),
		"inetrc":       "{lookup,[\"file\",\"native\"]}.\n",
		// The port of the node's own protocol makes the daemon that maps nodes to ports needless.
		"ejabberdctl.cfg": fmt.Sprintf("ERLANG_NODE=bindgate%d@localhost\nINET_DIST_INTERFACE=127.0.0.1\nERL_DIST_PORT=%d\n", p.dist, p.dist),
	}
	for name, text := range files {
		if err := os.WriteFile(s.path(name), []byte(text), 0o640); err != nil {
			return err
		}
	}
	if s.cred == nil {
		return nil
	}
	return filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(s.cred.Uid), int(s.cred.Gid))
	})
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// credential is that of the user ejabberd, whom its programs ask for.
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

// freePort picks one below the range from which the system takes the ports of outgoing connections.
func freePort() (int, error) {
	var last error
	for range 50 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no free port: %w", last)
}

// run starts the process and waits until its API answers.
func (s *Server) run(ctx context.Context, ctl string) error {
	out, err := os.OpenFile(s.path("ejabberd.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("ejabberd: %w", err)
	}
	defer out.Close()
	s.cmd = exec.Command(ctl, "--config-dir", s.dir, "--spool", s.path("spool"), "--logs", s.path("logs"), "foreground")
	s.cmd.Dir = s.path("spool")
	s.cmd.Env = append(os.Environ(), "HOME="+s.path("spool"), "EJABBERD_PID_PATH="+s.path("ejabberd.pid"), "CONTRIB_MODULES_PATH="+s.path("modules"))
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cred} // a group of its own: the program is a script that has the server as its child
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("ejabberd: start: %w", err)
	}
	s.exited = make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	ctx, cancel := context.WithTimeout(ctx, bootWait)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		if _, err := s.Call(ctx, "status", "{}"); err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("ejabberd ended at once; its log:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("ejabberd took no call in time: %w; its log:\n%s", ctx.Err(), s.Log())
		case <-poll.C:
		}
	}
}

// Call calls a command of the HTTP API with its arguments, a JSON object, and returns the answer.
func (s *Server) Call(ctx context.Context, command, args string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTP+"/api/"+command, strings.NewReader(args))
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return "", fmt.Errorf("ejabberd: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ejabberd: %s: %s: %s", command, resp.Status, body)
	}
	return string(body), nil
}

// Domain is the first virtual host.
func (s *Server) Domain() string { return s.cfg.Domains[0] }

// ComponentJID is the configured external component.
func (s *Server) ComponentJID() string { return s.cfg.Component }

// Secret is the component's.
func (s *Server) Secret() string { return s.cfg.Secret }

// Stop asks the server to shut down, kills it when it does not, and removes the directory if Start made it.
func (s *Server) Stop() {
	if s.cmd != nil {
		group := -s.cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGTERM)
		timer := time.NewTimer(stopWait)
		defer timer.Stop()
		select {
		case <-s.exited:
		case <-timer.C:
		}
		_ = syscall.Kill(group, syscall.SIGKILL) // also what the script has left
		<-s.exited
		s.cmd = nil
	}
	if s.ownsDir {
		_ = os.RemoveAll(s.dir)
	}
}

// Log is what the server has written.
func (s *Server) Log() string {
	var all strings.Builder
	for _, name := range []string{"ejabberd.out", "logs/ejabberd.log", "logs/error.log"} {
		text, _ := os.ReadFile(s.path(name))
		all.Write(text)
	}
	return all.String()
}
