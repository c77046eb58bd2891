package adhoc

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/gate"
)

// What a client sees of end-user-session, by the first word of what the server calls itself. Prosody's and ejabberd's were measured, the others' are from their sources.
var kicks = map[string]string{
	"prosody":  "Prosody ends the stream without any stream error. Some clients reconnect at once, others never; one that does not hang up keeps its session for 5 seconds.",
	"ejabberd": "ejabberd ends the stream with <policy-violation/> and its own text, \"has been kicked\". Many clients reconnect.",
	"openfire": "Openfire ends the stream without any stream error (from its source, not tested). Some clients reconnect at once, others never.",
	"tigase":   "Tigase ends the stream with <undefined-condition/> (from its source, not tested). Many clients reconnect.",
}

// abilities are what the commands can do and cannot, in words.
func (s *Server) abilities() []gate.Ability {
	name, _, _ := strings.Cut(strings.ToLower(s.software), " ")
	out := []gate.Ability{
		{Name: "kick", Can: true, Why: "By the server's command end-user-session, which knows a resource and not which login it is of."},
		{Name: "conflict", Why: cmp.Or(kicks[name], "What a client sees of end-user-session is the server's own. It is not said to be <conflict/>, and many clients reconnect.")},
	}
	if s.Explains() {
		out = append(out, gate.Ability{Name: "text", Can: true, Why: "The server's end-user-session takes a reason (XEP-0133 has none)."})
	} else {
		out = append(out, gate.Ability{Name: "text", Why: "The server's end-user-session takes no reason, so the client is told none. Apps can ask the REST API."})
	}
	switch s.list {
	case ByPresences, ByActiveUsers:
		out = append(out, gate.Ability{Name: "snapshot", Can: true, Why: "The server lists sessions that have sent presence alone: others are neither counted nor kicked."})
	case ByOnlineUsers:
		if s.stats {
			out = append(out, gate.Ability{Name: "snapshot", Can: true, Why: "The server lists accounts; each is asked about (user-stats) when it has changed."})
		}
	}
	return out
}

// weaker joins the abilities of two virtual hosts: what one cannot, the link cannot.
func weaker(a, b []gate.Ability) []gate.Ability {
	for _, x := range b {
		i := slices.IndexFunc(a, func(y gate.Ability) bool { return y.Name == x.Name })
		switch {
		case i < 0:
			a = append(a, x)
		case a[i].Can && !x.Can, a[i].Why == "":
			a[i] = x
		}
	}
	return a
}
