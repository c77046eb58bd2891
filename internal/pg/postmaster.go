package pg

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// postmaster is what a running server says of itself in postmaster.pid.
type postmaster struct {
	pid    int
	socket string
}

// findPostmaster returns the server that runs on dir, if one does. A left-over file whose process id has been given to
// another program does not count: a postmaster's working directory is its data directory.
func findPostmaster(dir string) (postmaster, bool) {
	f, err := os.Open(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return postmaster{}, false
	}
	defer f.Close()
	var lines []string // pid, data directory, start time, port, socket directory, …
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) == 0 {
		return postmaster{}, false
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || !isPostmaster(pid, dir) {
		return postmaster{}, false
	}
	pm := postmaster{pid: pid, socket: dir}
	if len(lines) > 4 && lines[4] != "" {
		pm.socket = lines[4]
	}
	return pm, true
}

func isPostmaster(pid int, dir string) bool {
	if pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		_, noProc := os.Stat("/proc/self")
		return noProc != nil // without /proc the process id has to do
	}
	return cwd == dir
}

// removeStalePID removes the file of a server that is gone: PostgreSQL itself would refuse to start if another
// program of the same user has the process id now.
func removeStalePID(dir string) error {
	if _, ok := findPostmaster(dir); ok {
		return fmt.Errorf("a PostgreSQL server already runs on %s", dir)
	}
	if err := os.Remove(filepath.Join(dir, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("postmaster.pid: %w", err)
	}
	return nil
}

// process is the postmaster, our child or adopted. It needs no goroutine that waits for it.
type process struct {
	pid   int
	child bool
	dir   string // the data directory of one that is not our child
	ended bool
}

func (p *process) alive() bool {
	if p.pid == 0 || p.ended {
		return false
	}
	if p.child {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(p.pid, &ws, syscall.WNOHANG, nil)
		p.ended = got == p.pid || (err != nil && !errors.Is(err, syscall.EINTR))
		return !p.ended
	}
	p.ended = !isPostmaster(p.pid, p.dir)
	return !p.ended
}

func (p *process) signal(s syscall.Signal) error {
	if !p.alive() {
		return os.ErrProcessDone
	}
	return syscall.Kill(p.pid, s)
}
