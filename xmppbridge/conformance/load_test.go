package conformance

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestLoadFindsSessions: what was bound while the module was not there is found when it is loaded, live or hibernating, and is governed.
func TestLoadFindsSessions(t *testing.T) { servers.EachVersion(t, testLoadFindsSessions) }

func testLoadFindsSessions(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	if err := server.Unload(t.Context()); err != nil {
		t.Fatal(err)
	}
	clients := map[string]*xmppclient.Client{}
	want := map[string]string{}
	for _, transport := range transports {
		live := login(t, server, transport, "live-"+transport.String(), "ja")
		mustBind(t, live, "phone")
		clients["live-"+transport.String()] = live
		want["live-"+transport.String()] = "active"
	}
	for _, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		user := "asleep-" + transport.String()
		asleep := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: true})
		mustBind(t, asleep, "phone")
		asleep.Cut()
		clients[user] = asleep
		want[user] = "hibernating"
	}
	if err := server.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.await("a hello of the loaded module", func() bool { return c.hellos > 1 })
	sids := map[string]string{}
	// The server may notice the ends of connections only now.
	for deadline := time.Now().Add(patience); ; {
		sessions, _ := snapshot(c)
		same := len(sessions) == len(want)
		for _, s := range sessions {
			sids[s.Attr("user")] = s.Attr("sid")
			same = same && s.Attr("state") == want[s.Attr("user")] && s.Attr("ip") == "127.0.0.1"
		}
		if same {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the module knows %d sessions, want %v", len(sessions), want)
		}
	}
	for user, sid := range sids {
		if a := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"'/>"); a.Attr("type") != "result" {
			t.Fatalf("kick of %s: %s", user, a.Raw)
		}
		if want[user] == "active" {
			if e := mustEnd(t, clients[user]); e.Ended == nil {
				t.Errorf("stream error of %s: %s", user, e.Raw)
			}
		}
	}
	if errs := server.Errors(); errs != "" {
		t.Errorf("errors in the server's log:\n%s", errs)
	}
}
