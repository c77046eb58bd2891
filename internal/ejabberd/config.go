package ejabberd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Backport is where deploy/setup.sh unpacks the ejabberd of Debian's backports, as a newer version to test on.
const Backport = "/var/tmp/bindgate-ejabberd-24.12"

// Config says how a private ejabberd is set up. The zero value is a server for "localhost" with nothing of ours.
type Config struct {
	// Root is where Debian's packages of another version were unpacked; empty: the installed ejabberd.
	Root string
	// Dir holds configuration, database and log. Empty: a new temporary directory that Stop removes.
	Dir string
	// Hosts are the virtual hosts; empty: "localhost". AddHost adds others while the server runs.
	Hosts []Host
	// Secret is that of every component, or, with Others, of those of Hosts; empty: "secret".
	Secret string
	// Others are further components of the same listener, by their names, each with a password of its own. With any, the listener takes no component but these and those
	// of Hosts, and ejabberd lets each of them write as any other.
	Others map[string]string
	// LogLevel is ejabberd's: "debug", "info", "warning" (default), "error".
	LogLevel string
	// Bare leaves mod_bindgate out of what the server finds: a test installs it.
	Bare bool
	// Accounts takes registered users only, by their passwords; else anybody is let in.
	Accounts bool
	// API is the value of api_permissions, in YAML; empty: whoever is on this machine may call everything.
	API string
	// SASL2 lets clients authenticate by XEP-0388 without TLS; for 24.02 and newer.
	SASL2 bool
	// Lines are further lines of the configuration's top level.
	Lines string
	// Spinning leaves the schedulers as the distribution's are, for measurements: they spin while they wait for work.
	Spinning bool
}

// Host is one virtual host.
type Host struct {
	// Domain is its name; empty: "localhost".
	Domain string
	// Gate loads mod_bindgate, and what tests need beside it.
	Gate bool
	// Component is the JID of its external component; empty: "bindgate." and the domain.
	Component string
	// Timeout and OnFailure ("allow" or "deny") are the module's options; zero: its own defaults.
	Timeout   time.Duration
	OnFailure string
	// Late loads a module that has its say after the gate's, see kit/mod_bindgate_late.erl.
	Late bool
	// BOSHInactivity ends a BOSH session without requests; 0: ejabberd's default, 30 seconds.
	BOSHInactivity time.Duration
	// Modules are further modules, lines as under host_config, modules.
	Modules string
}

// Administer is what Host.Modules needs for the component to administer the host (XEP-0133), if its name begins with "bindgate.".
const Administer = "mod_configure: {}"

// SeePresence is what Host.Modules needs for the component to see the presence of the host's users (XEP-0356).
const SeePresence = "mod_privilege: {presence: {managed_entity: everybody}}"

func (c Config) withDefaults() Config {
	if len(c.Hosts) == 0 {
		c.Hosts = []Host{{}}
	}
	for i := range c.Hosts {
		c.Hosts[i] = c.Hosts[i].withDefaults()
	}
	if c.Secret == "" {
		c.Secret = "secret"
	}
	if c.LogLevel == "" {
		c.LogLevel = "warning"
	}
	return c
}

func (h Host) withDefaults() Host {
	if h.Domain == "" {
		h.Domain = "localhost"
	}
	if h.Component == "" {
		h.Component = "bindgate." + h.Domain
	}
	return h
}

// ports of one server, all on 127.0.0.1.
type ports struct{ c2s, component, http int }

// render writes ejabberd.yml. Any user is let in with any password: accounts are anonymous ones with a name of
// their choice, so nobody has to be registered. Any component is taken that knows the secret, if there are no Others.
func (c Config) render(p ports) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("hosts:")
	for _, h := range c.Hosts {
		line("  - %q", h.Domain)
	}
	line("loglevel: %s", c.LogLevel)
	if c.Accounts {
		line("auth_method: [internal]")
	} else {
		line("auth_method: [anonymous]")
		line("anonymous_protocol: login_anon")
	}
	line("allow_multiple_connections: true")
	line("default_db: mnesia")
	line(`acl: {loopback: {ip: [127.0.0.0/8]}, bindgate: {server_regexp: "^bindgate[.]"}}`)
	line("access_rules: {everybody: {allow: all}, configure: {allow: bindgate}}")
	line("shaper_rules: {max_user_sessions: infinity}")
	line("api_permissions: %s", cmp.Or(c.API, `{"test": {from: [mod_http_api], who: {access: {allow: [{acl: loopback}]}}, what: "*"}}`))
	line("listen:")
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_c2s, access: everybody, backlog: 1000%s}`, p.c2s, map[bool]string{true: ", allow_unencrypted_sasl2: true"}[c.SASL2])
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_http, backlog: 1000, request_handlers: {/api: mod_http_api, /kit: mod_bindgate_kit, /xmpp-websocket: ejabberd_http_ws, /http-bind: mod_bosh}}`, p.http)
	line(`  - {port: %d, ip: "127.0.0.1", module: ejabberd_service, global_routes: false, %s}`, p.component, c.components())
	b.WriteString(c.Lines)
	line("modules:")
	line("  mod_adhoc: {}")
	line("  mod_admin_extra: {}")
	line("  mod_disco: {}")
	line("  mod_ping: {}")
	line("  mod_roster: {}")
	line("  mod_stream_mgmt: {}")
	line("append_host_config:")
	for _, h := range c.Hosts {
		line("  %q:", h.Domain)
		line("    modules:")
		if h.Gate {
			line("      mod_bindgate_kit: {}")
			if h.Late {
				line("      mod_bindgate_late: {}")
			}
			line("      mod_bindgate:")
			line("        component: %q", h.Component)
			if h.Timeout > 0 {
				line("        timeout: %q", fmt.Sprint(h.Timeout.Milliseconds(), " ms"))
			}
			if h.OnFailure != "" {
				line("        on_failure: %s", h.OnFailure)
			}
		}
		for _, m := range strings.Split(strings.TrimSpace(h.Modules), "\n") {
			line("      %s", m)
		}
		line("      mod_bosh: {max_inactivity: %q}", fmt.Sprint(cmp.Or(h.BOSHInactivity, 30*time.Second).Milliseconds(), " ms"))
	}
	return b.String()
}

// components is who may connect to the listener of components, and by what password.
func (c Config) components() string {
	if len(c.Others) == 0 {
		return fmt.Sprintf("password: %q", c.Secret)
	}
	all := maps.Clone(c.Others)
	for _, h := range c.Hosts {
		all[h.Component] = c.Secret
	}
	var hosts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		hosts = append(hosts, fmt.Sprintf("%q: {password: %q}", name, all[name]))
	}
	return "hosts: {" + strings.Join(hosts, ", ") + "}"
}
