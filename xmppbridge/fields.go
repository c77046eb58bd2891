package xmppbridge

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of attribute values, in bytes.
const (
	maxPart  = 1023 // a part of a JID (RFC 6122 §2.1)
	maxToken = 64   // sid, epoch
	maxWord  = 1023 // what a client says about itself
)

// fields reads the attributes of an element and remembers the first that is wrong. What only the server decides is checked and refused; what a
// client may have written is cut or left out instead, or else it could choose the server's failure policy by being odd.
type fields struct {
	e    *element
	what string // for errors, such as "ask" or "ask: session 3"
	err  error
}

func (f *fields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: attribute %q %s", f.what, name, fmt.Sprintf(format, args...))
	}
}

// part is a part of a JID, kept as sent.
func (f *fields) part(name string, required bool) string {
	v := f.e.attr(name)
	switch {
	case v == "" && required:
		f.fail(name, "is missing")
	case len(v) > maxPart:
		f.fail(name, "has %d bytes, more than %d", len(v), maxPart)
		return ""
	}
	return v
}

// user is a localpart. It cannot hold what would make user@domain another account.
func (f *fields) user(name string, required bool) string {
	v := f.part(name, required)
	if strings.ContainsAny(v, "@/") {
		f.fail(name, "is %.80q; a localpart has no '@' and no '/'", v)
	}
	return v
}

// token is an id that a module has made: [A-Za-z0-9_-]{1,64}.
func (f *fields) token(name string) string {
	v := f.e.attr(name)
	switch {
	case v == "":
		f.fail(name, "is missing")
	case len(v) > maxToken:
		f.fail(name, "has %d bytes, more than %d", len(v), maxToken)
	case strings.ContainsFunc(v, notTokenRune):
		f.fail(name, "is %.80q; only A-Z, a-z, 0-9, '_' and '-' are allowed", v)
	}
	return v
}

// id is any text of at most 128 bytes.
func (f *fields) id(name string, required bool) string {
	v := f.e.attr(name)
	switch {
	case v == "" && required:
		f.fail(name, "is missing")
	case len(v) > 2*maxToken:
		f.fail(name, "has %d bytes, more than %d", len(v), 2*maxToken)
	}
	return v
}

func notTokenRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// one is one of some words.
func (f *fields) one(name string, required bool, words ...string) string {
	v := f.e.attr(name)
	if v == "" && !required {
		return ""
	}
	for _, w := range words {
		if v == w {
			return v
		}
	}
	if v == "" {
		f.fail(name, "is missing")
	} else {
		f.fail(name, "is %.80q, not one of %s", v, strings.Join(words, ", "))
	}
	return ""
}

func (f *fields) yes(name string) bool {
	v := f.e.attr(name)
	if v != "" && v != "0" && v != "1" {
		f.fail(name, "is %.80q, not 0 or 1", v)
	}
	return v == "1"
}

// number is a whole number. If it is not required and missing, it is 0.
func (f *fields) number(name string, required bool, least, most int64) int64 {
	v := f.e.attr(name)
	if v == "" && !required {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case v == "":
		f.fail(name, "is missing")
	case err != nil || n < least || n > most:
		f.fail(name, "is %.80q, not a whole number from %d to %d", v, least, most)
		return 0
	}
	return n
}

// maxSeconds is 100 years.
const maxSeconds = 100 * 366 * 24 * 3600

func (f *fields) seconds(name string) time.Duration {
	return time.Duration(f.number(name, false, 0, maxSeconds)) * time.Second
}

// text is cut to most bytes, between runes.
func (f *fields) text(name string, most int) string {
	v := f.e.attr(name)
	if len(v) <= most {
		return v
	}
	for most > 0 && !utf8.RuneStart(v[most]) {
		most--
	}
	return v[:most]
}

// word is left out if it is longer than most bytes: half an id would be another id.
func (f *fields) word(name string, most int) string {
	v := f.e.attr(name)
	if len(v) > most {
		return ""
	}
	return v
}
