package ejabberd

import (
	"fmt"
	"strings"
)

// Config says how a private ejabberd is set up. The zero value is a server for "localhost".
type Config struct {
	// Ctl is the program that starts the server; empty: "ejabberdctl", looked up in PATH and in /usr/sbin.
	Ctl string
	// Dir holds configuration, database and log. Empty: a new temporary directory that Stop removes.
	Dir string
	// Domains are the virtual hosts; empty: "localhost".
	Domains []string
	// Component is the external component's JID; empty: "bindgate." and the first domain.
	Component string
	// Secret is the component's; empty: "secret".
	Secret string
}

func (c Config) withDefaults() Config {
	if len(c.Domains) == 0 {
		c.Domains = []string{"localhost"}
	}
	if c.Component == "" {
		c.Component = "bindgate." + c.Domains[0]
	}
	if c.Secret == "" {
		c.Secret = "secret"
	}
	return c
}

// ports of one server, all on 127.0.0.1.
type ports struct{ c2s, component, http, dist int }

// render writes ejabberd.yml. Whoever is on this machine may use the whole API. Any user is let in with any password: accounts are anonymous ones with a name of
// their choice, so nobody has to be registered.
func (c Config) render(p ports) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("hosts:")
	for _, d := range c.Domains {
		line("  - %q", d)
	}
	line("loglevel: warning")
	line("auth_method: [anonymous]")
	line("anonymous_protocol: login_anon")
	line("allow_multiple_connections: true")
	line("default_db: mnesia")
	line("acl: {loopback: {ip: [127.0.0.0/8]}}")
	line("access_rules: {everybody: {allow: all}}")
	line("shaper_rules: {max_user_sessions: infinity}")
	line(`api_permissions: {"test": {from: [mod_http_api], who: {access: {allow: [{acl: loopback}]}}, what: "*"}}`)
	line("listen:")
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_c2s, access: everybody, backlog: 1000}`, p.c2s)
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_http, backlog: 1000, request_handlers: {/api: mod_http_api}}`, p.http)
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_service, hosts: {%q: {password: %q}}}`, p.component, c.Component, c.Secret)
	line("modules:")
	line("  mod_adhoc: {}")
	line("  mod_admin_extra: {}")
	line("  mod_disco: {}")
	line("  mod_ping: {}")
	line("  mod_stream_mgmt: {}")
	return b.String()
}
