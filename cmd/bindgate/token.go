package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/api"
)

type tokenCmd struct {
	Scope   string        `required:"" placeholder:"SCOPES" help:"What the token may do, separated by spaces: sessions:read, sessions:kick, rules:read, rules:write, devices:write, webhooks:write, admin."`
	Subject string        `default:"cli" placeholder:"NAME" help:"Who it is for; it appears in records of what was done."`
	Domains string        `placeholder:"DOMAINS" help:"Limits it to these XMPP domains, separated by spaces or commas."`
	TTL     time.Duration `name:"ttl" default:"1h" placeholder:"DURATION" help:"How long it is valid, such as 15m or 24h."`
}

// Run prints a token signed with the first secret that serve with the same settings checks against.
func (t *tokenCmd) Run(e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	granted := strings.Fields(t.Scope)
	if len(granted) == 0 {
		return fmt.Errorf("--scope: empty; the scopes are %s", strings.Join(api.Scopes(), ", "))
	}
	for _, s := range granted {
		if !slices.Contains(api.Scopes(), s) {
			return fmt.Errorf("--scope: there is no scope %q; the scopes are %s", s, strings.Join(api.Scopes(), ", "))
		}
	}
	if t.TTL < time.Second {
		return fmt.Errorf("--ttl: %s is too short: one second at least, such as 1h", t.TTL)
	}
	claims := api.Claims{Subject: t.Subject, Scopes: granted, TTL: t.TTL}
	for _, d := range strings.FieldsFunc(t.Domains, func(r rune) bool { return r == ',' || r == ' ' }) {
		if err := checkDomain(d); err != nil {
			return fmt.Errorf("--domains: %w", err)
		}
		claims.Domains = append(claims.Domains, d)
	}
	known, err := cfg.knownSecrets()
	if err != nil {
		return err
	}
	key, err := cfg.signingSecret()
	if err != nil {
		return err
	}
	if len(known) == 0 {
		fmt.Fprintf(e.stderr, "note: there was no secret yet in %s, so one was made: only a server with the same --data-dir takes this token\n", cfg.secretFile())
	}
	signed, err := cfg.mint(key, claims)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, signed)
	return nil
}

// mint signs a token that this configuration's server accepts.
func (c *config) mint(key secret, claims api.Claims) (string, error) {
	claims.Issuer, claims.Audience = c.JWTIssuer, c.JWTAudience
	return api.Mint(api.Secret(key), claims)
}
