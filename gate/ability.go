package gate

import "slices"

// Ability is something that bindgate wants of a link, in a word, and whether the link's server can be brought to it.
type Ability struct {
	Name string `json:"name"`
	Can  bool   `json:"can"`
	Why  string `json:"why,omitempty"` // it cannot, or not as a module would, in a sentence for operators; "": nothing to say
}

// abilities are all that there are: the first are what a gate module says of itself (PROTOCOL.md), the others every module has, and servers without one may lack.
var abilities = []string{"ask", "kick", "probe", "snapshot", "mode", "language", "hold", "ended", "revoke"}

// implied are abilities that come with every gate module.
var implied = []string{
	"at_once",       // a login is known when it happens
	"conflict",      // a kicked client gets <conflict/>
	"text",          // and a text
	"hibernation",   // a session that is suspended is known as one
	"idle",          // how long a session was idle is known
	"devices",       // a client's SASL2 user-agent id is known
	"same_resource", // rules decide about a resource that is taken
}

// abilitiesOf puts together what the domains of a link can do: all of them, or the first that cannot says why not. A link whose domains have not said hello has none to
// tell of.
func abilitiesOf(l *link) []Ability {
	var said []*source
	for _, s := range l.sources {
		if !s.helloAt.IsZero() {
			said = append(said, s)
		}
	}
	if len(said) == 0 {
		return nil
	}
	slices.SortFunc(said, func(a, b *source) int {
		if a.Domain < b.Domain || a.Domain == b.Domain && a.Node < b.Node {
			return -1
		}
		return 1
	})
	var out []Ability
	for _, name := range slices.Concat(abilities, implied) {
		a := Ability{Name: name, Can: true}
		for _, s := range said {
			able, why := s.can(name)
			if a.Why == "" || a.Can && !able {
				a.Why = why
			}
			a.Can = a.Can && able
		}
		out = append(out, a)
	}
	return out
}

// can says whether a module, or what stands for one, can do something, and why not.
func (h *Hello) can(name string) (able bool, why string) {
	if h.Stock {
		return slices.Contains(h.Abilities, name), h.Why[name]
	}
	if slices.Contains(h.Abilities, name) || slices.Contains(implied, name) {
		return true, ""
	}
	return false, "A module is of a version that does not have it, or its server cannot: missing_abilities of the domains say which. Update it."
}
