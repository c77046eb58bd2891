package pg

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// leash is a shell that waits for the end of this process, however it comes: its standard input is a pipe whose other
// end only we hold. Then it ends the server at once and removes what it left.
type leash struct {
	hold *os.File
	cmd  *exec.Cmd
}

const leashScript = `read -r _
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  n=0
  while [ -e "$1/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
fi
rm -rf "$1" "$1.lock" "$1.new"
[ "$2" = "$1" ] || rm -rf "$2"
exit 0`

func newLeash(dir, socket string) (*leash, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("postgresql leash: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", leashScript, "sh", dir, socket)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("postgresql leash: %w", err)
	}
	return &leash{hold: w, cmd: cmd}, nil
}

// let ends the leash now, with all it does at the end of the process.
func (l *leash) let() {
	l.hold.Close()
	_ = l.cmd.Wait() // it always exits 0
}

func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("postgresql: %w", context.Cause(ctx))
	case <-t.C:
		return nil
	}
}

func keys(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

// tail is what was written to a log since offset.
func tail(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(f, 64<<10)) // what could be read is what there is to show
	return string(b)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
