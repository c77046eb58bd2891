// Package port picks ports for servers that are told a number and take it themselves, a while later or again after a restart.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// The range lies below the one from which systems take the ports of outgoing connections.
const first, last = 10000, 32000

// held are files whose locks say which ports are this process's. They stay open.
var (
	mu   sync.Mutex
	held []*os.File
)

// Pick returns a port of the loopback interface that nobody listens on. No other call of it, in any process of this user, returns the same one as long as this
// process lives: the server may be stopped and started on it.
func Pick() (int, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("bindgate-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("pick a port: %w", err)
	}
	for range 100 {
		n := first + rand.IntN(last-first)
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(n)), os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			return 0, fmt.Errorf("pick a port: %w", err)
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && free(n) {
			mu.Lock()
			defer mu.Unlock()
			held = append(held, f)
			return n, nil
		}
		_ = f.Close()
	}
	return 0, fmt.Errorf("pick a port: none of a hundred between %d and %d was free", first, last)
}

func free(n int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
