package api

import (
	"strings"
	"testing"
)

// Each route that names something says what may not be there.
func TestEveryRouteSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, r := range routes() {
		if strings.Contains(r.path, ":") && missingAt(r.path) == missingAt("") {
			t.Errorf("%s %s: errors.go does not say what may be missing", r.method, r.path)
		}
	}
}
