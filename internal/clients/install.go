package clients

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// needsNode is node of at least 20.10, which xmpp.js needs: Debian 12 has 18.
func needsNode(t testing.TB) string {
	t.Helper()
	path := needsCommand(t, "node")
	out, err := exec.Command(path, "--version").Output()
	if err == nil {
		err = newEnough(strings.TrimSpace(string(out)))
	}
	if err != nil {
		lackingBy(t, err, "install a newer one")
	}
	return path
}

// newEnough is an error for a version of Node that xmpp.js does not run on.
func newEnough(version string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "v%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("node --version says %.40q", version)
	}
	if major < 20 || major == 20 && minor < 10 {
		return fmt.Errorf("xmpp.js needs Node 20.10 or newer, this is %s", version)
	}
	return nil
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
	lackingBy(t, err, "deploy/setup.sh --tests installs it")
}

func lackingBy(t testing.TB, err error, remedy string) {
	t.Helper()
	if os.Getenv("CI") == "" {
		t.Skipf("%v; %s", err, remedy)
	}
	t.Fatalf("%v; %s", err, remedy)
}
