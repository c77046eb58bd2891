package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// prosodyConfig is where Prosody's configuration is on Debian and its kin.
const prosodyConfig = "/etc/prosody/prosody.cfg.lua"

// maxIncluded bounds the files of a configuration that are read.
const maxIncluded = 100

var (
	luaInclude   = luaCall("Include")
	luaComponent = luaCall("Component")
	luaHost      = luaCall("VirtualHost")
	luaModule    = regexp.MustCompile(`(?m)^[^-\n]*["']bindgate["']`)
	luaTells     = regexp.MustCompile(`(?m)^[^-\n]*\bbindgate_component\s*=\s*["']([^"'\n]+)["']`)
	luaKickOld   = regexp.MustCompile(`(?m)^[^-\n]*\bcomponent_conflict_resolve\s*=\s*["']kick_old["']`)
	luaNoNagle   = regexp.MustCompile(`(?m)^[^-\n]*\bnagle\s*=\s*false`)
)

// luaCall finds the names that a function of the configuration is called with, outside of comments.
func luaCall(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*` + name + `\s*\(?\s*["']([^"'\n]+)["']`)
}

func called(call *regexp.Regexp, text string) (names []string) {
	for _, m := range call.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// prosody looks at a Prosody's configuration on this machine for what bindgate asks for. It says nothing of one that cannot be read, or that has none of
// the components of our links to this machine: that is not the server in use, or the link itself tells what is missing.
func (r *report) prosody(cfg *config, main string) {
	text := luaText(main)
	declared := called(luaComponent, text)
	for _, l := range cfg.Links {
		if !isLocal(l.Addr) || !slices.Contains(declared, l.Component) || driverOf(l) != nil { // what is asked for is for the module
			continue
		}
		where := fmt.Sprintf("%s, which has the component %s", main, l.Component)
		hints := prosodyHints(text, l.Component)
		for _, say := range hints {
			r.warn("prosody", "%s: %s", where, say)
		}
		if len(hints) == 0 {
			r.ok("prosody", "%s, has what bindgate asks for", where)
		}
	}
}

// prosodyHints says what a configuration lacks for a component.
func prosodyHints(text, component string) (hints []string) {
	byDefault := slices.ContainsFunc(called(luaHost, text), func(host string) bool { return "bindgate."+host == component })
	if !luaModule.MatchString(text) {
		hints = append(hints, `the module "bindgate" is not in modules_enabled: no host asks`)
	} else if !byDefault && !slices.Contains(called(luaTells, text), component) {
		hints = append(hints, fmt.Sprintf("no bindgate_component = %q: the hosts ask another component", component))
	}
	if !luaKickOld.MatchString(text) {
		hints = append(hints, `no component_conflict_resolve = "kick_old": after a broken connection the next one is refused until Prosody notices`)
	}
	if !luaNoNagle.MatchString(text) {
		hints = append(hints, "no network_settings = { nagle = false }: each login takes about 40 ms longer")
	}
	return hints
}

// luaText is a configuration with all that it includes; what cannot be read is left out.
func luaText(main string) string {
	var out strings.Builder
	files := []string{main}
	for i := 0; i < len(files) && i < maxIncluded; i++ {
		text, err := os.ReadFile(files[i])
		if err != nil {
			continue
		}
		out.Write(text)
		out.WriteByte('\n')
		for _, pattern := range called(luaInclude, string(text)) {
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(main), pattern)
			}
			more, _ := filepath.Glob(pattern) // a pattern that is none names no file
			for _, f := range more {
				if !slices.Contains(files, f) {
					files = append(files, f)
				}
			}
		}
	}
	return out.String()
}

// isLocal reports whether an address of the configuration is this machine's.
func isLocal(addr string) bool {
	host, _, _ := net.SplitHostPort(addr) // checked with the configuration
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
