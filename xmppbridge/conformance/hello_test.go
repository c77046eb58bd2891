package conformance

import (
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestHelloOfAnotherVersion: a bindgate that is of another version is not asked, and the log says so.
func TestHelloOfAnotherVersion(t *testing.T) { servers.EachVersion(t, testHelloOfAnotherVersion) }

func testHelloOfAnotherVersion(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, false)
	c.await("hello", func() bool { return c.hellos > 0 })
	c.send("<iq type='result' id='" + c.other[0].Attr("id") + "' from='%s' to='%s'><hello xmlns='" + ns + "' version='2' bindgate='9.0.0'/></iq>")
	said(t, server, "this module speaks version 1 of the gate protocol): it answered in version 2; update the older of the two", 1)
	mustBind(t, login(t, server, xmppclient.TCP, "ann", "en"), "x")
	if e := c.event("bind", "ann", "x"); e.Attr("ask_id") != "" || len(c.asks) != 0 {
		t.Errorf("asked: %s", e.Raw)
	}
}

// TestHelloTellsWhoseConnectionItTook: so two bindgates with different databases notice each other.
func TestHelloTellsWhoseConnectionItTook(t *testing.T) {
	servers.EachVersion(t, testHelloTellsWhoseConnectionItTook)
}

func testHelloTellsWhoseConnectionItTook(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	replaced := func(c *component) string {
		t.Helper()
		return c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("replaced")
	}
	first := connect(t, server, true)
	if got := replaced(first); got != "" {
		t.Errorf("the first took the place of %q", got)
	}
	second := connect(t, server, true)
	<-first.gone
	if got := replaced(second); got != "first" {
		t.Errorf("the second took the place of %q", got)
	}
	// The server may notice a moment later that nobody is there.
	last, got := second, ""
	for range 20 {
		last.write("</stream:stream>")
		<-last.gone
		last = connect(t, server, true)
		if got = replaced(last); got == "" {
			return
		}
	}
	t.Errorf("one that came when nobody was there took the place of %q", got)
}

// TestForeignComponent: another component of the server may not speak the protocol, in its own name or in ours.
func TestForeignComponent(t *testing.T) { servers.EachVersion(t, testForeignComponent) }

func testForeignComponent(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Stranger: true})
	c := connect(t, server, true)
	c.on(allowAll)
	victim := login(t, server, xmppclient.TCP, "victim", "en")
	mustBind(t, victim, "x")
	sid := c.event("bind", "victim", "x").Attr("sid")
	stranger := connectAs(t, server, "stranger."+server.Domain(), false)
	for _, request := range []struct{ typ, content string }{
		{"set", "<kick xmlns='" + ns + "' sid='" + sid + "' code='kick'/>"}, {"set", "<mode xmlns='" + ns + "' value='off'/>"},
		{"get", "<snapshot xmlns='" + ns + "' first='0' count='4096'/>"}, {"get", "<hello xmlns='" + ns + "'/>"}, {"set", "<revoke xmlns='" + ns + "' user='victim'/>"},
	} {
		answer := stranger.request(request.typ, request.content)
		if condition, text := conditionOf(answer); condition != "forbidden" || text != "only the component "+server.ComponentJID()+" may ask" {
			t.Errorf("%s: %s", request.content, answer.Raw)
		}
	}
	stranger.write("<iq type='set' id='k' from='" + server.ComponentJID() + "' to='" + server.Domain() + "'><kick xmlns='" + ns + "' sid='" + sid + "' code='kick'/></iq>")
	<-stranger.gone // whoever writes in another's name is thrown out by the server
	mustLive(t, victim)
	if mode := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("mode"); mode != "enforce" {
		t.Errorf("mode: %s", mode)
	}
}

// TestServerAnswersPings: bindgate's sign of life from a server that is quiet, see pinged.
func TestServerAnswersPings(t *testing.T) { servers.EachVersion(t, testServerAnswersPings) }

func testServerAnswersPings(t *testing.T, on *servers.Kind) {
	pinged(connect(t, on.Start(t, servers.Options{}), true))
}

// pinged waits for any answer from the server, and for the component's own request by way of it.
func pinged(c *component) {
	c.t.Helper()
	const ping = "<ping xmlns='urn:xmpp:ping'/>"
	c.requestOf(c.domain+"/ping", "get", ping)
	if e := c.requestOf(c.jid+"/ping", "get", ping); e.Attr("from") != c.jid || e.Attr("type") != "get" {
		c.t.Errorf("a ping of ourselves came as %s", e.Raw)
	}
}
