package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// initialize runs initdb beside the directory and renames the result: an interrupted one leaves no half cluster.
func (c *Cluster) initialize(ctx context.Context, noSync bool) error {
	fresh := c.dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("make a database cluster: %w", err)
	}
	if err := c.owner.mkdir(fresh); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + fresh, "--username=" + superuser, "--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8",
		"--auth-local=trust", "--auth-host=reject",
	}
	if noSync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin.dir, "initdb"), args...)
	cmd.Dir = "/"
	cmd.Env = c.owner.env()
	cmd.SysProcAttr = c.owner.attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb in %s: %w: %s", c.dir, err, lastLines(string(out), 5))
	}
	if err := os.Remove(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make a database cluster: %w", err)
	}
	if err := os.Rename(fresh, c.dir); err != nil {
		return fmt.Errorf("make a database cluster: %w", err)
	}
	return nil
}

func (c *Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, socketURL(c.socket, "postgres"))
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	defer conn.Close(ctx)
	var there bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, database).Scan(&there); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, `create database `+pgx.Identifier{database}.Sanitize()); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}
