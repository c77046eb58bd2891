package dashboard

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each text of the pages about rules is asked for somewhere: by its whole key, or by a beginning of it that ends in a dot and to which a name is added.
func TestRuleTextsAreUsed(t *testing.T) {
	t.Parallel()
	w, err := newWords()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range append(files, pages...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	sources := all.String()
	asked := func(key string) bool {
		if strings.Contains(sources, `"`+key+`"`) {
			return true
		}
		for i, r := range key {
			if r == '.' && strings.Count(key[:i], ".") > 0 && strings.Contains(sources, `"`+key[:i+1]+`"`) {
				return true
			}
		}
		return strings.HasSuffix(key, ".default") && strings.Contains(sources, `"`+strings.TrimSuffix(key, ".default")+`"`) // see afterRule
	}
	for key := range w.phrases {
		area, _, _ := strings.Cut(key, ".")
		if slices.Contains([]string{"rules", "try", "platforms"}, area) && !asked(key) {
			t.Errorf("nothing says %s", key)
		}
	}
}
