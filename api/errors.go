package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// code names a kind of error for programs. It never changes its meaning.
type code string

const (
	codeMalformed          code = "malformed_request"
	codeUnauthorized       code = "unauthorized"
	codeInsufficientScope  code = "insufficient_scope"
	codeNotFound           code = "not_found"
	codeMethodNotAllowed   code = "method_not_allowed"
	codeRevisionMismatch   code = "revision_mismatch"
	codeLimitReached       code = "limit_reached"
	codeEventsGone         code = "events_gone"
	codeKeyConflict        code = "idempotency_conflict"
	codeKeyInProgress      code = "idempotency_in_progress"
	codeTooManyGrants      code = "too_many_grants"
	codeTooManySessions    code = "too_many_sessions"
	codePreconditionFailed code = "precondition_failed"
	codeTimeout            code = "request_timeout"
	codeTooLarge           code = "body_too_large"
	codeMediaType          code = "unsupported_media_type"
	codeInvalidField       code = "invalid_field"
	codeUnknownField       code = "unknown_field"
	codeInvalidJID         code = "invalid_jid"
	codeRateLimited        code = "rate_limited"
	codeInternal           code = "internal"
	codeUnavailable        code = "unavailable"
)

// statuses is the one place that knows which HTTP status an error has.
var statuses = map[code]struct {
	status int
	title  string
}{
	codeMalformed:          {http.StatusBadRequest, "The request cannot be read"},
	codeUnauthorized:       {http.StatusUnauthorized, "A valid bearer token is needed"},
	codeInsufficientScope:  {http.StatusForbidden, "The token does not allow this"},
	codeNotFound:           {http.StatusNotFound, "There is no such thing"},
	codeMethodNotAllowed:   {http.StatusMethodNotAllowed, "This cannot be done with that"},
	codeRevisionMismatch:   {http.StatusConflict, "The account has changed"},
	codeLimitReached:       {http.StatusConflict, "There are as many as there may be"},
	codeEventsGone:         {http.StatusGone, "The events are not kept any more"},
	codeKeyConflict:        {http.StatusConflict, "The key was used for something else"},
	codeKeyInProgress:      {http.StatusConflict, "The request is being carried out"},
	codeTooManyGrants:      {http.StatusConflict, "The account has too many open grants"},
	codeTooManySessions:    {http.StatusConflict, "The filter finds more sessions"},
	codePreconditionFailed: {http.StatusPreconditionFailed, "The rule has changed"},
	codeTimeout:            {http.StatusRequestTimeout, "The request took too long to arrive"},
	codeTooLarge:           {http.StatusRequestEntityTooLarge, "The body is too large"},
	codeMediaType:          {http.StatusUnsupportedMediaType, "The body must be JSON"},
	codeInvalidField:       {http.StatusUnprocessableEntity, "A value is not valid"},
	codeUnknownField:       {http.StatusUnprocessableEntity, "There is no such field"},
	codeInvalidJID:         {http.StatusUnprocessableEntity, "A JID is not valid"},
	codeRateLimited:        {http.StatusTooManyRequests, "There were too many requests"},
	codeInternal:           {http.StatusInternalServerError, "Something went wrong here"},
	codeUnavailable:        {http.StatusServiceUnavailable, "Not available now"},
}

// failure is an error that a caller is told.
type failure struct {
	code      code
	field     *string // JSON pointer, or the name of a parameter or header
	detail    string  // "" of codeNotFound: what missing says of the route
	challenge string  // WWW-Authenticate
	cause     error   // for the log; not told
}

func (f *failure) Error() string { return string(f.code) + ": " + f.detail }
func (f *failure) Unwrap() error { return f.cause }

func fail(c code, detail string) *failure { return &failure{code: c, detail: detail} }

func failField(c code, field, detail string) *failure {
	return &failure{code: c, field: &field, detail: detail}
}

