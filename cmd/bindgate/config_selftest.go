package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/internal/selftest"
)

// fileSelfTest is a table [link.self_test]: a throw-away account by which the link is tried.
type fileSelfTest struct {
	JID          string `toml:"jid"`
	PasswordFile string `toml:"password_file"`
	Addr         string `toml:"addr"`
	TLS          string `toml:"tls"`
}

const defaultClientAddr = "127.0.0.1:5222"

func (t fileSelfTest) config(l linkConfig) (*selftest.Config, error) {
	if t.JID == "" {
		return nil, errors.New("jid: missing; it is the account that logs in and is kicked, such as bindgate-test@example.org, and nobody else's")
	}
	account, err := jid.ParseAccount(t.JID)
	if err != nil {
		return nil, fmt.Errorf("jid: %w", err)
	}
	if domains := l.domains(); domains != nil && !slices.Contains(domains, account.Domain) {
		return nil, fmt.Errorf("jid: %s is on %s, and the link serves %s", t.JID, account.Domain, strings.Join(domains, ", "))
	}
	c := &selftest.Config{User: account.Local, Domain: account.Domain, Addr: cmp.Or(t.Addr, defaultClientAddr), Encryption: selftest.Encryption(cmp.Or(t.TLS, string(selftest.StartTLS)))}
	if err := checkAddress(c.Addr); err != nil {
		return nil, fmt.Errorf("addr: %w", err)
	}
	switch c.Encryption {
	case selftest.StartTLS, selftest.Direct:
	case selftest.None:
		if !selftest.Local(c.Addr) {
			return nil, fmt.Errorf("tls: \"none\" would send the password in plain to %s: it is for this machine's own addresses", c.Addr)
		}
	default:
		return nil, fmt.Errorf("tls: %q is none of \"starttls\", \"direct\", \"none\"", t.TLS)
	}
	if t.PasswordFile == "" {
		return nil, errors.New("password_file: missing; it names the file with the account's password")
	}
	password, err := readSecret(t.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	c.Password = string(password)
	return c, nil
}
