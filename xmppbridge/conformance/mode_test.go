package conformance

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

func TestModeIsKept(t *testing.T) { servers.EachVersion(t, testModeIsKept) }

func testModeIsKept(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Own: true})
	c := connect(t, server, true)
	deny := func(a ask) string { return a.deny("code='limit' condition='resource-constraint'", "") }
	c.on(deny)
	set := func(mode string) {
		t.Helper()
		if answer := c.request("set", "<mode xmlns='"+ns+"' value='"+mode+"'/>"); answer.Attr("type") != "result" {
			t.Fatalf("mode: %s", answer.Raw)
		}
	}
	try := func(user string) (asked bool, err error) {
		t.Helper()
		c.mu.Lock()
		before := len(c.asks)
		c.mu.Unlock()
		_, err = login(t, server, xmppclient.TCP, user, "en").Bind(within(t), "x")
		if err == nil {
			c.event("bind", user, "")
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.asks) > before, err
	}
	if asked, err := try("one"); !asked || err == nil {
		t.Errorf("enforce: asked %t, %v", asked, err)
	}
	set("observe")
	if asked, err := try("two"); !asked || err != nil {
		t.Errorf("observe: asked %t, %v", asked, err)
	}
	// Observe: answers kick nobody, direct kicks still work.
	sid := ""
	c.on(func(a ask) string {
		sid = a.node.Children[0].Attr("sid")
		return a.allow(kickOf(sid, "code='takeover'", ""))
	})
	if asked, err := try("two"); !asked || err != nil {
		t.Errorf("observe: asked %t, %v", asked, err)
	}
	if answer := c.request("get", "<probe xmlns='"+ns+"' timeout_ms='50'><session sid='"+sid+"'/></probe>"); strings.Contains(answer.Raw, "gone") {
		// The same resource: core replaced it.
		if e := c.event("unbind", "two", ""); e.Attr("reason") != "replaced" {
			t.Errorf("observe kicked: %s", e.Raw)
		}
	}
	set("off")
	c.on(deny)
	if asked, err := try("three"); asked || err != nil {
		t.Errorf("off: asked %t, %v", asked, err)
	}
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked, err := func() (bool, error) {
		_, err := login(t, server, xmppclient.TCP, "alone", "en").Bind(within(t), "x")
		return false, err
	}(); asked || err != nil {
		t.Errorf("after a restart without bindgate: %v", err)
	}
	c = connect(t, server, true)
	c.on(deny)
	if mode := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("mode"); mode != "off" {
		t.Errorf("mode after a restart: %s", mode)
	}
	set("enforce")
	if asked, err := try("four"); !asked || err == nil {
		t.Errorf("enforce again: asked %t, %v", asked, err)
	}
}
