package conformance

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestListenerOfTwo: ejabberd lets each component of a listener write as any other of it. One that has a password of its own there takes neither bindgate's place nor its part:
// what it writes as bindgate is not obeyed, and bindgate goes on.
func TestListenerOfTwo(t *testing.T) { servers.EachEjabberd(t, testListenerOfTwo) }

func testListenerOfTwo(t *testing.T, on *servers.Kind) {
	var private *ejabberd.Server
	server := servers.Ejabberd(on, ejabberd.Config{
		Hosts: []ejabberd.Host{{Gate: true, OnFailure: "deny"}}, Secret: "bindgate's", Others: map[string]string{"other.localhost": "its own"},
	}, &private).Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	victim := login(t, server, xmppclient.TCP, "victim", "en")
	mustBind(t, victim, "x")
	sid := c.event("bind", "victim", "x").Attr("sid")

	other := connectBy(t, server, "other.localhost", "its own", false)
	c.on(nil) // who asks now waits
	waiting := login(t, server, xmppclient.TCP, "waiting", "en")
	bound := make(chan error, 1)
	go func() {
		_, err := waiting.Bind(t.Context(), "x")
		bound <- err
	}()
	a := c.ask(2)
	as := func(stanza string) {
		other.write(strings.NewReplacer("FROM", "from='"+server.ComponentJID()+"' to='"+server.Domain()+"'", "NS", "xmlns='"+ns+"'").Replace(stanza))
	}
	as("<iq type='set' id='k' FROM><kick NS sid='" + sid + "' code='kick'/></iq>")
	as("<iq type='set' id='m' FROM><mode NS value='off'/></iq>")
	as("<iq type='set' id='r' FROM><revoke NS user='victim'/></iq>")
	as("<iq type='get' id='s' FROM><snapshot NS first='0' count='4096'/></iq>")
	as("<iq type='result' id='" + a.iq + "' FROM><deny NS ask_id='" + a.node.Attr("ask_id") + "'/></iq>")
	as("<iq type='error' id='" + a.iq + "' FROM><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	answer := other.request("get", "<hello xmlns='"+ns+"'/>") // read behind all these
	if condition, text := conditionOf(answer); condition != "forbidden" || text != "only the component "+server.ComponentJID()+" may ask" {
		t.Errorf("as itself it reads %s", answer.Raw)
	}

	c.send(a.allow())
	if err := <-bound; err != nil {
		t.Errorf("a login for which bindgate's own answer is to let it in: %v", err)
	}
	c.event("bind", "waiting", "x")
	mustLive(t, victim)
	if mode := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("mode"); mode != "enforce" {
		t.Errorf("mode: %s", mode)
	}
	c.await("nothing", func() bool {
		if c.hellos != 1 {
			t.Errorf("the module has greeted bindgate %d times, so somebody took its place", c.hellos)
		}
		return true
	})
	other.await("nothing", func() bool {
		if len(other.asks) != 0 || len(other.evs) != 0 || len(other.other) != 0 {
			t.Errorf("the other component has read asks %v, events %v, and else %v", other.asks, other.evs, other.other)
		}
		return true
	})
	c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"' code='kick'/>") // bindgate's own is
	if e := mustEnd(t, victim); e.Condition != "conflict" {
		t.Errorf("kicked by bindgate: %s", e.Raw)
	}
}
