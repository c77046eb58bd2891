package proxy

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("127.0.0.1/32")}
	for name, c := range map[string]struct {
		peer      string
		xff, fwd  []string
		want      string
		untrusted bool // no proxy is
	}{
		"no proxy":                  {peer: "192.0.2.1:5", want: "192.0.2.1"},
		"nobody is trusted":         {peer: "10.0.0.1:5", xff: []string{"192.0.2.9"}, want: "10.0.0.1", untrusted: true},
		"a liar":                    {peer: "192.0.2.1:5", xff: []string{"10.9.9.9"}, fwd: []string{"for=10.9.9.9"}, want: "192.0.2.1"},
		"a proxy":                   {peer: "10.0.0.1:5", xff: []string{"192.0.2.9"}, want: "192.0.2.9"},
		"a proxy without a word":    {peer: "10.0.0.1:5", want: "10.0.0.1"},
		"what the client made up":   {peer: "10.0.0.1:5", xff: []string{"198.51.100.1, 192.0.2.9"}, want: "192.0.2.9"},
		"made up as a proxy":        {peer: "10.0.0.1:5", xff: []string{"10.0.0.7, 192.0.2.9"}, want: "192.0.2.9"},
		"two proxies":               {peer: "10.0.0.1:5", xff: []string{"198.51.100.1, 192.0.2.9,10.0.0.2"}, want: "192.0.2.9"},
		"two headers":               {peer: "10.0.0.1:5", xff: []string{"198.51.100.1", "192.0.2.9", "10.0.0.2"}, want: "192.0.2.9"},
		"all are proxies":           {peer: "10.0.0.1:5", xff: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3"},
		"garbage":                   {peer: "10.0.0.1:5", xff: []string{"192.0.2.9, x"}, want: "10.0.0.1"},
		"garbage behind a proxy":    {peer: "10.0.0.1:5", xff: []string{"192.0.2.9, x, 10.0.0.2"}, want: "10.0.0.2"},
		"empty":                     {peer: "10.0.0.1:5", xff: []string{""}, want: "10.0.0.1"},
		"with a port":               {peer: "10.0.0.1:5", xff: []string{"192.0.2.9:1234"}, want: "192.0.2.9"},
		"IPv6":                      {peer: "[2001:db8:1::1]:5", xff: []string{"2001:db8::9"}, want: "2001:db8::9"},
		"IPv6 in brackets":          {peer: "10.0.0.1:5", xff: []string{"[2001:db8::9]"}, want: "2001:db8::9"},
		"IPv4 as IPv6":              {peer: "[::ffff:10.0.0.1]:5", xff: []string{"::ffff:192.0.2.9"}, want: "192.0.2.9"},
		"a zone":                    {peer: "[fe80::1%eth0]:5", want: "fe80::1"},
		"Forwarded":                 {peer: "10.0.0.1:5", fwd: []string{`for=198.51.100.1, For="[2001:db8::9]:4711";proto=https`}, want: "2001:db8::9"},
		"Forwarded, a comma quoted": {peer: "10.0.0.1:5", fwd: []string{`for=198.51.100.1, for=192.0.2.9;host="a,for=10.0.0.2;\",for=10.0.0.3"`}, want: "192.0.2.9"},
		"Forwarded, hidden":         {peer: "10.0.0.1:5", fwd: []string{`for=198.51.100.1, for=_hidden`}, want: "10.0.0.1"},
		"Forwarded, unknown":        {peer: "10.0.0.1:5", fwd: []string{`for=unknown`}, want: "10.0.0.1"},
		"Forwarded without for":     {peer: "10.0.0.1:5", fwd: []string{`for=192.0.2.9, proto=https`}, want: "10.0.0.1"},
		"both agree":                {peer: "10.0.0.1:5", xff: []string{"192.0.2.9"}, fwd: []string{"for=192.0.2.9"}, want: "192.0.2.9"},
		"both differ":               {peer: "10.0.0.1:5", xff: []string{"192.0.2.9"}, fwd: []string{"for=198.51.100.1"}, want: "10.0.0.1"},
		"no TCP":                    {peer: "@", want: "invalid IP"},
	} {
		p := trusted
		if c.untrusted {
			p = nil
		}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.xff, "Forwarded": c.fwd}}
		if got := p.Client(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		peer, proto, fwd string
		tls, want        bool
	}{
		"TLS here":               {peer: "192.0.2.1:5", tls: true, want: true},
		"none":                   {peer: "192.0.2.1:5"},
		"a liar":                 {peer: "192.0.2.1:5", proto: "https", fwd: "proto=https"},
		"a proxy":                {peer: "10.0.0.1:5", proto: "HTTPS", want: true},
		"a proxy without TLS":    {peer: "10.0.0.1:5", proto: "http"},
		"to the first of two":    {peer: "10.0.0.1:5", proto: "https, http", want: true},
		"Forwarded":              {peer: "10.0.0.1:5", fwd: `for=192.0.2.9;proto="https", for=10.0.0.2;proto=http`, want: true},
		"not to the first":       {peer: "10.0.0.1:5", proto: "http, https"},
		"a proxy without a word": {peer: "10.0.0.1:5"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if c.fwd != "" {
			r.Header.Set("Forwarded", c.fwd)
		}
		if got := trusted.Secure(r); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
