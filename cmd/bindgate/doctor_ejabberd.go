package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bindgate/bindgate/xmppbridge"
)

// ejabberdConfig is where ejabberd's configuration is on Debian and its kin.
const ejabberdConfig = "/etc/ejabberd/ejabberd.yml"

// enoughBacklog is how many clients may wait to be taken, for all to come back at once after a restart; ejabberd's own default is 5.
const enoughBacklog = 128

// ejabberdYML is what doctor reads of ejabberd.yml.
type ejabberdYML struct {
	Hosts            []string                `yaml:"hosts"`
	Listen           []ejabberdListener      `yaml:"listen"`
	Modules          ejabberdModules         `yaml:"modules"`
	HostConfig       map[string]ejabberdHost `yaml:"host_config"`
	AppendHostConfig map[string]ejabberdHost `yaml:"append_host_config"`
	ResourceConflict string                  `yaml:"resource_conflict"`
	ShaperRules      struct {
		MaxUserSessions any `yaml:"max_user_sessions"`
	} `yaml:"shaper_rules"`
	Includes any `yaml:"include_config_file"`
}

type ejabberdListener struct {
	Module   string `yaml:"module"`
	Port     any    `yaml:"port"` // a number, or the path of a socket
	Backlog  any    `yaml:"backlog"`
	Password any    `yaml:"password"` // a number is one too
	Hosts    map[string]struct {
		Password any `yaml:"password"`
	} `yaml:"hosts"`
}

type ejabberdHost struct {
	Modules ejabberdModules `yaml:"modules"`
}

// ejabberdModules are the options of modules by their names.
type ejabberdModules map[string]yaml.Node

// ejabberd looks at an ejabberd's configuration on this machine for what bindgate asks for, as prosody does.
func (r *report) ejabberd(cfg *config, main string) {
	text, err := os.ReadFile(main)
	if err != nil {
		return // there is none, or it is not ours to read
	}
	var yml ejabberdYML
	if err := yaml.Unmarshal(text, &yml); err != nil {
		return // ejabberd says so itself, and better
	}
	for _, l := range cfg.Links {
		if !isLocal(l.Addr) || len(yml.takers(l.Component)) == 0 {
			continue
		}
		where := fmt.Sprintf("%s, which has the component %s", main, l.Component)
		if yml.Includes != nil {
			r.ok("ejabberd", "%s, includes other files, which are not looked at", where)
			continue
		}
		hints := yml.hints(l)
		for _, say := range hints {
			r.warn("ejabberd", "%s: %s", where, say)
		}
		if len(hints) == 0 {
			r.ok("ejabberd", "%s, has what bindgate asks for", where)
		}
	}
}

// takers are the listeners that name a component.
func (y *ejabberdYML) takers(component string) (list []ejabberdListener) {
	for _, l := range y.Listen {
		if _, ok := l.Hosts[component]; l.Module == "ejabberd_service" && ok {
			list = append(list, l)
		}
	}
	return list
}

// hints says what a configuration lacks for a link.
func (y *ejabberdYML) hints(l linkConfig) (hints []string) {
	hint := func(format string, args ...any) { hints = append(hints, fmt.Sprintf(format, args...)) }
	takers := y.takers(l.Component)
	if len(takers) > 1 {
		hint("%d listeners name it: a second connection, by any of them, ends the first; keep one", len(takers))
	}
	_, port, _ := net.SplitHostPort(l.Addr) // checked with the configuration
	taker := takers[0]
	for _, t := range takers {
		if fmt.Sprint(t.Port) == port {
			taker = t
		}
	}
	if fmt.Sprint(taker.Port) != port {
		hint("its listener is on port %v, and the link %s connects to %s: set the link's address", taker.Port, l.Name, l.Addr)
	}
	if password := taker.Hosts[l.Component].Password; fmt.Sprint(password) != string(l.Secret) {
		hint("its password there is another than the link's secret: the connection is refused")
	}
	if l.Driver == xmppbridge.DriverGate {
		hints = append(hints, y.moduleHints(l)...)
		switch y.ResourceConflict {
		case "", "acceptnew", "closeold":
		default:
			hint("resource_conflict: %s decides about a taken resource before bindgate does; take it out, or set closeold", y.ResourceConflict)
		}
	}
	if limit := y.ShaperRules.MaxUserSessions; limit != nil && limit != "infinity" {
		hint("shaper_rules, max_user_sessions: beyond %v sessions of a user ejabberd ends the oldest without asking; set infinity, and bindgate's max_sessions instead", limit)
	}
	for _, c := range y.Listen {
		if n, ok := c.backlog(); c.Module == "ejabberd_c2s" && (!ok || n < enoughBacklog) {
			hint("the listener for clients on port %v lets few connections wait (backlog, by default 5): when all come back at once after a restart, most have to try again; set backlog: 1000", c.Port)
		}
	}
	return hints
}

// backlog is false where it is not set.
func (l ejabberdListener) backlog() (int, bool) {
	n, err := strconv.Atoi(fmt.Sprint(l.Backlog))
	return n, err == nil
}

// moduleHints says which hosts do not ask, or ask another component.
func (y *ejabberdYML) moduleHints(l linkConfig) (hints []string) {
	var asks, without []string
	for _, host := range y.Hosts {
		component, ok := y.componentOf(host)
		switch {
		case !ok:
			without = append(without, host)
		case component == l.Component:
			asks = append(asks, host)
		case slices.Contains(l.Domains, host):
			hints = append(hints, fmt.Sprintf("mod_bindgate of %s asks %s: its option component has to be %s", host, component, l.Component))
		}
	}
	if len(asks) == 0 && len(hints) == 0 {
		hints = append(hints, fmt.Sprintf("no host has mod_bindgate with component: %s: no login is asked about; install it (ejabberdctl module_install mod_bindgate) and add it under modules", l.Component))
	}
	for _, host := range without {
		if len(asks) > 0 && (len(l.Domains) == 0 || slices.Contains(l.Domains, host)) {
			hints = append(hints, fmt.Sprintf("%s has no mod_bindgate, but %s has: its logins are not governed; put the module under the top level's modules for all hosts, or under append_host_config for this one",
				host, strings.Join(asks, ", ")))
		}
	}
	return hints
}

// componentOf is which component mod_bindgate of a host asks; false: the host has no such module. A host's own modules replace those of all, appended ones go beside them.
func (y *ejabberdYML) componentOf(host string) (component string, ok bool) {
	all := y.Modules
	if own := y.HostConfig[host].Modules; own != nil {
		all = own
	}
	node, ok := all["mod_bindgate"]
	if appended, too := y.AppendHostConfig[host].Modules["mod_bindgate"]; too {
		node, ok = appended, true
	}
	if !ok {
		return "", false
	}
	var options struct {
		Component string `yaml:"component"`
	}
	if node.Decode(&options) != nil || options.Component == "" {
		return "bindgate." + host, true
	}
	return options.Component, true
}
