package conformance

import (
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestBesideModPrivilege: ejabberd's mod_privilege, from 24.10 on, drops requests of every component to a server that are not wrapped as XEP-0356 wants it.
func TestBesideModPrivilege(t *testing.T) { servers.EachEjabberd(t, testBesideModPrivilege) }

func testBesideModPrivilege(t *testing.T, on *servers.Kind) {
	var private *ejabberd.Server
	server := servers.Ejabberd(on, ejabberd.Config{Hosts: []ejabberd.Host{{Gate: true, Modules: ejabberd.SeePresence}}}, &private).Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	client := login(t, server, xmppclient.TCP, "ann", "en")
	mustBind(t, client, "phone")
	sid := c.event("bind", "ann", "phone").Attr("sid")
	if a := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"'/>"); a.Attr("type") != "result" {
		t.Errorf("kick: %s", a.Raw)
	}
	mustEnd(t, client)
	pinged(c)
}
