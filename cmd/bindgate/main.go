// Command bindgate decides which of an account's devices may be logged in to an XMPP server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type commands struct {
	settingFlags

	Serve   serveCmd   `cmd:"" help:"Run bindgate."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version's schema; serve does it too."`
	Demo    demoCmd    `cmd:"" help:"Show it all on this machine: a private PostgreSQL and Prosody, bindgate, and devices that log in."`
	Doctor  doctorCmd  `cmd:"" help:"Check configuration, database and link, and say what to do."`
	Token   tokenCmd   `cmd:"" help:"Print a bearer token for the REST API."`
	User    userCmd    `cmd:"" help:"Say who may use the dashboard."`
}

// env is what every command gets.
type env struct {
	flags          *settingFlags
	getenv         func(string) string
	stdin          *os.File
	stdout, stderr io.Writer
	log            *slog.Logger
}

func (e *env) config() (config, error) { return loadConfig(e.flags, e.getenv) }

// run is main without the process: it returns the exit status, 0, 1 if the command failed, 2 if it was not understood.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("bindgate"),
		kong.Description("Decides which of an account's devices may be logged in to an XMPP server, right now, and makes it so."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(help),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "bindgate:", err)
		return 2
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "bindgate: %v (see bindgate --help)\n", err)
		return 2
	}
	e := &env{
		flags: &cli.settingFlags, getenv: os.Getenv, stdin: os.Stdin, stdout: stdout, stderr: stderr,
		log: slog.New(slog.NewTextHandler(stderr, nil)),
	}
	switch err := kctx.Run(e); {
	case errors.Is(err, errReported):
		return 1
	case err != nil:
		fmt.Fprintln(stderr, "bindgate:", err)
		return 1
	}
	return 0
}

// errReported ends a command with status 1 that has said everything already.
var errReported = errors.New("reported")
