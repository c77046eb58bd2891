package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// axePackage names the version; deploy/setup.sh --tests reads it too.
//
//go:embed axe/package.json
var axePackage []byte

// axeSource returns the script that npm has put into the user's cache.
var axeSource = sync.OnceValues(func() (string, error) {
	var wanted struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(axePackage, &wanted); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(cache, "bindgate", "axe-core-"+wanted.Dependencies["axe-core"], "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("axe-core is not installed; deploy/setup.sh --tests does that: %w", err)
	}
	return string(text), nil
})

// Axe looks at the page as axe-core does, or only at the parts that selectors name, and fails the test for each serious or critical finding. It returns the
// lesser ones.
func (p *Page) Axe(parts ...string) []string {
	p.t.Helper()
	source, err := axeSource()
	if err != nil {
		lacking(p.t, err)
	}
	// As a person with the developer tools does it: the page's security policy stays as it is.
	p.run("load axe-core", chromedp.Evaluate[chromedp.Void](`typeof axe === 'object' || (() => {`+source+`})(), undefined`))
	type finding struct {
		ID     string `json:"id"`
		Impact string `json:"impact"`
		Help   string `json:"help"`
		Nodes  []struct {
			HTML    string   `json:"html"`
			Target  []string `json:"target"`
			Summary string   `json:"summary"`
		} `json:"nodes"`
	}
	scope := "document"
	if len(parts) > 0 {
		list, err := json.Marshal(parts)
		if err != nil {
			p.t.Fatal(err)
		}
		scope = "{include: " + string(list) + ".map(s => [s])}"
	}
	findings := Eval[[]finding](p, `axe.run(`+scope+`, {resultTypes: ['violations']}).then(r => r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help,
		nodes: v.nodes.slice(0, 5).map(n => ({html: n.html.slice(0, 300), target: n.target.flat(), summary: n.failureSummary ?? ''}))})))`)
	var lesser []string
	for _, f := range findings {
		var places []string
		for _, n := range f.Nodes {
			places = append(places, fmt.Sprintf("  %s\n  %s\n  %s", strings.Join(n.Target, " "), n.HTML, strings.ReplaceAll(n.Summary, "\n", "\n  ")))
		}
		line := fmt.Sprintf("%s (%s): %s\n%s", f.ID, f.Impact, f.Help, strings.Join(places, "\n"))
		if f.Impact == "serious" || f.Impact == "critical" {
			p.t.Errorf("axe on %s: %s", p.Path(), line)
		} else {
			lesser = append(lesser, line)
		}
	}
	return lesser
}

// NeedsAxe skips a test where axe-core is not installed, before it does anything dear; where CI is set it fails.
func NeedsAxe(t testing.TB) {
	t.Helper()
	if _, err := axeSource(); err != nil {
		lacking(t, err)
	}
}
