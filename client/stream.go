package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errSilent ends a stream whose server says nothing.
var errSilent = errors.New("the server has been silent for too long")

// maxProblem bounds the body of an answer that says no.
const maxProblem = 1 << 20

// stream is an answer that is read as it comes. It lives as long as its server is not silent for too long.
type stream struct {
	body    io.ReadCloser
	ctx     context.Context //nolint:containedctx // lives as long as the stream
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	silence time.Duration
}

// open makes a request once and returns the answer if it says yes. The answer has to begin within the client's timeout. Close it.
func (c *Client) open(ctx context.Context, r request, silence time.Duration) (*stream, error) {
	inner, cancel := context.WithCancelCause(ctx)
	s := &stream{ctx: inner, cancel: cancel, silence: silence, timer: time.AfterFunc(c.timeout, func() { cancel(errSilent) })}
	req, err := c.build(inner, r, nil, "")
	if err != nil {
		s.end()
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		err = s.why(err)
		s.end()
		return nil, &lostError{err}
	}
	s.body = resp.Body
	if resp.StatusCode == http.StatusOK {
		s.timer.Reset(silence)
		return s, nil
	}
	defer s.Close()
	problem, err := io.ReadAll(io.LimitReader(s.body, maxProblem))
	if err != nil {
		return nil, &lostError{fmt.Errorf("%s %s: the answer was cut: %w", r.method, r.path, s.why(err))}
	}
	return nil, errorOf(resp.StatusCode, resp.Header, problem, time.Now())
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		s.timer.Reset(s.silence)
		return n, err
	}
	return n, s.why(err)
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.end()
	return s.body.Close()
}

func (s *stream) end() {
	s.timer.Stop()
	s.cancel(nil)
}

// why says that the server was silent where that is what has ended the stream.
func (s *stream) why(err error) error {
	if errors.Is(context.Cause(s.ctx), errSilent) {
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	return err
}
