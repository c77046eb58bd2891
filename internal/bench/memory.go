package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bindgate/bindgate/internal/rig"
)

// memory measures the resident size of the real program with 100,000 live sessions in the record, on a link that is down.
func memory(ctx context.Context, _ *slog.Logger) (row, error) {
	r := row{Name: "memory", Bound: "≤ 100", Unit: "MB", How: "VmRSS of bindgate serve, 100,000 live sessions in the record, link down, after 20 s"}
	c, stop, err := rig.Cluster(ctx, nil)
	if err != nil {
		return r, err
	}
	defer stop()
	if err := seed(ctx, c, accounts); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "bindgate-bench")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bindgate")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/bindgate/bindgate/cmd/bindgate").CombinedOutput(); err != nil {
		return r, fmt.Errorf("go build: %w: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Env = append(os.Environ(), "BINDGATE_DATABASE_URL="+c.URL(), "BINDGATE_DATA_DIR="+filepath.Join(dir, "data"), "BINDGATE_LISTEN=127.0.0.1:0",
		"BINDGATE_XMPP_COMPONENT=bindgate.example.org", "BINDGATE_XMPP_SECRET=secret", "BINDGATE_XMPP_ADDR=127.0.0.1:1")
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	peak := 0.0
	for range 20 {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(time.Second):
		}
		mb, err := resident(cmd.Process.Pid)
		if err != nil {
			return r, err
		}
		peak = max(peak, mb)
	}
	r.Ratio = peak
	r.Holds = peak <= 100
	r.Detail = map[string]float64{"highest of 20 readings MB": peak}
	return r, nil
}

// resident reads a process's VmRSS in megabytes.
func resident(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1000, err
		}
	}
	return 0, errors.New("no VmRSS: has the program ended?")
}
