package target

import (
	"net/netip"
	"net/url"
	"strings"
)

// Secure reports whether what is fetched from a URL that the operator configured cannot be changed on its way: it is https, or http on this machine.
func Secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || strings.EqualFold(host, "localhost")
}
