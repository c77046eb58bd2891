package prosody

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Backport is the Prosody of Debian's backports, where deploy/setup.sh unpacks it, as a newer version to test on.
const Backport = "/var/tmp/bindgate-prosody-13.0/usr/bin/prosody"

// Config says how a private Prosody is set up. The zero value is a server for "localhost" with the gate module loaded.
type Config struct {
	// Binary is the server's program; empty: "prosody", looked up in PATH.
	Binary string
	// Dir holds configuration, data and log. Empty: a new temporary directory that Stop removes.
	Dir string
	// Domains are the virtual hosts; empty: "localhost". The first is HTTP's default host.
	Domains []string
	// Component is the external component's JID; empty: "bindgate." and the first domain.
	Component string
	// Secret is the component's; empty: "secret".
	Secret string
	// WithoutGate leaves mod_bindgate out; Bare are the virtual hosts that it alone is left out of.
	WithoutGate bool
	Bare        []string
	// Components are further external components, with the same secret.
	Components []string
	// PluginPath, if set, is copied over the embedded gate module: a directory of mod_*.lua files.
	PluginPath string
	// Modules are loaded on every virtual host besides the usual ones.
	Modules []string
	// Timeout is bindgate_timeout; 0: the module's default.
	Timeout time.Duration
	// OnFailure is bindgate_on_failure: "allow" or "deny"; empty: the module's default.
	OnFailure string
	// Nagle leaves Nagle's algorithm on, as a stock Prosody does.
	Nagle bool
	// LogLevel is Prosody's: "debug", "info" (default), "warn", "error".
	LogLevel string
	// Global and Host are further configuration lines, for the global section and for each virtual host.
	Global, Host string
}

func (c Config) withDefaults() Config {
	if c.Binary == "" {
		c.Binary = "prosody"
	}
	if len(c.Domains) == 0 {
		c.Domains = []string{"localhost"}
	}
	if c.Component == "" {
		c.Component = "bindgate." + c.Domains[0]
	}
	if c.Secret == "" {
		c.Secret = "secret"
	}
	if c.LogLevel == "" {
		c.LogLevel = "info"
	}
	return c
}

// ports of one server, all on 127.0.0.1.
type ports struct{ c2s, component, http int }

// render writes prosody.cfg.lua. Sessions and accounts live in memory; only the gate module's own store is kept on disk.
func (c Config) render(dir, word string, p ports, asRoot bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("data_path = %s", quote(dir+"/data"))
	line("pidfile = %s", quote(dir+"/prosody.pid"))
	line("daemonize = false")
	if asRoot {
		line("run_as_root = true")
	}
	line("log = { %s = %s }", c.LogLevel, quote(dir+"/prosody.log"))
	line("plugin_paths = { %s }", quote(dir+"/plugins"))
	line(`interfaces = { "127.0.0.1" }; local_interfaces = { "127.0.0.1" }; component_interfaces = { "127.0.0.1" }; http_interfaces = { "127.0.0.1" }`)
	line("c2s_ports = { %d }; component_ports = { %d }; http_ports = { %d }", p.c2s, p.component, p.http)
	line("https_ports = {}; s2s_ports = {}; c2s_direct_tls_ports = {}; legacy_ssl_ports = {}; s2s_direct_tls_ports = {}")
	line("http_default_host = %s", quote(c.Domains[0]))
	line("network_backend = \"epoll\"")
	line("network_settings = { nagle = %t }", c.Nagle)
	line(`modules_enabled = { "saslauth"; "roster"; "smacks"; "ping"; "disco"; "websocket"; "bosh"; "kit_control"; "kit_client_id" }`)
	line(`modules_disabled = { "s2s"; "offline"; "s2s_auth_certs"; "tls" }`)
	line(`storage = { default = "memory"; bindgate = "internal"; account_roles = "memory" }`)
	line(`authentication = "insecure"; insecure_open_authentication = "Yes please, I know what I'm doing!"`)
	line("c2s_require_encryption = false; allow_unencrypted_plain_auth = true")
	line("consider_websocket_secure = true; consider_bosh_secure = true")
	line("component_conflict_resolve = \"kick_old\"")
	line("kit_control_word = %s; kit_control_ready = %s", quote(word), quote(dir+"/ready"))
	line("limits = {}")
	b.WriteString(c.Global + "\n")
	for _, d := range c.Domains {
		mods := c.Modules
		if !c.WithoutGate && !slices.Contains(c.Bare, d) {
			mods = append([]string{"bindgate"}, mods...)
		}
		line("VirtualHost %s", quote(d))
		if len(mods) > 0 {
			quoted := make([]string, len(mods))
			for i, m := range mods {
				quoted[i] = quote(m)
			}
			line("  modules_enabled = { %s }", strings.Join(quoted, "; "))
		}
		line("  bindgate_component = %s", quote(c.Component))
		if c.Timeout > 0 {
			line("  bindgate_timeout = %s", strconv.FormatFloat(c.Timeout.Seconds(), 'f', -1, 64))
		}
		if c.OnFailure != "" {
			line("  bindgate_on_failure = %s", quote(c.OnFailure))
		}
		b.WriteString(c.Host + "\n")
	}
	for _, name := range append([]string{c.Component}, c.Components...) {
		line("Component %s", quote(name))
		line("  component_secret = %s", quote(c.Secret))
	}
	return b.String()
}

// quote writes a Lua string literal.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