// problem is an error on the wire (RFC 9457).
type problem struct {
	Type      string  `json:"type"`
	Code      code    `json:"code"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Field     *string `json:"field,omitempty"`
	RequestID string  `json:"request_id"`
}

// explain turns any error into one that a caller may be told. Its cause is set when it is to be logged.
func explain(err error) *failure {
	var f *failure
	var he *echo.HTTPError
	var field *rules.FieldError
	var syntax *rules.SyntaxError
	var address *jid.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &he):
		return explainRouting(he, err)
	case errors.As(err, &field):
		return explainRule(field)
	case errors.As(err, &syntax):
		return fail(codeMalformed, sentence(syntax.Error()))
	case errors.As(err, &address):
		return fail(codeInvalidJID, sentence(address.Problem))
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID):
		return notFound()
	case errors.Is(err, store.ErrVersion):
		return failField(codeRevisionMismatch, "/if_revision", "The account's revision is not the one in if_revision. Read the account again and decide anew.")
	case errors.Is(err, store.ErrTooMany):
		return fail(codeLimitReached, fmt.Sprintf("There are %d webhooks already, which is the most there may be. Delete one that is not needed.", store.MaxWebhooks))
	case errors.Is(err, gate.ErrEventsGone):
		return fail(codeEventsGone, "Events that follow this one are not kept any more.")
	case errors.Is(err, store.ErrKeyReused):
		return failField(codeKeyConflict, headerIdempotencyKey, "This key was used within the last day for a request with another method, path, query, body or If-Match. Take a new key for a new request.")
	case errors.Is(err, store.ErrKeyInUse), errors.Is(err, store.ErrClaimLost):
		return failField(codeKeyInProgress, headerIdempotencyKey, "A request with this key is being carried out. Send it again in a moment for its answer.")
	case errors.Is(err, errBusy): // which is counted, and logged by nobody: there are many of them
		return fail(codeUnavailable, "The service is doing as much as it can. Try again in a moment.")
	case errors.Is(err, store.ErrBusy), errors.Is(err, gate.ErrOverloaded), errors.Is(err, gate.ErrStopped):
		return &failure{code: codeUnavailable, detail: "The service is too busy for this now. Try again in a moment.", cause: err}
	case store.Unreachable(err), errors.Is(err, context.DeadlineExceeded):
		return &failure{code: codeUnavailable, detail: "The database cannot be reached now. Try again in a moment.", cause: err}
	}
	return &failure{code: codeInternal, detail: "The request could not be carried out. The log has the cause under this request_id.", cause: err}
}

func explainRouting(he *echo.HTTPError, err error) *failure {
	switch he.Code {
	case http.StatusNotFound:
		return fail(codeNotFound, "There is nothing at this path. /openapi.yaml lists what there is.")
	case http.StatusMethodNotAllowed:
		return fail(codeMethodNotAllowed, "This path does not take that method; the header Allow lists those it takes.")
	}
	return &failure{code: codeInternal, detail: "The request could not be carried out. The log has the cause under this request_id.", cause: err}
}

func explainRule(e *rules.FieldError) *failure {
	c := codeInvalidField
	if e.Code == rules.UnknownField {
		c = codeUnknownField
		if e.Field == "/expires_at" {
			return failField(c, e.Field, "Only an account's own rule can expire, not one of a group, a domain or the default.")
		}
	}
	return failField(c, e.Field, sentence(e.Message))
}

// notFound says the same of what is not there and of what the token does not cover: a sentence that fits the route, and nothing but the route.
func notFound() *failure { return &failure{code: codeNotFound} }

// at names where a body has what is not there.
func (f *failure) at(field string) *failure {
	f.field = &field
	return f
}

// missing says what may not be there, by how the paths of routes end.
var missing = []struct{ route, detail string }{
	{"/webhooks/:id/deliveries/:delivery/redeliver", "There is no such webhook, or it has no such delivery."},
	{"/webhooks/:id*", "There is no such webhook."},
	{"/kicks/:id", "There is no such kick of many accounts. What became of a kick of one account is in its answer and among the events."},
	{"/links/:id/mode", "There is no such link."},
	{"/groups/:group/members", "There is no such group."},
	{"/groups/:group/rule", "There is no such group, or it has no rule."},
	{"/domains/:domain", "There is no such domain."},
	{"/domains/:domain/rule", "There is no such domain, or it has no rule."},
	{"/rules/default", "There is no default rule."},
	{"/rules/preview", "There is no such account, domain or group."},
	{"/sessions/:id", "There is no such session. It is on record until it leaves the history."},
	{"/accounts/:jid/devices/:id", "There is no such account, or it has no such device."},
	{"/accounts/:jid/rule", "There is no such account, or it has no rule of its own."},
	{"/accounts/:jid/group", "There is no such account or group. An account is on record from its first login on."},
	{"/accounts/:jid*", "There is no such account. It is on record from its first login on."},
	{"/decisions/evaluate", "There is no such account."},
}

func missingAt(route string) string {
	for _, m := range missing {
		prefix, whole := strings.CutSuffix("/v1"+m.route, "*")
		if route == prefix || whole && strings.HasPrefix(route, prefix) {
			return m.detail
		}
	}
	return "There is no such thing."
}

// handleError is where every error ends: told to the caller, and logged once if it is ours.
func (a *api) handleError(err error, c echo.Context) {
	f := explain(err)
	detail := f.detail
	if detail == "" {
		detail = missingAt(c.Path())
	}
	st := statuses[f.code]
	id := c.Response().Header().Get(headerRequestID)
	if f.cause != nil && !errors.Is(f.cause, context.Canceled) { // a caller that has gone away is no fault
		a.log.LogAttrs(context.WithoutCancel(c.Request().Context()), slog.LevelError, "request failed", slog.String("request_id", id),
			slog.String("method", c.Request().Method), slog.String("route", c.Path()), slog.Int("status", st.status), slog.Any("error", f.cause))
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if n := c.Request().ContentLength; n < 0 || n > maxBody {
		h.Set("Connection", "close") // net/http would wait for the rest of the body before it answers
	}
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	switch f.code {
	case codeUnavailable, codeKeyInProgress:
		h.Set("Retry-After", "1")
	case codeTimeout: // what is left of the body may still come
		h.Set("Connection", "close")
	default:
	}
	body, _ := encode(problem{ // strings and a number always encode
		Type: "urn:bindgate:problem:" + string(f.code), Code: f.code, Title: st.title, Status: st.status, Detail: detail, Field: f.field, RequestID: id,
	})
	h.Del("ETag")
	_ = c.Blob(st.status, "application/problem+json", body) // the caller is gone: nobody is left to tell
}
