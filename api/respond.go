package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

const headerRequestID = "X-Request-Id"

// list is a page.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next_cursor"`
}

// page makes one of what was read: up to limit things, and one more if there are more. next makes the cursor behind a thing.
func page[T, R any](read []T, limit int, show func(T) R, next func(T) string) list[R] {
	p := list[R]{Items: make([]R, 0, min(len(read), limit))}
	for i, t := range read {
		if i == limit {
			cursor := next(read[limit-1])
			p.Next = &cursor
			break
		}
		p.Items = append(p.Items, show(t))
	}
	return p
}

// respond writes a value as JSON.
func (c *call) respond(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	return c.respondWith(status, body)
}

// respondWith writes what is JSON already. A caller that has gone away is no fault.
func (c *call) respondWith(status int, body []byte) error {
	_ = c.Blob(status, "application/json", body)
	return nil
}

// encode makes JSON without HTML's escapes, which nobody here needs.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// requestID takes the caller's id if it is a plain word, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if id == "" || len(id) > 64 {
		return rand.Text()
	}
	for _, b := range []byte(id) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '-' && b != '_' && b != '.' {
			return rand.Text()
		}
	}
	return id
}

// panicked makes an error of a panic, with its stack for the log.
func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

// utc is a time on the wire: RFC 3339 in UTC; null if zero.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// orNull is a text on the wire that may be missing.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
