package bindgate_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bindgate/bindgate/"

// directions are the packages that a package must not depend on, directly or through others, each with its reason.
// Prefixes: "net/http" stands for everything below it too.
var directions = []struct {
	pkg       string
	forbidden []string
	why       string
}{
	{"rules", []string{"log", "log/slog", "database/sql", "github.com/jackc", "encoding/xml", "net/http", "mellium.im"}, "a decision is a pure function: same facts, same answer"},
	{"rules", []string{module}, "rules is the innermost package"},
	{"store", []string{module + "gate", module + "api", module + "dashboard", module + "xmppbridge", module + "internal/webhook", module + "cmd"}, "the record knows no use case"},
	{"store", []string{"mellium.im", "github.com/labstack"}, "only adapters know wire formats"},
	{"gate", []string{module + "api", module + "dashboard", module + "xmppbridge", module + "internal/webhook", module + "cmd"}, "use cases know no adapter"},
	{"gate", []string{"mellium.im", "github.com/labstack"}, "only adapters know wire formats"},
	{"api", []string{module + "dashboard", module + "xmppbridge", module + "internal/webhook", module + "cmd", "mellium.im"}, "adapters never import each other"},
	{"dashboard", []string{module + "api", module + "xmppbridge", module + "internal/webhook", module + "cmd", "mellium.im"}, "adapters never import each other"},
	{"internal/webhook", []string{module + "api", module + "xmppbridge", module + "dashboard", module + "cmd", "mellium.im", "github.com/labstack"}, "adapters never import each other"},
	{"xmppbridge", []string{module + "api", module + "dashboard", module + "internal/webhook", module + "cmd", "github.com/labstack"}, "adapters never import each other"},
	{"migrations", []string{module}, "the schema stands alone"},
	{"client", []string{module, "github.com", "golang.org", "mellium.im", "cel.dev"}, "a backend imports it alone: it brings nothing but the standard library"},
}

// direct are imports that are forbidden in a package's own files; what stands below it may have them.
var direct = []struct {
	pkg       string
	forbidden []string
	why       string
}{
	{"rules", []string{"context"}, "a decision takes no time and cannot be cancelled"}, // the language of conditions could be
	{"gate", []string{"github.com/jackc", "database/sql", "net/http", "encoding/xml"}, "only the store knows SQL, only adapters know wire formats"},
	{"xmppbridge", []string{module + "store", "github.com/jackc", "database/sql"}, "the bridge decides nothing and writes nothing"},
	{"internal/webhook", []string{"github.com/jackc", "database/sql"}, "only the store knows SQL"},
	{"store", []string{"net/http", "encoding/xml"}, "the record knows no transport"},
}

func TestDependencyDirections(t *testing.T) {
	t.Parallel()
	deps := imports(t, "-deps", `{{.ImportPath}}`)
	have := strings.Fields(goList(t, "./..."))
	for _, d := range directions {
		if !slices.Contains(have, module+d.pkg) {
			continue // not built yet
		}
		for _, dep := range deps(d.pkg) {
			if dep != module+d.pkg && hits(dep, d.forbidden) {
				t.Errorf("%s depends on %s: %s", d.pkg, dep, d.why)
			}
		}
	}
	own := imports(t, "", `{{join .Imports "\n"}}`)
	for _, d := range direct {
		if !slices.Contains(have, module+d.pkg) {
			continue
		}
		for _, dep := range own(d.pkg) {
			if hits(dep, d.forbidden) {
				t.Errorf("%s imports %s: %s", d.pkg, dep, d.why)
			}
		}
	}
}

func TestProductCodeHasNoTestKits(t *testing.T) {
	t.Parallel()
	kits := []string{module + "internal/pgtest", module + "internal/xmpptest", "testing", "github.com/rogpeppe", "pgregory.net", "go.uber.org/goleak", "github.com/standard-webhooks"}
	deps := imports(t, "-deps", `{{.ImportPath}}`)
	for _, pkg := range []string{"rules", "store", "gate", "api", "dashboard", "xmppbridge", "internal/webhook", "client"} {
		for _, dep := range deps(pkg) {
			if hits(dep, kits) {
				t.Errorf("%s depends on %s, which is for tests", pkg, dep)
			}
		}
	}
}

// imports returns a function that lists a package's imports in the given form.
func imports(t *testing.T, flag, format string) func(pkg string) []string {
	return func(pkg string) []string {
		t.Helper()
		args := []string{"-f", format, "./" + pkg}
		if flag != "" {
			args = append([]string{flag}, args...)
		}
		return strings.Fields(goList(t, args...))
	}
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}

func hits(dep string, forbidden []string) bool {
	return slices.ContainsFunc(forbidden, func(f string) bool {
		return dep == f || strings.HasPrefix(dep, strings.TrimSuffix(f, "/")+"/")
	})
}
