package pg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrNotInstalled means that no PostgreSQL server was found on the machine.
var ErrNotInstalled = errors.New("no PostgreSQL server found: install it (Debian: apt-get install postgresql) or name a running one with --database-url")

// binaries is one installed PostgreSQL.
type binaries struct {
	dir   string
	major int
}

var versionLine = regexp.MustCompile(`PostgreSQL\) (\d+)`)

// find returns the newest PostgreSQL, or the one that made the data if major is not empty.
func find(major string) (binaries, error) {
	var best binaries
	var have []string
	for _, b := range installed() {
		if major == strconv.Itoa(b.major) {
			return b, nil
		}
		if b.major > best.major {
			best = b
		}
		have = append(have, strconv.Itoa(b.major))
	}
	switch {
	case best.major == 0:
		return binaries{}, ErrNotInstalled
	case major == "":
		return best, nil
	default:
		return binaries{}, fmt.Errorf("the data was written by PostgreSQL %s, but this machine has %s: install postgresql-%s, or convert the data with pg_upgrade, or use another data directory",
			major, strings.Join(have, ", "), major)
	}
}

// installed looks where packages put the server, then on the PATH.
func installed() []binaries {
	var places []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		places = append(places, found...)
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			places = append(places, filepath.Dir(p))
		}
	}
	var list []binaries
	seen := map[string]bool{}
	for _, dir := range places {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if m := versionLine.FindSubmatch(out); m != nil {
			n, _ := strconv.Atoi(string(m[1])) // digits by the pattern
			list = append(list, binaries{dir: dir, major: n})
		}
	}
	return list
}

// clusterVersion is the major version that made the data in dir, "" if dir is empty or missing.
func clusterVersion(dir string) (string, error) {
	v, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err == nil {
		return strings.TrimSpace(string(v)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("database cluster: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("database cluster: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s holds other files (%s, …) and no PostgreSQL cluster: use an empty directory", dir, entries[0].Name())
	}
	return "", nil
}
