package stock

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bindgate/bindgate/gate"
)

// noModule is what no server can without a gate module, and what comes of it.
var noModule = map[string]string{
	"ask":           "The server has no gate module: a login is decided just after it was let in. Who is denied has a session for a moment, and is then kicked.",
	"hold":          "There is no module that could delay a denial; a client that reconnects is kicked each time.",
	"ended":         "The server's own kick has no <ended/> element, by which an app could tell a takeover from other reasons.",
	"revoke":        "Stored login credentials are known to a gate module alone. Change the account's password on the server instead.",
	"hibernation":   "The server does not say which sessions are suspended (XEP-0198); one that answers no ping counts as gone.",
	"idle":          "The server does not say how long a session has been idle: on_excess = evict_idle goes about by the order of logins, and max_idle_seconds ends nobody.",
	"devices":       "The server does not say by which SASL2 user-agent id a client logged in: devices are known by their resource.",
	"same_resource": "The server itself ends the older of two sessions with one resource before bindgate sees the newer.",
	"kick":          "The server offers no way to end a session.",
	"conflict":      "The server's kick does not say <conflict/>, so some clients reconnect by themselves.",
	"text":          "The server's kick has no room for a text.",
	"language":      "The server's kick has no language of its own.",
}

// own is what the observer brings, whatever the server.
var own = map[string]string{
	"probe":    "",
	"snapshot": "",
	"mode":     "Kept by bindgate: while bindgate is away, nothing is enforced.",
}

// abilities are those of a domain: the driver's, the observer's own, and what no server can without a module.
func (l *link) abilities(domain string) []gate.Ability {
	out := append([]gate.Ability{}, l.server.Able...)
	said := map[string]bool{}
	for _, a := range out {
		said[a.Name] = true
	}
	add := func(name string, can bool, why string) {
		if !said[name] {
			out = append(out, gate.Ability{Name: name, Can: can, Why: why})
			said[name] = true
		}
	}
	if l.presence()[domain] {
		add("at_once", true, "By the presence that clients send (XEP-0356), once a second for each account; a client that sends none is found when all sessions are listed: once a second, or as often as takes a fifth of the server's time (where an account cannot be listed alone, three tenths while clients send presence). Of two logins found in one list the order may be unknown.")
	} else {
		add("at_once", false, fmt.Sprintf("A login is found when all sessions are listed: once a second, or as often as takes a fifth of the server's time. Of two found in one list the order may be unknown. It is quicker if the server lets %s see presence (XEP-0356).", l.o.cfg.Component))
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		add(name, true, own[name])
	}
	for _, name := range slices.Sorted(maps.Keys(noModule)) {
		add(name, false, noModule[name])
	}
	return out
}
