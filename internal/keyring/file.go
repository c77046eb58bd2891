package keyring

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// maxFile bounds a file of keys, in bytes.
const maxFile = 64 << 10

// look is how often a file is read. A change counts when two readings in a row agree: whoever writes it in place may not be done at the first.
const look = time.Second

// file is a file of keys.
type file struct {
	path  string
	parse func([]byte) ([]Key, error)
	log   *slog.Logger
	keys  atomic.Pointer[[]Key]

	settled, seen reading // by run alone, once it is open: what keys are of, or was refused; and what the last look saw
}

// reading stands for what was read: a hash of the content, or what went wrong.
type reading struct {
	sum     [sha256.Size]byte
	problem string
}

func (f *file) open() error {
	content, r := f.read()
	if r.problem != "" {
		return fmt.Errorf("%s", r.problem)
	}
	keys, err := f.parse(content)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.keys.Store(&keys)
	f.settled, f.seen = r, r
	return nil
}

func (f *file) read() ([]byte, reading) {
	content, err := readBounded(f.path)
	if err != nil {
		return nil, reading{problem: err.Error()}
	}
	return content, reading{sum: sha256.Sum256(content)}
}

// readBounded reads a file that is not longer than it may be.
func readBounded(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxFile:
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return content, nil
}

func (f *file) run(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			f.look(ctx)
		}
	}
}

// look reads the file once.
func (f *file) look(ctx context.Context) {
	content, now := f.read()
	before := f.seen
	f.seen = now
	if now == f.settled || now != before {
		return
	}
	f.settled = now
	if now.problem != "" {
		f.refused(ctx, now.problem)
		return
	}
	keys, err := f.parse(content)
	if err != nil {
		f.refused(ctx, err.Error())
		return
	}
	f.keys.Store(&keys)
	f.log.InfoContext(ctx, "token keys have changed", "file", f.path, "keys", len(keys))
}

func (f *file) refused(ctx context.Context, problem string) {
	f.log.ErrorContext(ctx, "token keys cannot be read again: those from before stay in force", "file", f.path, "error", problem)
}
