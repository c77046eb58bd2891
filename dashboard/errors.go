package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/bindgate/bindgate/client"
)

// refusal is an answer without a page of its own, by its status.
type refusal int

func (r refusal) Error() string {
	return fmt.Sprintf("dashboard: %d %s", int(r), http.StatusText(int(r)))
}

func refuse(status int) error { return refusal(status) }

// errorPage says what went wrong in plain words.
type errorPage struct {
	page
	Status    int
	What      string // a key of errors.<what>.title and errors.<what>.text
	Detail    string // of the API, in English
	RequestID string
}

// statusOf says which status and words an error has.
func statusOf(err error) (status int, what, detail string) {
	var r refusal
	var said *client.Error
	switch {
	case errors.As(err, &r):
		status = int(r)
	case errors.As(err, &said):
		status = said.Status
		if said.Code != "internal" {
			detail = said.Detail
		}
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	default:
		status = http.StatusInternalServerError
	}
	switch status {
	case http.StatusUnauthorized:
		what = "login"
	case http.StatusForbidden:
		what = "forbidden"
	case http.StatusNotFound:
		what = "missing"
	case http.StatusMethodNotAllowed:
		what = "method"
	case http.StatusConflict, http.StatusPreconditionFailed:
		what = "changed"
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		what = "input"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		status, what = http.StatusServiceUnavailable, "away"
	default:
		status, what = http.StatusInternalServerError, "broken"
	}
	return status, what, detail
}

// fail writes the page of an error.
func (v *visit) fail(err error) {
	if errors.Is(v.r.Context().Err(), context.Canceled) {
		return // nobody is left to tell
	}
	status, what, detail := statusOf(err)
	if status >= http.StatusInternalServerError {
		v.d.log.ErrorContext(v.ctx, "a page of the dashboard failed", "path", v.r.URL.Path, "request_id", requestID(v.ctx), "error", err)
	}
	p := &errorPage{page: v.page("errors." + what + ".title"), Status: status, What: what, Detail: detail, RequestID: requestID(v.ctx)}
	if status < http.StatusInternalServerError {
		p.RequestID = ""
	}
	if err := v.render(status, "error", p); err != nil {
		v.d.log.ErrorContext(v.ctx, "the page of an error failed", "error", err)
		http.Error(v.w, http.StatusText(status), status)
	}
}

// problem is why a form was not accepted, to be shown beside it.
type problem struct {
	What   string // a key of errors.<what>.text
	Detail string // of the API, in English
	Field  string // a JSON pointer or a parameter; "": the whole
	Label  string // the key of what the form calls the field; "": it is not said
}

// problemOf returns what is wrong with a form's input; nil: the error is of another kind, or none.
func problemOf(err error) *problem {
	var said *client.Error
	if !errors.As(err, &said) {
		return nil
	}
	switch said.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return &problem{What: "input", Detail: said.Detail, Field: said.Field}
	case http.StatusConflict, http.StatusPreconditionFailed:
		return &problem{What: "changed", Detail: said.Detail, Field: said.Field}
	}
	return nil
}
