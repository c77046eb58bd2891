package dashboard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// transport carries requests to a handler of this process, without a connection. An answer is read while it is being written.
type transport struct{ handler http.Handler }

// errCutOff is what a reader of an answer gets whose handler has broken it off.
var errCutOff = errors.New("dashboard: the answer was broken off")

// RoundTrip implements http.RoundTripper. The handler sees the values of the request's context, and the context ends when the answer's body is closed, which
// waits for the handler.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	body, pipe := io.Pipe()
	w := &answer{header: http.Header{}, pipe: pipe, begun: make(chan struct{})}
	inner := req.Clone(ctx)
	inner.RequestURI, inner.Host = req.URL.RequestURI(), req.URL.Host
	if id := requestID(ctx); id != "" {
		inner.Header.Set(headerRequestID, id)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.serve(t.handler, inner)
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		cancel()
		_ = body.Close()
		<-done
		return nil, context.Cause(req.Context())
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, ContentLength: -1, Request: req,
		Body: &answerBody{PipeReader: body, end: func() { cancel(); <-done }},
	}, nil
}

// answer is the ResponseWriter of such a request.
type answer struct {
	header http.Header
	pipe   *io.PipeWriter

	once   sync.Once
	begun  chan struct{} // closed when the two below are set
	status int
	sent   http.Header
}

// serve runs the handler and ends the answer: whole, or broken off by a panic.
func (w *answer) serve(h http.Handler, r *http.Request) {
	defer func() {
		if recover() != nil { // the API's own net has logged it
			w.WriteHeader(http.StatusInternalServerError)
			_ = w.pipe.CloseWithError(errCutOff)
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = w.pipe.Close()
	}()
	h.ServeHTTP(w, r)
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(b)
}

// Flush implements http.Flusher: whatever is written has been read when Write returns.
func (w *answer) Flush() { w.WriteHeader(http.StatusOK) }

// SetReadDeadline and SetWriteDeadline are for http.ResponseController; there is no connection that could be slow.
func (*answer) SetReadDeadline(time.Time) error  { return nil }
func (*answer) SetWriteDeadline(time.Time) error { return nil }

type answerBody struct {
	*io.PipeReader
	end func()
}

func (b *answerBody) Close() error {
	err := b.PipeReader.Close()
	b.end()
	return err
}
