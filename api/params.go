package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/store"
)

// The lengths of pages.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// repeatable are the parameters that may be given more than once.
var repeatable = []string{"type"}

// parseQuery reads a query string that has only known parameters, each once unless it is repeatable.
func parseQuery(raw string, known []string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fail(codeMalformed, "The query string cannot be read; write parameters as name=value, joined by & and percent-encoded.")
	}
	names := make([]string, 0, len(q))
	for name := range q {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := q[name]
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, failField(codeUnknownField, printable(name), "There are no query parameters here.")
		case !slices.Contains(known, name):
			return nil, failField(codeUnknownField, printable(name), fmt.Sprintf("There is no such parameter here; the parameters are %s.", strings.Join(known, ", ")))
		case len(values) > 1 && !slices.Contains(repeatable, name):
			return nil, failField(codeInvalidField, name, "This parameter is given more than once.")
		case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			return nil, failField(codeInvalidField, name, "This must be valid UTF-8 without the character U+0000.")
		case len(values[0]) > 4096:
			return nil, failField(codeInvalidField, name, "This is longer than 4096 bytes.")
		case values[0] == "" && name != "cursor" && name != "q":
			return nil, failField(codeInvalidField, name, "This must not be empty; leave it out instead.")
		}
	}
	return q, nil
}

func printable(name string) string { return strings.ToValidUTF8(name[:min(len(name), 100)], "\ufffd") }

func limitOf(q url.Values) (int, error) {
	v := q.Get("limit")
	if v == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit || v[0] == '+' {
		return 0, failField(codeInvalidField, "limit", fmt.Sprintf("This must be an integer from 1 to %d.", maxLimit))
	}
	return n, nil
}

// timeParam reads a time; those of RFC 3339 are well within PostgreSQL's. It is Go's zero time if it is not there, and only then.
func timeParam(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, failField(codeInvalidField, name, "This must be a time such as 2030-01-31T12:00:00Z (RFC 3339); write + as %2B.")
	}
	if t.IsZero() { // the beginning of the year 1, which is asked for
		t = t.Add(time.Microsecond)
	}
	return t, nil
}

// place reads where a page of a list that goes by one text starts, and how long it is.
func (a *api) place(c *call) (limit int, after string, err error) {
	q := url.Values(c.query)
	if limit, err = limitOf(q); err != nil {
		return 0, "", err
	}
	place, err := a.behind(c, c.listName(c.Path()))
	return limit, string(place), err
}

// listName names what a list has: the list itself, its filters, and the domains that the caller is limited to. A cursor is good for that alone.
func (c *call) listName(list string, filters ...string) string {
	name := make([]byte, 0, 128)
	name = append(append(name, list...), ' ')
	name = appendQuoted(name, filters)
	name = strconv.AppendBool(append(name, ' '), c.caller.domains == nil)
	return string(appendQuoted(append(name, ' '), c.caller.domains))
}

// appendQuoted appends texts as fmt's %q writes them, which costs every list several times as much.
func appendQuoted(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, text)
	}
	return append(b, ']')
}

// filteredName is listName of a list whose filters are parameters of the query.
func (c *call) filteredName(list string, params []string) string {
	filters := make([]string, len(params))
	for i, name := range params {
		filters[i] = url.Values(c.query).Get(name)
	}
	return c.listName(list, filters...)
}

// domains are those that a request is about: the query's domain, or all that the caller's token covers; nil: any.
func (c *call) domains() ([]string, error) {
	d := url.Values(c.query).Get("domain")
	if d == "" {
		return c.caller.domains, nil
	}
	domain, err := parseDomain("domain", d)
	if err != nil || !c.caller.sees(domain) {
		return []string{}, err
	}
	return []string{domain}, nil
}

// account is the account that a request is about.
type account struct {
	jid    string // bare
	domain string
	key    store.Key
}

func parseAccount(field, s string) (account, error) {
	j, err := jid.ParseAccount(s)
	if err != nil {
		return account{}, failField(codeInvalidJID, field, jidProblem(err))
	}
	return account{jid: j.Bare(), domain: j.Domain, key: store.KeyOf(j.Bare())}, nil
}

func parseDomain(field, s string) (string, error) {
	d, err := jid.Domain(s)
	if err != nil {
		return "", failField(codeInvalidJID, field, jidProblem(err))
	}
	return d, nil
}

func jidProblem(err error) string {
	var e *jid.Error
	if errors.As(err, &e) {
		return sentence(e.Problem)
	}
	return "This is not a JID."
}

// sentence makes a problem one: a capital first, a full stop last.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// account reads the path's account. One that the caller's token does not cover is not there.
func (c *call) account() (account, error) {
	a, err := parseAccount("jid", c.pathParam("jid"))
	if err != nil {
		return a, err
	}
	if !c.caller.sees(a.domain) {
		return a, notFound()
	}
	return a, nil
}

// pathParam unescapes a piece of the path, once: the router works on the escaped path.
func (c *call) pathParam(name string) string {
	s, err := url.PathUnescape(c.Param(name))
	if err != nil {
		return c.Param(name) // cannot be: net/http has parsed the path already
	}
	return s
}
