package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// The denial carries the sessions in the way, each with a token; a second bind with one ends the chosen session, on any transport. A token is good for who it
// was made for, once.
func TestChoose(t *testing.T) { servers.OneOrEach(t, testChoose) }

func testChoose(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 2, "on_excess": "choose", "ghost_after_seconds": 1}`)
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			api := w.rest()
			user := "cho-" + transport.String()
			phone, laptop := w.login(user, "android-1"), w.login(user, "laptop")
			w.recorded(user, "android-1=active laptop=active")
			api.do("PATCH", "/v1/accounts/"+w.jid(user)+"/devices/"+w.devices(api, user)["android-1"].ID, `{"name":"Pixel <&'>"}`, nil, 200)

			next := w.dial(user, xmppclient.Options{Transport: transport, Lang: "ja"})
			d := w.denied(next, "tablet")
			w.wantDenied(d, "choose", "")
			if d.Condition != "resource-constraint" || d.Type != "wait" || d.Lang != "ja" || d.Text == "" {
				t.Errorf("denial: %s", d.Raw)
			}
			tokens := map[string]string{}
			var offered []string
			for _, s := range d.Denied.Sessions {
				tokens[s.Attr("resource")] = s.Attr("token")
				offered = append(offered, fmt.Sprintf("%s %q %s", s.Attr("resource"), s.Attr("device"), s.Attr("platform")))
				if s.Attr("started_at") == "" || s.Attr("idle_seconds") == "" || strings.Contains(d.Raw, "127.0.0.1") {
					t.Errorf("denial: %s", d.Raw)
				}
			}
			if want := []string{`android-1 "Pixel <&'>" android`, `laptop "" desktop`}; !slices.Equal(offered, want) {
				t.Errorf("offered: %q, want %q", offered, want)
			}
			w.stays(phone)
			w.stays(laptop)

			// Somebody else, of this account or another, cannot use it.
			w.wantDenied(w.with(w.dial(user, xmppclient.Options{}), "web", tokens["laptop"]), "choose", "not_yours")
			stranger := "else-" + transport.String()
			w.login(stranger, "one")
			w.login(stranger, "two")
			w.wantDenied(w.with(w.dial(stranger, xmppclient.Options{}), "tablet", tokens["laptop"]), "choose", "not_yours")
			w.wantDenied(w.with(next, "tablet", tokens["laptop"][:20]), "choose", "unknown")

			if e := w.with(next, "tablet", tokens["laptop"]); e != nil {
				t.Fatalf("with the token: %s", e.Raw)
			}
			if e := w.evicted(laptop); e.Ended == nil || e.Ended.Code != "takeover" {
				t.Errorf("stream error: %s", e.Raw)
			}
			w.stays(phone)
			w.stays(next)
			w.recorded(user, "android-1=active tablet=active")

			// Used, it is void: its session is gone.
			next.Close()
			w.recorded(user, "android-1=active")
			filler := w.login(user, "filler")
			w.recorded(user, "android-1=active filler=active")
			again := w.dial(user, xmppclient.Options{})
			w.wantDenied(w.with(again, "tablet", tokens["laptop"]), "choose", "session_gone")
			// A dead one is no choice: it goes by itself.
			phone.Freeze()
			w.bindIn(w.dial(user, xmppclient.Options{}), "fresh")
			w.recorded(user, "filler=active fresh=active")
			w.stays(filler)
		})
	}
}
