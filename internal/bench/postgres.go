package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/internal/pg"
)

// pgbench runs Debian's pgbench with the arguments against the cluster.
func pgbench(ctx context.Context, c *pg.Cluster, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.BinDir(), "pgbench"), append(args, c.URL())...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pgbench %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

var (
	tpsLine     = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	latencyLine = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
)

// figure finds the number that a line of pgbench's report gives.
func figure(line *regexp.Regexp, out string) (float64, error) {
	m := line.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench said %q, with no %s", out, line)
	}
	return strconv.ParseFloat(m[1], 64)
}
