package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// settingFlags are the flags that every command takes. Each can be set by environment and in the configuration file too; a flag
// beats the environment, which beats the file, which beats the default. Values are kept as text: what is wrong with one is
// said with the name of the place where it was set.
type settingFlags struct {
	Config              *string `placeholder:"FILE" help:"TOML file with these settings (with _ for -) and [[link]] tables ($$BINDGATE_CONFIG)."`
	DatabaseURL         *string `name:"database-url" placeholder:"URL" help:"PostgreSQL to use ($$BINDGATE_DATABASE_URL)."`
	Embedded            *bool   `help:"Run a private PostgreSQL in the data directory instead ($$BINDGATE_EMBEDDED)."`
	DataDir             *string `placeholder:"DIR" help:"Directory for the secret that bindgate makes and for the embedded database; ./bindgate-data unless set ($$BINDGATE_DATA_DIR)."`
	Listen              *string `placeholder:"ADDR" help:"Address of the HTTP server; 127.0.0.1:8080 unless set ($$BINDGATE_LISTEN)."`
	JWTSecretFile       *string `name:"jwt-secret-file" placeholder:"FILE" help:"Secrets of HS256 tokens, one a line; made in the data directory unless set, or public keys are ($$BINDGATE_JWT_SECRET_FILE)."`
	JWTPublicKeyFile    *string `name:"jwt-public-key-file" placeholder:"FILE" help:"Public keys of RS256, ES256 and EdDSA tokens, in PEM ($$BINDGATE_JWT_PUBLIC_KEY_FILE)."`
	JWKSURL             *string `name:"jwks-url" placeholder:"URL" help:"JWK Set with such keys, instead ($$BINDGATE_JWKS_URL)."`
	JWTIssuer           *string `name:"jwt-issuer" placeholder:"ISS" help:"Only tokens of this issuer ($$BINDGATE_JWT_ISSUER)."`
	JWTAudience         *string `name:"jwt-audience" placeholder:"AUD" help:"Only tokens for this audience ($$BINDGATE_JWT_AUDIENCE)."`
	AllowPrivateTargets *bool   `help:"Let webhooks go to private addresses ($$BINDGATE_ALLOW_PRIVATE_TARGETS)."`
	RateLimit           *string `placeholder:"N" help:"Requests per second and token; 0, the default, is no limit ($$BINDGATE_RATE_LIMIT)."`
	KeepSessions        *string `placeholder:"DAYS" help:"How long ended sessions and kicks are kept; 90 unless set ($$BINDGATE_KEEP_SESSIONS)."`
	KeepDecisions       *string `placeholder:"DAYS" help:"How long decisions are kept; 90 unless set ($$BINDGATE_KEEP_DECISIONS)."`
	KeepEvents          *string `placeholder:"DAYS" help:"How long the event log is kept, not longer than addresses; 30 unless set ($$BINDGATE_KEEP_EVENTS)."`
	KeepAudit           *string `placeholder:"DAYS" help:"How long the audit is kept; 365 unless set ($$BINDGATE_KEEP_AUDIT)."`
	KeepAddresses       *string `placeholder:"DAYS" help:"After how long addresses are blanked in what is kept longer; 30 unless set ($$BINDGATE_KEEP_ADDRESSES)."`
	TrustedProxies      *string `placeholder:"CIDRS" help:"Proxies that tell the client's address in X-Forwarded-For or Forwarded, separated by commas; none unless set ($$BINDGATE_TRUSTED_PROXIES)."`
	PublicURL           *string `name:"public-url" placeholder:"URL" help:"Where people find the dashboard, such as https://bindgate.example.org: with https its cookies are for https alone; needed for OpenID Connect ($$BINDGATE_PUBLIC_URL)."`
	OIDCIssuer          *string `name:"oidc-issuer" placeholder:"URL" help:"Provider of OpenID Connect by which people log in to the dashboard; none unless set ($$BINDGATE_OIDC_ISSUER)."`
	OIDCClientID        *string `name:"oidc-client-id" placeholder:"ID" help:"How the provider knows this bindgate ($$BINDGATE_OIDC_CLIENT_ID)."`
	OIDCClientSecret    *string `name:"oidc-client-secret-file" placeholder:"FILE" help:"File with the client's secret, if it has one ($$BINDGATE_OIDC_CLIENT_SECRET_FILE)."`
	OIDCScopes          *string `name:"oidc-scopes" placeholder:"SCOPES" help:"What the provider is asked for beside openid; profile email unless set ($$BINDGATE_OIDC_SCOPES)."`
	OIDCRoleClaim       *string `name:"oidc-role-claim" placeholder:"CLAIM" help:"Claim that names somebody's groups; groups unless set ($$BINDGATE_OIDC_ROLE_CLAIM)."`
	OIDCRoles           *string `name:"oidc-roles" placeholder:"GROUP=ROLE" help:"Role of each group, such as ops=admin,helpdesk=support; * is everybody ($$BINDGATE_OIDC_ROLES)."`
	OIDCDomainsClaim    *string `name:"oidc-domains-claim" placeholder:"CLAIM" help:"Claim that names the XMPP domains that somebody is limited to; nobody is unless set ($$BINDGATE_OIDC_DOMAINS_CLAIM)."`
	XMPPAddr            *string `name:"xmpp-addr" placeholder:"ADDR" help:"Component port of the XMPP server; 127.0.0.1:5347 unless set ($$BINDGATE_XMPP_ADDR)."`
	XMPPComponent       *string `name:"xmpp-component" placeholder:"DOMAIN" help:"Name of the component; no link unless set ($$BINDGATE_XMPP_COMPONENT)."`
	XMPPSecretFile      *string `name:"xmpp-secret-file" placeholder:"FILE" help:"File with the component's secret ($$BINDGATE_XMPP_SECRET_FILE)."`
	XMPPSecret          *string `name:"xmpp-secret" placeholder:"SECRET" help:"The component's secret; other users of the machine can read it in the process list ($$BINDGATE_XMPP_SECRET)."`
	XMPPDriver          *string `name:"xmpp-driver" placeholder:"NAME" help:"How to talk to the server: gate, by our module in it, unless set; ejabberd, by its HTTP API, or admin, by ad-hoc commands ($$BINDGATE_XMPP_DRIVER)."`
	XMPPAPIURL          *string `name:"xmpp-api-url" placeholder:"URL" help:"HTTP API of driver ejabberd, such as http://127.0.0.1:5280/api ($$BINDGATE_XMPP_API_URL)."`
}

