package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// maxAnswer bounds an answer's body: the largest, a lookup of 500 accounts with 50 sessions each, has about 16 MB.
const maxAnswer = 64 << 20

// request is one call of the API, to be tried once or more.
type request struct {
	method  string
	path    string // as path returns it
	query   url.Values
	header  http.Header
	body    any    // encoded as JSON; nil: none
	accept  string // "": JSON
	changes bool   // something, so that a retry must not do it again: the attempts have one idempotency key
	once    bool   // never tried again
}

type keyOfContext struct{}

// WithIdempotencyKey has the change that is made with the context carry key instead of one that the client makes. A call is then carried out once however
// often it is made, also after a restart of the caller, for a day. The key is the caller's secret and names one change: with another one the answer is
// CodeIdempotencyConflict. It has 1 to 255 printable ASCII characters.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOfContext{}, key)
}

// path fills escaped elements into a path's %s. What would be no element of its own, or be taken for the way to another one, is refused or escaped.
func path(format string, elements ...string) (string, error) {
	escaped := make([]any, len(elements))
	for i, e := range elements {
		switch e {
		case "":
			return "", fmt.Errorf("client: an empty name in the path %s", format)
		case ".", "..": // which proxies take for directories
			escaped[i] = strings.ReplaceAll(e, ".", "%2E")
		default:
			escaped[i] = url.PathEscape(e)
		}
	}
	return fmt.Sprintf(format, escaped...), nil
}

// call makes a request and decodes the answer into into, if that is not nil. It returns the answer's headers.
func (c *Client) call(ctx context.Context, r request, into any) (http.Header, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	key := ""
	if r.changes {
		key, _ = ctx.Value(keyOfContext{}).(string)
		if key == "" {
			key = rand.Text()
		}
	}
	for n := 1; ; n++ {
		header, err := c.attempt(ctx, r, body, key, into)
		if err == nil {
			return header, nil
		}
		wait, again := c.again(ctx, n, err)
		if r.once || !again {
			return nil, err
		}
		if cause := sleep(ctx, wait); cause != nil {
			return nil, fmt.Errorf("%w; before that: %w", cause, err)
		}
	}
}

// attempt makes a request once.
func (c *Client) attempt(ctx context.Context, r request, body []byte, key string, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.build(ctx, r, body, key)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &lostError{err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &lostError{fmt.Errorf("%s %s: the answer was cut: %w", r.method, r.path, err)}
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("client: %s %s: the answer is longer than %d bytes", r.method, r.path, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, errorOf(resp.StatusCode, resp.Header, answer, time.Now())
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = answer
	} else if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			return nil, fmt.Errorf("client: %s %s: %d with what is not its answer: %w", r.method, r.path, resp.StatusCode, err)
		}
	}
	return resp.Header, nil
}

func (c *Client) build(ctx context.Context, r request, body []byte, key string) (*http.Request, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: token: %w", err)
	}
	to := c.base + r.path
	if len(r.query) > 0 {
		to += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, to, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if r.body == nil {
		req.Body, req.GetBody = http.NoBody, nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json, application/problem+json")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept+", application/problem+json")
	}
	for name, values := range req.Header {
		if strings.ContainsFunc(values[0], unicode.IsControl) { // such as the end of a line that a token was read with
			return nil, fmt.Errorf("client: the header %s would have a control character", name)
		}
	}
	return req, nil
}

// get makes a call that changes nothing.
func get[T any](ctx context.Context, c *Client, format string, elements ...string) (*T, error) {
	v, _, err := send[T](ctx, c, request{method: http.MethodGet}, format, elements...)
	return v, err
}

// send makes a call whose answer is a T.
func send[T any](ctx context.Context, c *Client, r request, format string, elements ...string) (*T, http.Header, error) {
	var err error
	if r.path, err = path(format, elements...); err != nil {
		return nil, nil, err
	}
	v := new(T)
	h, err := c.call(ctx, r, v)
	if err != nil {
		return nil, nil, err
	}
	return v, h, nil
}

// tell makes a call whose answer has no body.
func (c *Client) tell(ctx context.Context, r request, format string, elements ...string) (http.Header, error) {
	var err error
	if r.path, err = path(format, elements...); err != nil {
		return nil, err
	}
	return c.call(ctx, r, nil)
}

// A lostError is a request of which nobody knows whether it has arrived.
type lostError struct{ err error }

func (e *lostError) Error() string { return "client: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// sleep waits; what ended the context if that is sooner.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func isLost(err error) bool {
	var lost *lostError
	return errors.As(err, &lost)
}
