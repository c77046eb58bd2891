// Package jid reads XMPP addresses that people and programs type, and prepares them as XMPP servers do (RFC 3920 §3 with the
// stringprep profiles of its appendices A and B and of RFC 3491), so that straße@example.org finds the account that the server
// calls strasse@example.org. Addresses that a server sends are never put through it: they are right as they are.
package jid

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPart is the length of a localpart, domainpart or resourcepart in bytes after preparation (RFC 3920 §3.1).
const MaxPart = 1023

// maxInput bounds what is prepared at all. Preparation may shorten a text.
const maxInput = 4 * (3*MaxPart + 2)

// JID is a prepared address. Local and Resource may be empty, Domain never is.
type JID struct {
	Local    string
	Domain   string
	Resource string
}

// Error says in one sentence what is wrong with an address.
type Error struct{ Problem string }

func (e *Error) Error() string { return e.Problem }

// Parse splits and prepares an address. Its errors are *Error.
func Parse(s string) (JID, error) {
	if err := wellFormed(s); err != nil {
		return JID{}, err
	}
	if s == "" {
		return JID{}, &Error{"the address is empty; it should look like user@example.org"}
	}
	bare, resource, hasResource := strings.Cut(s, "/")
	local, domain, hasLocal := strings.Cut(bare, "@")
	if !hasLocal {
		local, domain = "", bare
	}
	var j JID
	var err error
	if j.Domain, err = Domain(domain); err != nil {
		return JID{}, err
	}
	if hasLocal {
		if j.Local, err = prepare(nodeprep, "localpart", local); err != nil {
			return JID{}, err
		}
	}
	if hasResource {
		if j.Resource, err = Resource(resource); err != nil {
			return JID{}, err
		}
	}
	return j, nil
}

// ParseAccount reads the bare JID of an account: a localpart and a domain, no resource. Its errors are *Error.
func ParseAccount(s string) (JID, error) {
	j, err := Parse(s)
	if err != nil {
		return JID{}, err
	}
	if j.Resource != "" {
		return JID{}, &Error{"an account's address has no resource; leave out what comes after the slash"}
	}
	if j.Local == "" {
		return JID{}, &Error{"an account's address has a localpart; it should look like user@" + j.Domain}
	}
	return j, nil
}

// Domain prepares a domainpart by nameprep. It stays Unicode; a last dot is dropped. Its errors are *Error.
func Domain(s string) (string, error) {
	if err := wellFormed(s); err != nil {
		return "", err
	}
	d, err := prepare(nameprep, "domain", strings.TrimSuffix(s, "."))
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(d, ".") || strings.Contains(d, "..") {
		return "", &Error{"the domain has an empty part between two dots, or before the first"}
	}
	// Nameprep lets ASCII through as it is; what no host name can hold is refused here.
	for _, r := range d {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`"&'/:<>@\`, r) && !ipLiteral(d) {
			return "", &Error{fmt.Sprintf("the domain holds %s, which no domain may", name(r))}
		}
	}
	return d, nil
}

// Resource prepares a resourcepart by resourceprep. Its errors are *Error.
func Resource(s string) (string, error) {
	if err := wellFormed(s); err != nil {
		return "", err
	}
	return prepare(resourceprep, "resource", s)
}

// Bare returns the address without its resource.
func (j JID) Bare() string {
	if j.Local == "" {
		return j.Domain
	}
	return j.Local + "@" + j.Domain
}

// String returns the whole address.
func (j JID) String() string {
	if j.Resource == "" {
		return j.Bare()
	}
	return j.Bare() + "/" + j.Resource
}

func wellFormed(s string) error {
	switch {
	case len(s) > maxInput:
		return &Error{fmt.Sprintf("the address is %d bytes long; each part may have at most %d", len(s), MaxPart)}
	case !utf8.ValidString(s):
		return &Error{"the address is not valid UTF-8"}
	}
	return nil
}

// ipLiteral reports whether a domain is an IPv6 address in brackets; it alone may hold colons.
func ipLiteral(d string) bool {
	return strings.HasPrefix(d, "[") && strings.HasSuffix(d, "]") && strings.Trim(d[1:len(d)-1], "0123456789abcdef:.") == ""
}

func prepare(p profile, part, s string) (string, error) {
	if s == "" {
		return "", &Error{"the " + part + " is empty"}
	}
	out, err := p.prepare(s)
	var bad *badRune
	switch {
	case errors.As(err, &bad):
		return "", &Error{fmt.Sprintf("the %s holds %s, which is not allowed there", part, name(bad.rune))}
	case err != nil:
		return "", &Error{"the " + part + " mixes right-to-left and left-to-right text in a way that is not allowed (RFC 3454 §6)"}
	case out == "":
		return "", &Error{"nothing is left of the " + part + " when it is prepared: it has only invisible characters"}
	case len(out) > MaxPart:
		return "", &Error{fmt.Sprintf("the %s is %d bytes long; at most %d are allowed", part, len(out), MaxPart)}
	}
	return out, nil
}

func name(r rune) string {
	switch {
	case r == ' ':
		return "a space"
	case r > ' ' && r < 0x7f:
		return fmt.Sprintf("%q", string(r))
	}
	return fmt.Sprintf("the character U+%04X", r)
}
