// Package proxy tells what a request was before it passed the proxies that are trusted: whose it is, and whether it came by TLS.
package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Trusted are the networks of proxies whose word about a request is taken.
type Trusted []netip.Prefix

func (p Trusted) has(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Client returns the address that a request comes from: that of the connection, or if it is a trusted proxy's, the nearest before it that is not, by
// X-Forwarded-For or Forwarded (RFC 7239), read from the right: what stands left of an address that is not trusted is its own invention. Where both
// headers are there and differ, one of them has passed a proxy that does not know it, and neither counts. Zero if the server has no TCP address.
func (p Trusted) Client(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(at.Addr())
	if !p.has(addr) {
		return addr
	}
	hops, other := commaList(r.Header.Values("X-Forwarded-For")), forwarded(r.Header.Values("Forwarded"), "for")
	switch {
	case len(hops) == 0:
		hops = other
	case len(other) > 0 && !slices.EqualFunc(hops, other, sameHop):
		return addr
	}
	for _, hop := range slices.Backward(hops) {
		before, ok := hopAddress(hop)
		if !ok { // unknown, hidden or garbage: whoever wrote it is as near as we get
			return addr
		}
		if addr = before; !p.has(addr) {
			return addr
		}
	}
	return addr
}

// Secure reports whether the request came by TLS, to this server or, by the word of a trusted proxy, to the first one (X-Forwarded-Proto, Forwarded).
func (p Trusted) Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.has(plain(at.Addr())) {
		return false
	}
	for _, said := range [][]string{commaList(r.Header.Values("X-Forwarded-Proto")), forwarded(r.Header.Values("Forwarded"), "proto")} {
		if len(said) > 0 && strings.EqualFold(said[0], "https") {
			return true
		}
	}
	return false
}

// plain is an address in its one form: IPv4 not as IPv6, no zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func commaList(values []string) (list []string) {
	for _, v := range values {
		for hop := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(hop))
		}
	}
	return list
}

// forwarded returns what the parameter says in each element of the header; "" where it is missing.
func forwarded(values []string, parameter string) (list []string) {
	for _, v := range values {
		for _, element := range splitQuoted(v, ',') {
			hop := ""
			for _, pair := range splitQuoted(element, ';') {
				if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(name), parameter) {
					hop = strings.Trim(strings.TrimSpace(value), `"`)
				}
			}
			list = append(list, hop)
		}
	}
	return list
}

// splitQuoted splits where the separator is not within quotes.
func splitQuoted(s string, separator byte) (parts []string) {
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// hopAddress reads an address as proxies write it, with a port or without: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func hopAddress(hop string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(hop); err == nil {
		return plain(at.Addr()), true
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok {
		hop = strings.TrimSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(hop)
	return plain(a), err == nil
}

func sameHop(a, b string) bool {
	x, okX := hopAddress(a)
	y, okY := hopAddress(b)
	return okX && okY && x == y
}
