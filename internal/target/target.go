// Package target says where bindgate's own requests may go. Webhooks: to public addresses over TLS, so that nobody who may set one can have bindgate speak to what only this machine
// or its network reaches (server-side request forgery).
//
// A URL is looked at when it is saved, for the caller's sake. What counts is Control: it sees each address at the moment of the connection, after names were
// resolved, so a name that changes its address later gains nothing.
package target

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// MaxURL is how long a target's URL may be, in bytes.
const MaxURL = 2048

// ErrPrivate is returned for an address that is not a public one.
var ErrPrivate = errors.New("the address is not a public one; --allow-private-targets (BINDGATE_ALLOW_PRIVATE_TARGETS) lets webhooks go to private addresses")

// Policy says what is allowed. The zero value is for targets that anybody may name.
type Policy struct {
	Private bool // any address, and http
}

// Check returns what is wrong with a target's URL, as a clause. A name may still turn out to have a private address.
func (p Policy) Check(raw string) error {
	if len(raw) > MaxURL {
		return fmt.Errorf("this is longer than %d bytes", MaxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("this must be a URL of printable ASCII characters; percent-encode others, and write domains as xn--…")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return errors.New("this must be a URL such as https://backend.example.org/bindgate")
	case u.Scheme != "https" && (u.Scheme != "http" || !p.Private):
		if p.Private {
			return errors.New("this must begin with https:// or http://")
		}
		return errors.New("this must begin with https://; http:// is only for a service that was started with --allow-private-targets")
	case u.User != nil:
		return errors.New("this must not hold a user name or password; what is sent is signed")
	case strings.Contains(raw, "#"):
		return errors.New("this must not have a fragment (#)")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("this has a colon and no port")
	}
	if port := u.Port(); port != "" {
		if _, err := netip.ParseAddrPort("127.0.0.1:" + port); err != nil || port == "0" {
			return errors.New("this has a port that is none")
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !p.Allows(a) {
		return ErrPrivate
	}
	return nil
}

// Control is net.Dialer.Control: it refuses an address that is not allowed before anything is sent to it.
func (p Policy) Control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if !p.Allows(a.Addr()) {
		return ErrPrivate
	}
	return nil
}

// Allows reports whether a target may have the address.
func (p Policy) Allows(a netip.Addr) bool { return p.Private || public(a) }

// reserved are the blocks that are not for hosts on the Internet (IANA's special-purpose address registries), as far as they lie in 0.0.0.0/0 or 2000::/3.
var reserved = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

var (
	unicast6 = netip.MustParsePrefix("2000::/3")
	nat64    = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes are the IPv4 address that is reached
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// public reports whether an address is one of the Internet's.
func public(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !a.IsValid() || a.Is6() && !unicast6.Contains(a) {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
