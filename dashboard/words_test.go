package dashboard_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Every text is said somewhere, and whatever is said is there: by its whole key, or by the beginning of one that a value is put behind.
func TestEveryTextIsSaid(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	files, err := filepath.Glob("locale/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	areas := []string{}
	for _, f := range files {
		area := strings.TrimSuffix(filepath.Base(f), ".toml")
		areas = append(areas, area)
		var tree map[string]any
		if _, err := toml.DecodeFile(f, &tree); err != nil {
			t.Fatal(err)
		}
		gather(area, tree, keys)
	}
	quoted := regexp.MustCompile("[\"`](" + strings.Join(areas, "|") + ")(\\.[a-z0-9_.]*)[\"`]")
	labels := regexp.MustCompile(`label\(?[ (](?:[a-zA-Z.]+, )?"([a-z_]+)"`)
	whole, begun := map[string]string{}, map[string]bool{}
	sources, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(sources, code...) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			if key := m[1] + m[2]; strings.HasSuffix(key, ".") || strings.HasSuffix(key, "_") {
				begun[key] = true
			} else {
				whole[key] = f
				if !keys[key] {
					begun[key+"."] = true
				}
			}
		}
		for _, m := range labels.FindAllStringSubmatch(string(b), -1) {
			begun["common."+m[1]+"."] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		said := whole[key] != ""
		for b := range begun {
			said = said || strings.HasPrefix(key, b)
		}
		if !said {
			t.Errorf("%s is said nowhere", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(whole)) {
		if !keys[key] && !slices.ContainsFunc(slices.Collect(maps.Keys(keys)), func(k string) bool { return strings.HasPrefix(k, key+".") || strings.HasPrefix(k, key+"_") }) {
			t.Errorf("%s says %s, which is not there", whole[key], key)
		}
	}
}

// gather lists the keys of a file's tables.
func gather(key string, tree map[string]any, keys map[string]bool) {
	for name, value := range tree {
		if table, ok := value.(map[string]any); ok {
			gather(key+"."+name, table, keys)
		} else {
			keys[key] = true
		}
	}
}
