package pg

import (
	"errors"
	"path/filepath"
	"syscall"
)

// Abandon forgets a cluster that keeps running, as the end of this process would.
func Abandon(c *Cluster) { c.release() }

// Adopt returns a function that ends the server of a directory at once.
func Adopt(dir string) (func(), error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	pm, ok := findPostmaster(dir)
	if !ok {
		return nil, errors.New("none")
	}
	return func() { _ = syscall.Kill(pm.pid, syscall.SIGQUIT) }, nil
}
