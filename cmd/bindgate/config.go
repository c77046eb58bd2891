package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/internal/keyring"
	"github.com/bindgate/bindgate/internal/signon"
	"github.com/bindgate/bindgate/store"
)

// config is what the commands work with: checked, and complete.
type config struct {
	File        string // the configuration file, "" if there is none
	DatabaseURL string
	Embedded    bool
	DataDir     string
	Listen      string

	JWTSecretFile    string // "": the one in the data directory, unless there are public keys
	JWTPublicKeyFile string
	JWKSURL          string // not with a public key file
	JWTIssuer        string
	JWTAudience      string
	publicKeyOrigin  string // of the public key file or the URL

	RateLimit      float64        // requests per second and token; 0: no limit
	TrustedProxies []netip.Prefix // whose word about a client's address is taken

	PublicURL string         // where people find the dashboard, without a path; "": not said
	SignOn    *signon.Config // by whom they log in beside passwords; nil: nobody

	AllowPrivateTargets bool // of webhooks
	Keep                store.Retention
	Links               []linkConfig

	ephemeral bool // the embedded database goes when this process ends: demo --once
	demo      bool // the first user gets another one-time password at each start, until one was used

	databaseOrigin, listenOrigin, dataDirOrigin string
}

// linkConfig is one XMPP server.
type linkConfig struct {
	Name      string
	Addr      string
	Component string
	Secret    secret
	Driver    string
	Domains   []string // empty: all that say hello
	TLS       bool
}

// secret prints as [redacted].
type secret string

func (secret) String() string       { return "[redacted]" }
func (secret) GoString() string     { return "[redacted]" }
func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

const (
	defaultDataDir  = "./bindgate-data"
	defaultListen   = "127.0.0.1:8080"
	defaultXMPPAddr = "127.0.0.1:5347"
)

// The bounds of a rate limit that is one: a request in a hundred seconds, and more than any machine does.
const (
	minRate = 0.01
	maxRate = 1e9
)

// errNoDatabase is what commands that need a database say without one.
var errNoDatabase = errors.New("no database: set --database-url (BINDGATE_DATABASE_URL) to a PostgreSQL, or --embedded (BINDGATE_EMBEDDED=true) for a private one in the data directory")

// loadConfig reads and checks everything but the things themselves: no directory is made, nothing is connected.
func loadConfig(flags *settingFlags, getenv func(string) string) (config, error) {
	all, links, file, err := resolve(flags, getenv)
	if err != nil {
		return config{}, err
	}
	c := config{File: file}
	if c.Embedded, err = all.boolean("embedded"); err != nil {
		return config{}, err
	}
	if err := c.database(all); err != nil {
		return config{}, err
	}
	if c.DataDir, err = filepath.Abs(all.or("data_dir", defaultDataDir)); err != nil {
		return config{}, fmt.Errorf("data directory: %w", err)
	}
	c.dataDirOrigin = all.origin("data_dir")
	c.Listen, c.listenOrigin = all.or("listen", defaultListen), all.origin("listen")
	if err := all.address("listen", c.Listen); err != nil {
		return config{}, err
	}
	if err := c.publicKeys(all); err != nil {
		return config{}, err
	}
	c.JWTSecretFile, c.JWTIssuer, c.JWTAudience = all["jwt_secret_file"].value, all["jwt_issuer"].value, all["jwt_audience"].value
	if c.AllowPrivateTargets, err = all.boolean("allow_private_targets"); err != nil {
		return config{}, err
	}
	if s := all["rate_limit"]; s.value != "" {
		n, err := strconv.ParseFloat(s.value, 64)
		if err != nil || !(n == 0 || n >= minRate && n <= maxRate) {
			return config{}, s.errorf("%q is not a number of requests per second: 0 (no limit), or %v to %v", s.value, minRate, maxRate)
		}
		c.RateLimit = n
	}
	if s := all["trusted_proxies"]; s.value != "" {
		if c.TrustedProxies, err = parseNetworks(s.value); err != nil {
			return config{}, s.errorf("%w", err)
		}
	}
	if err := c.keep(all); err != nil {
		return config{}, err
	}
	if err := c.signOn(all); err != nil {
		return config{}, err
	}
	if err := c.links(all, links); err != nil {
		return config{}, err
	}
	return c, nil
}