func (f *settingFlags) texts() map[string]*string {
	return map[string]*string{
		"database_url": f.DatabaseURL, "data_dir": f.DataDir, "listen": f.Listen,
		"embedded": boolText(f.Embedded), "allow_private_targets": boolText(f.AllowPrivateTargets),
		"jwt_secret_file": f.JWTSecretFile, "jwt_public_key_file": f.JWTPublicKeyFile, "jwks_url": f.JWKSURL,
		"jwt_issuer": f.JWTIssuer, "jwt_audience": f.JWTAudience, "rate_limit": f.RateLimit, "trusted_proxies": f.TrustedProxies,
		"keep_sessions": f.KeepSessions, "keep_decisions": f.KeepDecisions, "keep_events": f.KeepEvents, "keep_audit": f.KeepAudit, "keep_addresses": f.KeepAddresses,
		"public_url": f.PublicURL, "oidc_issuer": f.OIDCIssuer, "oidc_client_id": f.OIDCClientID, "oidc_client_secret_file": f.OIDCClientSecret, "oidc_scopes": f.OIDCScopes,
		"oidc_role_claim": f.OIDCRoleClaim, "oidc_roles": f.OIDCRoles, "oidc_domains_claim": f.OIDCDomainsClaim,
		"xmpp_addr": f.XMPPAddr, "xmpp_component": f.XMPPComponent, "xmpp_secret_file": f.XMPPSecretFile,
		"xmpp_secret": f.XMPPSecret, "xmpp_driver": f.XMPPDriver, "xmpp_api_url": f.XMPPAPIURL,
	}
}

func boolText(b *bool) *string {
	if b == nil {
		return nil
	}
	return new(fmt.Sprint(*b))
}

// setting is one value and where it was set.
type setting struct {
	value  string
	origin string // "--listen", "BINDGATE_LISTEN", "listen in bindgate.toml"; "" if it is the default
	level  int    // 3 flag, 2 environment, 1 file, 0 not set
}

