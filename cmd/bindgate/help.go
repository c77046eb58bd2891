package main

import (
	"fmt"
	"slices"

	"github.com/alecthomas/kong"
)

// uses are the settings that commands look at, by their flags. All others take all settings too, so that one environment or file does for every command; their
// help is that of serve.
var uses = map[string][]string{
	"user":    {"config", "database-url", "embedded", "data-dir"},
	"migrate": {"config", "database-url", "embedded", "data-dir"},
	"token":   {"config", "data-dir", "jwt-secret-file", "jwt-issuer", "jwt-audience"},
}

// help prints what a command takes, and of the settings those that mean anything to it.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	command := ctx.Selected()
	for command != nil && command.Parent != nil && command.Parent.Type != kong.ApplicationNode {
		command = command.Parent
	}
	short := false
	if command != nil {
		var used []string
		used, short = uses[command.Name]
		for _, f := range ctx.Model.Flags {
			f.Hidden = f.Hidden || short && f.Name != "help" && !slices.Contains(used, f.Name)
		}
	}
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || !short {
		return err
	}
	_, err := fmt.Fprintln(ctx.Stdout, "\nThe other settings are taken, too; bindgate serve --help has all of them.")
	return err
}
