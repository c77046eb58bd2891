package clients

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
)

// A client that comes while nobody can decide, where the operator denies logins then, gets in by itself as soon as somebody can. Its user is not told.
func TestUnavailable(t *testing.T) {
	servers.OneOrEach(t, func(t *testing.T, on *servers.Kind) {
		w := &world{server: on.Start(t, servers.Options{OnFailure: "deny"})}
		var all []*Login
		for _, l := range libraries {
			user := strings.ToLower(strings.ReplaceAll(l.name, ".", ""))
			all = append(all, l.start(t, w.arguments(t, user+"/phone/ja/polite/")).Of(user))
		}
		for i, l := range all {
			if libraries[i].name != "mellium" { // it would tell only that it gives up
				l.Wants("later")
			}
		}
		w.decide(t)
		for _, l := range all {
			e := l.within(3 * patience) // the longest delay is a minute
			for e.Text("what") == "later" {
				e = l.within(3 * patience)
			}
			if e.Text("what") != "online" {
				t.Errorf("%s said %s, want online", l.user, e.Line)
			}
		}
	})
}