// keep reads how long things are kept; what is not set is left to the gate.
func (c *config) keep(all settings) (err error) {
	for _, k := range []struct {
		name string
		kept *time.Duration
	}{
		{"keep_sessions", &c.Keep.Sessions}, {"keep_decisions", &c.Keep.Decisions}, {"keep_events", &c.Keep.Events}, {"keep_audit", &c.Keep.Audit}, {"keep_addresses", &c.Keep.Addresses},
	} {
		if *k.kept, err = all.days(k.name); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) database(all settings) error {
	s := all["database_url"]
	c.DatabaseURL, c.databaseOrigin = s.value, s.origin
	if e := all["embedded"]; c.Embedded && s.value != "" {
		if e.level == s.level {
			return fmt.Errorf("%s and %s exclude each other: keep one", s.origin, e.origin)
		}
		if e.level > s.level { // the nearer one wins, as with one setting
			c.DatabaseURL, c.databaseOrigin = "", ""
			return nil
		}
		c.Embedded = false
	}
	if s.value == "" {
		return nil
	}
	if _, err := pgxpool.ParseConfig(s.value); err != nil { // its text can hold the password
		return s.errorf("not a PostgreSQL address: it looks like postgres://user:password@host:5432/database, with what is not a letter or digit in the password percent-encoded")
	}
	return nil
}

// publicKeys takes the file or the URL, whichever was set nearer.
func (c *config) publicKeys(all settings) error {
	f, u := all["jwt_public_key_file"], all["jwks_url"]
	switch {
	case f.value != "" && u.value != "" && f.level == u.level:
		return fmt.Errorf("%s and %s exclude each other: keep one", f.origin, u.origin)
	case f.value != "" && (u.value == "" || f.level > u.level):
		c.JWTPublicKeyFile, c.publicKeyOrigin = f.value, f.origin
	case u.value != "":
		if err := keyring.CheckURL(u.value); err != nil {
			return u.errorf("%w", err)
		}
		c.JWKSURL, c.publicKeyOrigin = u.value, u.origin
	}
	return nil
}

// parseNetworks reads networks and addresses that are separated by commas or spaces.
func parseNetworks(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
			word = fmt.Sprintf("%s/%d", a.Unmap(), a.Unmap().BitLen())
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, fmt.Errorf("%q is neither a network nor an address: it looks like 10.0.0.0/8 or 2001:db8::1", word)
		}
		list = append(list, p.Masked())
	}
	return list, nil
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
		c.Links = append(c.Links, l)
	}
	return nil
}

func (t fileLink) link() (linkConfig, error) {
	l := linkConfig{Name: t.Name, Addr: t.Addr, Component: t.Component, Driver: t.Driver, Domains: t.Domains, TLS: t.TLS}
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
	for _, d := range l.Domains {
		if err := checkDomain(d); err != nil {
			return l, fmt.Errorf("domains: %w", err)
		}
	}
	if t.Connections != nil && *t.Connections != 1 {
		return l, fmt.Errorf("connections: %d: this build keeps one connection to each server", *t.Connections)
	}
	if t.APIURL != "" {
		if u, err := url.Parse(t.APIURL); err != nil || u.Host == "" {
			return l, fmt.Errorf("api_url: %q is not a URL", t.APIURL)
		}
		return l, errors.New("api_url: belongs to the ejabberd driver, which this build does not have: remove it")
	}
	if t.SecretFile == "" {
		return l, errors.New("secret_file: missing; it names the file with the component's secret")
	}
	sec, err := readSecret(t.SecretFile)
	if err != nil {
		return l, fmt.Errorf("secret_file: %w", err)
	}
	l.Secret = sec
	return l, nil
}

func (s settings) or(name, otherwise string) string {
	if v := s[name].value; v != "" {
		return v
	}
	return otherwise
}

// days reads how long something is kept; 0 if it is not set.
func (s settings) days(name string) (time.Duration, error) {
	v := s[name]
	if v.value == "" {
		return 0, nil
	}
	const longest = 36500 // a time before it is one that PostgreSQL and everyone's clocks know
	n, err := strconv.Atoi(v.value)
	if err != nil || n < 1 || n > longest {
		return 0, v.errorf("%q is not a number of days from 1 to %d", v.value, longest)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

func (s settings) origin(name string) string {
	if o := s[name].origin; o != "" {
		return o
	}
	return "--" + strings.ReplaceAll(name, "_", "-") // the default is in force: this flag changes it
}

func (s settings) boolean(name string) (bool, error) {
	v := s[name]
	if v.value == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v.value)
	if err != nil {
		return false, v.errorf("%q is neither true nor false", v.value)
	}
	return b, nil
}

func (s settings) address(name, addr string) error {
	if err := checkAddress(addr); err != nil {
		return fmt.Errorf("%s: %w", s.origin(name), err)
	}
	return nil
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

// readSecret reads a file with a secret on one line.
func readSecret(path string) (secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return secret(s), nil
}

func checkAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not an address: it looks like 127.0.0.1:8080", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q: the port %q is not a number from 0 to 65535", addr, port)
	}
	if strings.ContainsAny(host, "/ ") {
		return fmt.Errorf("%q is not an address: it looks like 127.0.0.1:8080, without http://", addr)
	}
	return nil
}

func checkDomain(domain string) error {
	if strings.ContainsAny(domain, "@/<>&'\" \t\r\n") || len(domain) > 1023 {
		return fmt.Errorf("%q is not a domain name: it looks like bindgate.example.org", domain)
	}
	return nil
}

func checkDriver(name string) error {
	switch name {
	case "gate":
		return nil
	case "ejabberd", "admin":
		return fmt.Errorf("the driver %s is not in this build: use gate, with our module in the XMPP server", name)
	}
	return fmt.Errorf("unknown driver %q: use gate", name)
}
