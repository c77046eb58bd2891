package prosody

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// kit talks to the plugin kit_control. Each request has a connection of its own: those of a server that was ended are no good.
var kit = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Eval runs Lua inside the server, on its thread, and returns the result as text. Besides Prosody's globals the code sees
// prosody, modulemanager, sessionmanager and st. How: the plugin kit_control.
func (s *Server) Eval(ctx context.Context, lua string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTP+"/kit", strings.NewReader(lua))
	if err != nil {
		return "", fmt.Errorf("prosody: eval: %w", err)
	}
	req.Header.Set("Authorization", s.word)
	resp, err := kit.Do(req)
	if err != nil {
		return "", fmt.Errorf("prosody: eval: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("prosody: eval: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("prosody: eval: %s: %s", resp.Status, text)
	}
	return string(text), nil
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
