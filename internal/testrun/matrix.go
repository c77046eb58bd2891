package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/bindgate/bindgate/internal/servers"
)

// matrix is what became of each scenario on each server: the tests of internal/servers, "TestScenario/server", and the tests under them.
type matrix struct {
	cells map[scenario]map[string]string // by server
}

type scenario struct{ pkg, test string }

func newMatrix() *matrix { return &matrix{cells: map[scenario]map[string]string{}} }

// take notes a test's end. A scenario fails with any of its parts.
func (m *matrix) take(pkg, test, action, why string) {
	parts := strings.Split(test, "/")
	if strings.HasPrefix(test, "TestStock") && len(parts) > 1 {
		if parts[1] != "ejabberd" { // on the newer one, or a server whose API is another
			return
		}
		parts[1] = "stock-ejabberd"
	}
	if len(parts) < 2 || !slices.Contains(servers.Names(), parts[1]) {
		return
	}
	cell := map[string]string{"pass": "pass", "fail": "**fail**"}[action]
	if action == "skip" {
		cell = why
	}
	if len(parts) > 2 && action != "fail" {
		return
	}
	s := scenario{pkg[strings.LastIndexByte(pkg, '/')+1:], parts[0]}
	if m.cells[s] == nil {
		m.cells[s] = map[string]string{}
	}
	if m.cells[s][parts[1]] != "**fail**" {
		m.cells[s][parts[1]] = cell
	}
}

// write writes the table as Markdown, and below it what the servers themselves are not able to, to which the scenarios adapt.
func (m *matrix) write(out io.Writer) {
	names := servers.Names()
	fmt.Fprintf(out, "# Scenarios on servers\n\nWritten by `make matrix`. prosody and ejabberd are those of Debian 12 (0.12.3, 23.01), prosody-13.0 and ejabberd-24.12 those of its backports (13.0.1, 24.12).\n\n| | scenario | %s |\n| --- | --- |%s\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)))
	all := slices.SortedFunc(maps.Keys(m.cells), func(a, b scenario) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test)) })
	for _, s := range all {
		fmt.Fprintf(out, "| %s | %s |", s.pkg, words(s.test))
		for _, name := range names {
			fmt.Fprintf(out, " %s |", cmp.Or(m.cells[s][name], untried(m.cells[s], name)))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "\nCells that begin with \"of\": the scenario is about something that the server has not by its nature. What becomes of a login on a stock server has scenarios of its own (Stock, Admin).\n\nServer cannot:\n\n")
	for _, name := range names {
		for what, why := range servers.Cannot(name) {
			fmt.Fprintf(out, "- %s: %s: %s\n", name, what, why)
		}
	}
}

// untried is the cell of a scenario, which has others, on a server on which it did not run.
func untried(cells map[string]string, server string) string {
	onStock, onOthers := false, false
	for name := range cells {
		onStock = onStock || servers.IsStock(name)
		onOthers = onOthers || !servers.IsStock(name)
	}
	switch {
	case servers.IsStock(server) && onOthers:
		return "server cannot: it has no gate module"
	case !servers.IsStock(server) && !onOthers:
		return "of stock servers: it has the gate module"
	case onStock:
		return "of the other's driver"
	}
	return "of the other's own features"
}

// words makes a sentence of a test's name.
func words(test string) string {
	var b strings.Builder
	name := []rune(strings.TrimPrefix(test, "Test"))
	for i, r := range name {
		begins := unicode.IsUpper(r) && i > 0 && (unicode.IsLower(name[i-1]) || i+1 < len(name) && unicode.IsLower(name[i+1]))
		if begins {
			b.WriteByte(' ')
		}
		if begins && (i+1 >= len(name) || !unicode.IsUpper(name[i+1])) {
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// save writes the matrix to the file that BINDGATE_MATRIX names, if it does and if there is anything in it.
func (m *matrix) save() error {
	path := os.Getenv("BINDGATE_MATRIX")
	if path == "" || len(m.cells) == 0 {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	m.write(f)
	return f.Close()
}