// errorf says what is wrong with the setting and names the place where it was set.
func (s setting) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", s.origin, fmt.Errorf(format, args...))
}

// settings are all values by their name in the file.
type settings map[string]setting

// fileLink is a [[link]] table.
type fileLink struct {
	Name        string   `toml:"name"`
	Addr        string   `toml:"addr"`
	Component   string   `toml:"component"`
	SecretFile  string   `toml:"secret_file"`
	Driver      string   `toml:"driver"`
	Domains     []string `toml:"domains"`
	TLS         bool     `toml:"tls"`
	Connections *int     `toml:"connections"`
	APIURL      string   `toml:"api_url"`

	SelfTest *fileSelfTest `toml:"self_test"`
}

// resolve merges flags, environment and file.
func resolve(flags *settingFlags, getenv func(string) string) (settings, []fileLink, string, error) {
	file := setting{value: getenv("BINDGATE_CONFIG"), origin: "BINDGATE_CONFIG"}
	if flags.Config != nil {
		file = setting{value: *flags.Config, origin: "--config"}
	}
	all := settings{}
	texts := flags.texts()
	var links []fileLink
	if file.value != "" {
		var err error
		if links, err = readFile(file, texts, all); err != nil {
			return nil, nil, "", err
		}
	}
	for name, flag := range texts {
		env := "BINDGATE_" + strings.ToUpper(name)
		if v := getenv(env); v != "" {
			all[name] = setting{value: v, origin: env, level: 2}
		}
		if flag != nil {
			all[name] = setting{value: *flag, origin: "--" + strings.ReplaceAll(name, "_", "-"), level: 3}
		}
	}
	return all, links, file.value, nil
}

// readFile adds what the TOML file sets. Every key must be known.
func readFile(file setting, known map[string]*string, all settings) ([]fileLink, error) {
	text, err := os.ReadFile(file.value)
	if err != nil {
		return nil, file.errorf("configuration file: %w", err)
	}
	var body map[string]any
	if _, err := toml.Decode(string(text), &body); err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, fmt.Errorf("%s: line %d: %s", file.value, pe.Position.Line, pe.Message)
		}
		return nil, fmt.Errorf("%s: %w", file.value, err)
	}
	for name, v := range body {
		if name == "link" {
			if _, ok := v.([]map[string]any); !ok {
				return nil, fmt.Errorf("link in %s: must be a table in double brackets, [[link]], not %s", file.value, kind(v))
			}
			continue
		}
		origin := name + " in " + file.value
		if _, ok := known[name]; !ok {
			return nil, fmt.Errorf("%s: unknown key; known are %s and [[link]]", origin, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		text, err := scalarText(name, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", origin, err)
		}
		all[name] = setting{value: text, origin: origin, level: 1}
	}
	var tables struct {
		Link []fileLink `toml:"link"`
	}
	meta, err := toml.Decode(string(text), &tables)
	if err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, fmt.Errorf("%s: line %d: %s", file.value, pe.Position.Line, pe.Message)
		}
		return nil, fmt.Errorf("%s: [[link]]: %w", file.value, err)
	}
	for _, key := range meta.Undecoded() {
		if key[0] == "link" {
			return nil, fmt.Errorf("%s in %s: unknown key; a [[link]] has name, addr, component, secret_file, driver, domains, tls, connections, api_url, and a table [link.self_test] with jid, password_file, addr, tls", key, file.value)
		}
	}
	return tables.Link, nil
}

// scalarText is a value of the file as a flag would have it; the type must fit the setting.
func scalarText(name string, v any) (string, error) {
	switch name {
	case "embedded", "allow_private_targets":
		if b, ok := v.(bool); ok {
			return fmt.Sprint(b), nil
		}
		return "", fmt.Errorf("must be true or false without quotes, not %s", kind(v))
	case "rate_limit", "keep_sessions", "keep_decisions", "keep_events", "keep_audit", "keep_addresses":
		switch v.(type) {
		case int64, float64:
			return fmt.Sprint(v), nil
		}
		return "", fmt.Errorf("must be a number without quotes, not %s", kind(v))
	case "oidc_roles":
		if table, ok := v.(map[string]any); ok {
			return rolesText(table)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", fmt.Errorf("must be a string in quotes, not %s", kind(v))
}

func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "a list"
	}
	return "a date"
}
