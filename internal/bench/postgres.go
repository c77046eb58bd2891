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

	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/migrations"
)

// cluster starts a PostgreSQL with default settings and the record in it, in a directory that goes with stop.
func cluster(ctx context.Context) (c *pg.Cluster, stop func(), err error) {
	dir, err := os.MkdirTemp("", "bindgate-bench")
	if err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the cluster's user has to get in
		return nil, nil, err
	}
	c, err = pg.Start(ctx, pg.Config{Dir: filepath.Join(dir, "pg")})
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		if err := c.Stop(context.WithoutCancel(ctx)); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		_ = os.RemoveAll(dir)
	}
	if err := migrations.Up(ctx, c.URL()); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

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
