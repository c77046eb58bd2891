package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// What errors.Is finds in an *Error. Each stands for a status; Error.Code tells more.
var (
	ErrInvalid            = errors.New("client: the request is not valid")                                       // 400, 405, 413, 415, 422
	ErrUnauthorized       = errors.New("client: there is no valid token")                                        // 401
	ErrForbidden          = errors.New("client: the token does not allow this")                                  // 403
	ErrNotFound           = errors.New("client: there is no such thing, or the token does not cover its domain") // 404
	ErrConflict           = errors.New("client: the request does not go with what is there")                     // 409
	ErrEventsGone         = errors.New("client: the events behind that position are not kept any more")          // 410
	ErrPreconditionFailed = errors.New("client: it has been changed since it was read")                          // 412
	ErrRateLimited        = errors.New("client: there were too many requests")                                   // 429
	ErrUnavailable        = errors.New("client: not available now")                                              // 502, 503, 504
)

// Codes that tell apart errors of one status. A newer bindgate may have others.
const (
	CodeRevisionMismatch    = "revision_mismatch"    // KickRequest.IfRevision
	CodeTooManySessions     = "too_many_sessions"    // BulkKickRequest.AtMost
	CodeIdempotencyConflict = "idempotency_conflict" // the key of WithIdempotencyKey was used for another request
	CodeTooManyGrants       = "too_many_grants"
	CodeInvalidField        = "invalid_field"
	CodeUnknownField        = "unknown_field"
	CodeInvalidJID          = "invalid_jid"

	codeInProgress = "idempotency_in_progress"
)

// Error is an answer that says no (RFC 9457). What came from something between the client and bindgate, such as a proxy, has a Status and no Code.
type Error struct {
	Status     int
	Code       string        // for programs; never changes its meaning
	Title      string        // of the code
	Detail     string        // what is wrong, and what would be right
	Field      string        // a JSON pointer into the body, or the name of a parameter or header; "": the whole, or none
	RequestID  string        // under which the service's log has it
	RetryAfter time.Duration // how long the service asks to wait; 0: it does not say
}

// Error implements error.
func (e *Error) Error() string {
	s := "bindgate: " + strconv.Itoa(e.Status)
	if e.Code != "" {
		s += " " + e.Code
	} else if text := http.StatusText(e.Status); text != "" {
		s += " " + text
	}
	if e.Field != "" {
		s += " at " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Is reports whether target is the sentinel of the error's status.
func (e *Error) Is(target error) bool {
	s := sentinel(e.Status)
	return s != nil && target == s
}

func sentinel(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusGone:
		return ErrEventsGone
	case http.StatusPreconditionFailed:
		return ErrPreconditionFailed
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrUnavailable
	}
	return nil
}

// errorOf reads an answer that says no.
func errorOf(status int, h http.Header, body []byte, now time.Time) *Error {
	e := &Error{Status: status, RequestID: h.Get("X-Request-Id"), RetryAfter: retryAfter(h.Get("Retry-After"), now)}
	var p struct {
		Code      string `json:"code"`
		Title     string `json:"title"`
		Detail    string `json:"detail"`
		Field     string `json:"field"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(body, &p) == nil {
		e.Code, e.Title, e.Detail, e.Field = p.Code, p.Title, p.Detail, p.Field
		if p.RequestID != "" {
			e.RequestID = p.RequestID
		}
	}
	if status >= 300 && status < 400 && e.Detail == "" {
		e.Detail = fmt.Sprintf("redirected to %q, which bindgate never does: is the base URL right?", h.Get("Location"))
	}
	return e
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3); 0 if there is none, or it is past.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
