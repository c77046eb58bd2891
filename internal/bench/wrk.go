package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is requests that wrk sends as fast as they are answered.
type load struct {
	url         string
	connections int
	spell       time.Duration
	script      string // Lua (wrk's SCRIPTING): sets wrk.method, wrk.headers and the like, and may have a function request
}

var (
	wrkRate    = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
	wrkTrouble = regexp.MustCompile(`(?m)^\s+(Non-2xx.*|Socket errors:.*)$`)
)

// run returns how many were answered a second. An answer that is not 2xx is an error.
func (l load) run(ctx context.Context) (rate float64, err error) {
	dir, err := os.MkdirTemp("", "bindgate-wrk")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "load.lua")
	if err := os.WriteFile(script, []byte(l.script), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "wrk", "--threads", "1", "--connections", strconv.Itoa(l.connections), "--duration", strconv.Itoa(int(l.spell.Seconds()))+"s",
		"--timeout", "10s", "--script", script, l.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk (Debian: apt-get install wrk): %w: %s", err, out)
	}
	if trouble := wrkTrouble.FindString(string(out)); trouble != "" {
		return 0, fmt.Errorf("%s: %s", l.url, strings.TrimSpace(trouble))
	}
	return figure(wrkRate, string(out))
}
