package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/internal/selftest"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// linkConfig is one XMPP server.
type linkConfig struct {
	Name      string
	Addr      string
	Component string
	Secret    secret
	Driver    string
	APIURL    string   // of driver ejabberd
	Domains   []string // empty: all that say hello, or, without a module, the one that the component is under
	TLS       bool
	SelfTest  *selftest.Config // nil: none
}

// links takes the link of the flags and those of the file.
func (c *config) links(all settings, tables []fileLink) error {
	if s := all["xmpp_component"]; s.value != "" {
		sec, err := all.xmppSecret(s.value)
		if err != nil {
			return err
		}
		l := linkConfig{Name: s.value, Component: s.value, Secret: sec, Addr: all.or("xmpp_addr", defaultXMPPAddr), Driver: all.or("xmpp_driver", "gate")}
		if err := all.address("xmpp_addr", l.Addr); err != nil {
			return err
		}
		if err := checkDomain(l.Component); err != nil {
			return s.errorf("%w", err)
		}
		if err := checkDriver(l.Driver); err != nil {
			return all["xmpp_driver"].errorf("%w", err)
		}
		api := all["xmpp_api_url"]
		l.APIURL = api.value
		switch err := checkAPI(l); {
		case err != nil && api.value != "":
			return api.errorf("%w", err)
		case err != nil:
			return fmt.Errorf("%s is ejabberd, but the URL of its API is not set: set --xmpp-api-url (BINDGATE_XMPP_API_URL), such as http://127.0.0.1:5280/api", all["xmpp_driver"].origin)
		}
		c.Links = append(c.Links, l)
	}
	for i, t := range tables {
		l, err := t.link()
		if err != nil {
			return fmt.Errorf("[[link]] %d in %s: %w", i+1, c.File, err)
		}
		if j := slices.IndexFunc(c.Links, func(o linkConfig) bool { return o.Name == l.Name }); j >= 0 {
			return fmt.Errorf("[[link]] %d in %s: name: %q is taken by another link", i+1, c.File, l.Name)
		}
		if err := l.beside(c.Links); err != nil {
			return fmt.Errorf("[[link]] %d in %s: %w", i+1, c.File, err)
		}
		c.Links = append(c.Links, l)
	}
	return nil
}

func (t fileLink) link() (linkConfig, error) {
	l := linkConfig{Name: t.Name, Addr: t.Addr, Component: t.Component, Driver: t.Driver, APIURL: t.APIURL, Domains: t.Domains, TLS: t.TLS}
	if l.Component == "" {
		return l, errors.New("component: missing; it is the component's name in the XMPP server's configuration, such as bindgate.example.org")
	}
	if err := checkDomain(l.Component); err != nil {
		return l, fmt.Errorf("component: %w", err)
	}
	if l.Name == "" {
		l.Name = l.Component
	}
	if l.Addr == "" {
		l.Addr = defaultXMPPAddr
	}
	if err := checkAddress(l.Addr); err != nil {
		return l, fmt.Errorf("addr: %w", err)
	}
	if l.Driver == "" {
		l.Driver = "gate"
	}
	if err := checkDriver(l.Driver); err != nil {
		return l, fmt.Errorf("driver: %w", err)
	}
	for i, d := range l.Domains {
		if err := checkDomain(d); err != nil {
			return l, fmt.Errorf("domains: %w", err)
		}
		if slices.ContainsFunc(l.Domains[:i], func(o string) bool { return strings.EqualFold(o, d) }) {
			return l, fmt.Errorf("domains: %s is named twice", d)
		}
	}
	if t.Connections != nil && *t.Connections != 1 {
		return l, fmt.Errorf("connections: %d: this build keeps one connection to each server", *t.Connections)
	}
	if err := checkAPI(l); err != nil {
		return l, fmt.Errorf("api_url: %w", err)
	}
	if t.SecretFile == "" {
		return l, errors.New("secret_file: missing; it names the file with the component's secret")
	}
	sec, err := readSecret(t.SecretFile)
	if err != nil {
		return l, fmt.Errorf("secret_file: %w", err)
	}
	l.Secret = sec
	if t.SelfTest != nil {
		if l.SelfTest, err = t.SelfTest.config(l); err != nil {
			return l, fmt.Errorf("self_test: %w", err)
		}
	}
	return l, nil
}

// domains are those that a link is known to serve; none: whichever say hello.
func (l linkConfig) domains() []string {
	if l.Driver == "gate" && len(l.Domains) == 0 {
		return nil
	}
	return stock.Domains(l.Component, l.Domains)
}

// tls is nil for a connection in plain.
func (l linkConfig) tls() *tls.Config {
	if !l.TLS {
		return nil
	}
	host, _, _ := net.SplitHostPort(l.Addr) // checked with the configuration
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
}

// beside says why a link cannot be together with others. A domain's sessions are one link's, and a server keeps one connection of a component.
func (l linkConfig) beside(others []linkConfig) error {
	for _, o := range others {
		if strings.EqualFold(l.Component, o.Component) && spelled(l.Addr) == spelled(o.Addr) {
			return fmt.Errorf("component: %s on %s is that of link %s already: each link needs a component of its own", l.Component, l.Addr, o.Name)
		}
		if l.domains() == nil && o.domains() == nil {
			return fmt.Errorf("domains: missing; neither this link nor %s says which it serves, and a domain must be one link's", o.Name)
		}
		for _, d := range l.domains() {
			if slices.Contains(o.domains(), d) {
				return fmt.Errorf("domains: %s is one of link %s already", d, o.Name)
			}
		}
	}
	return nil
}

// spelled is an address in one spelling of this machine's own.
func spelled(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); strings.EqualFold(host, "localhost") || ip.IsLoopback() {
		host = "localhost"
	}
	return strings.ToLower(host) + ":" + port
}

// xmppSecret takes the secret or its file, whichever was set nearer.
func (s settings) xmppSecret(component string) (secret, error) {
	value, file := s["xmpp_secret"], s["xmpp_secret_file"]
	switch {
	case value.value == "" && file.value == "":
		return "", fmt.Errorf("%s is set to %s, but its secret is not: set --xmpp-secret-file (BINDGATE_XMPP_SECRET_FILE) or BINDGATE_XMPP_SECRET to the component_secret of the XMPP server's configuration",
			s["xmpp_component"].origin, component)
	case value.value != "" && file.value != "" && value.level == file.level:
		return "", fmt.Errorf("%s and %s exclude each other: keep one", value.origin, file.origin)
	case file.value == "" || value.value != "" && value.level > file.level:
		return secret(value.value), nil
	}
	sec, err := readSecret(file.value)
	if err != nil {
		return "", file.errorf("%w", err)
	}
	return sec, nil
}

func checkDomain(domain string) error {
	if strings.ContainsAny(domain, "@/<>&'\" \t\r\n") || len(domain) > 1023 {
		return fmt.Errorf("%q is not a domain name: it looks like bindgate.example.org", domain)
	}
	return nil
}
