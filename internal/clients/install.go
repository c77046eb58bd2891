package clients

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Python is Debian's, which has Debian's libraries, whatever else is in PATH.
const Python = "/usr/bin/python3"

// What npm and Maven have put into the user's cache for deploy/setup.sh --tests, under the first digits of the hash of what names the versions.
var (
	//go:embed npm/package-lock.json
	npmLock []byte
	//go:embed smack/pom.xml
	mavenProject []byte
)

// NeedsPython skips a test where a Python library is not installed; where CI is set it fails.
func NeedsPython(t testing.TB, module string) {
	t.Helper()
	if err := exec.Command(Python, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('"+module+"') is None)").Run(); err != nil {
		lacking(t, fmt.Errorf("python3-%s is not installed: %w", module, err))
	}
}

// needsCommand is the same for a program in PATH.
func needsCommand(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lacking(t, err)
	}
	return path
}

// needsCache returns a directory of the user's cache.
func needsCache(t testing.TB, kind string, names []byte) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(names)
	dir := filepath.Join(cache, "bindgate", kind+"-"+hex.EncodeToString(hash[:6]))
	if _, err := os.Stat(dir); err != nil {
		lacking(t, err)
	}
	return dir
}

func lacking(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "" {
		t.Skipf("%v; deploy/setup.sh --tests installs it", err)
	}
	t.Fatalf("%v; deploy/setup.sh --tests installs it", err)
}
