package prosody

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Eval runs Lua inside the server, on its thread, and returns the result as text. Besides Prosody's globals the code sees
// prosody, modulemanager, sessionmanager and st. How: a file that the plugin kit_control runs on SIGHUP.
func (s *Server) Eval(ctx context.Context, lua string) (string, error) {
	s.control.Lock()
	defer s.control.Unlock()
	s.calls++
	dir := filepath.Join(s.dir, "control")
	reply := filepath.Join(dir, fmt.Sprintf("reply.%d", s.calls))
	request := filepath.Join(dir, "request.lua")
	if err := os.WriteFile(request+".tmp", fmt.Appendf(nil, "-- %d\n%s", s.calls, lua), 0o644); err != nil {
		return "", fmt.Errorf("prosody: %w", err)
	}
	if err := os.Rename(request+".tmp", request); err != nil {
		return "", fmt.Errorf("prosody: %w", err)
	}
	if err := s.Signal(syscall.SIGHUP); err != nil {
		return "", fmt.Errorf("prosody: eval: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		text, err := os.ReadFile(reply)
		if err == nil {
			_ = os.Remove(reply)
			status, result, _ := strings.Cut(string(text), "\n")
			if status != "ok" {
				return "", errors.New("prosody: eval: " + result)
			}
			return result, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("prosody: eval: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

// Load loads a module on a virtual host.
func (s *Server) Load(ctx context.Context, host, module string) error {
	return s.manage(ctx, "load", host, module)
}

// Unload unloads one.
func (s *Server) Unload(ctx context.Context, host, module string) error {
	return s.manage(ctx, "unload", host, module)
}

// Reload reloads one in place, as an operator's "module:reload" does.
func (s *Server) Reload(ctx context.Context, host, module string) error {
	return s.manage(ctx, "reload", host, module)
}

func (s *Server) manage(ctx context.Context, verb, host, module string) error {
	_, err := s.Eval(ctx, fmt.Sprintf("return assert(modulemanager.%s(%s, %s))", verb, quote(host), quote(module)))
	return err
}

// Sessions counts the bound sessions of a virtual host, hibernating ones too.
func (s *Server) Sessions(ctx context.Context, host string) (int, error) {
	text, err := s.Eval(ctx, fmt.Sprintf(
		"local n = 0; for _, u in pairs(prosody.hosts[%s].sessions) do for _ in pairs(u.sessions) do n = n + 1; end end return n", quote(host)))
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil {
		return 0, fmt.Errorf("prosody: count sessions: %w", err)
	}
	return n, nil
}
