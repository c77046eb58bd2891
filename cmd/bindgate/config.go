package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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
