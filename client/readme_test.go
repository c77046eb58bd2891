package client_test

import (
	"os"
	"strings"
	"testing"
)

// What README shows is in example_test.go, so the compiler has seen it.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(text), "```go\n")
	shown, _, closed := strings.Cut(shown, "```")
	if !found || !closed {
		t.Fatal("README.md shows no Go")
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(example), shown) {
		t.Errorf("example_test.go does not have what README.md shows:\n%s", shown)
	}
}
