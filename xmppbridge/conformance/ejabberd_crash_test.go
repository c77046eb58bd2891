package conformance

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestGateProcessCrashes: the process that takes the place of one that has died knows the sessions, says hello with an epoch of its own, and asks. A login that
// waited when it died goes by the failure policy.
func TestGateProcessCrashes(t *testing.T) { servers.EachEjabberd(t, testGateProcessCrashes) }

func testGateProcessCrashes(t *testing.T, on *servers.Kind) {
	var private *ejabberd.Server
	server := servers.Ejabberd(on, ejabberd.Config{Hosts: []ejabberd.Host{{Gate: true, OnFailure: "deny"}}}, &private).Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	epoch := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("epoch")
	live := login(t, server, xmppclient.TCP, "live", "en")
	mustBind(t, live, "phone")
	sid := c.event("bind", "live", "phone").Attr("sid")

	c.on(nil) // the next ask is not answered
	waiting := login(t, server, xmppclient.TCP, "waiting", "en")
	refused := make(chan error, 1)
	go func() {
		_, err := waiting.Bind(t.Context(), "phone")
		refused <- err
	}()
	c.ask(1)
	if _, err := private.Eval(t.Context(), `exit(whereis(gen_mod:get_module_proc(<<"localhost">>, mod_bindgate)), kill)`); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if err == nil {
			t.Error("who waited when the process died is let in, under on_failure: deny")
		}
	case <-time.After(patience):
		t.Fatal("who waited when the process died waits on")
	}
	c.on(allowAll)
	c.await("a hello of the new process", func() bool { return c.hellos > 1 })
	if again := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("epoch"); again == epoch {
		t.Error("the new process has the epoch of the old one")
	}
	sessions, _ := snapshot(c)
	if len(sessions) != 1 || sessions[0].Attr("user") != "live" || sessions[0].Attr("sid") != sid {
		t.Errorf("the new process knows %d sessions, want that of live, %s", len(sessions), sid)
	}
	next := login(t, server, xmppclient.TCP, "next", "en")
	mustBind(t, next, "phone")
	c.event("bind", "next", "phone")
}
