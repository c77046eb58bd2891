package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// How much goes on at once. A request has its turn from when its token is known to be good until it is answered; reading the body is a part of it.
const (
	maxRunning = 256
	maxQueued  = 512
	maxQueue   = 2 * time.Second // that one waits for its turn
)

// bodyTimeout is how long a body may take from its first byte that is asked for.
const bodyTimeout = 5 * time.Second

var errBusy = errors.New("api: too many requests at once")

// turns bounds how many do something at once, and how many wait for it.
type turns struct {
	running chan struct{}
	queued  chan struct{}
	wait    time.Duration
}

func newTurns(running, queued int, wait time.Duration) *turns {
	return &turns{running: make(chan struct{}, running), queued: make(chan struct{}, queued), wait: wait}
}

// take waits for a turn, which end gives back. Its error is errBusy, or that of ctx.
func (t *turns) take(ctx context.Context) error {
	select {
	case t.running <- struct{}{}:
		return nil
	default:
	}
	select {
	case t.queued <- struct{}{}:
	default:
		return errBusy
	}
	defer func() { <-t.queued }()
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case t.running <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) end() { <-t.running }

// timedBody is a body that has to come within bodyTimeout.
type timedBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	begun bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		_ = b.rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a server without deadlines reads as long as it takes
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		_ = b.rc.SetReadDeadline(time.Time{}) // the connection is watched on, for its end
	}
	return n, err
}
