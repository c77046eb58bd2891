package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/bindgate/bindgate/internal/proxy"
)

// byTLS reports whether people find bindgate by https, as the public URL says. bindgate itself has no TLS: a proxy before it has.
func (c *config) byTLS() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// secure tells whether a browser has come by https: where the public URL says so all do, else it is the word of a trusted proxy.
func (c *config) secure() func(*http.Request) bool {
	if c.byTLS() {
		return func(*http.Request) bool { return true }
	}
	return proxy.Trusted(c.TrustedProxies).Secure
}

// wayProblems says what is wrong with the way by which people come to the dashboard, as far as the configuration tells.
func (c *config) wayProblems() (list []string) {
	switch {
	case len(c.TrustedProxies) > 0:
	case c.byTLS():
		list = append(list, "no proxy is trusted though the public URL is https: all people behind the proxy count as one address, and share the wait after failed logins; name the proxy in --trusted-proxies (BINDGATE_TRUSTED_PROXIES)")
	case !loopback(c.Listen):
		list = append(list, "passwords come in plain text to "+c.Listen+": put a proxy with TLS before bindgate, set --public-url (BINDGATE_PUBLIC_URL) to its https address, and name it in --trusted-proxies (BINDGATE_TRUSTED_PROXIES)")
	}
	return list
}

// loopback reports whether an address is one of this machine's own alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}
