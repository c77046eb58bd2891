package conformance

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestInstallAndUpgrade does what an operator does: the server compiles the package, a host is configured, and later a newer version takes the module's
// place while sessions go on.
func TestInstallAndUpgrade(t *testing.T) { servers.EachEjabberd(t, testInstallAndUpgrade) }

func testInstallAndUpgrade(t *testing.T, on *servers.Kind) {
	var private *ejabberd.Server
	server := servers.Ejabberd(on, ejabberd.Config{Bare: true}, &private).Start(t, servers.Options{})
	if err := private.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	host := ejabberd.Host{Domain: "installed.localhost", Gate: true}
	if err := private.AddHost(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	server = servers.EjabberdHost(t, private, host.Domain)
	c := connect(t, server, true)
	c.on(allowAll)
	client := loginWith(t, server, xmppclient.Options{User: "ann", SM: true})
	mustBind(t, client, "phone")
	sid := c.event("bind", "ann", "phone").Attr("sid")
	if where, err := private.Eval(t.Context(), "code:which(mod_bindgate_gate)"); err != nil || !strings.Contains(where, private.Dir()) {
		t.Errorf("the module is at %s, %v", where, err)
	}

	if out, err := private.Call(t.Context(), "module_upgrade", `{"module":"mod_bindgate"}`); err != nil {
		t.Fatalf("upgrade: %s, %v", out, err)
	}
	c.await("a hello of the upgraded module", func() bool { return c.hellos > 1 })
	if got := probe(c, 3000, sid); got[sid] != "alive" {
		t.Errorf("probe after the upgrade: %v", got)
	}
	mustBind(t, login(t, server, xmppclient.TCP, "ann", "en"), "laptop")
	if asked := c.ask(2).node; len(asked.Children) != 1 || asked.Children[0].Attr("sid") != sid {
		t.Errorf("ask after the upgrade: %s", asked.Raw)
	}
}
