package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// onProsody starts a Prosody for a test of its module alone.
func onProsody(t testing.TB, on *servers.Kind, cfg prosody.Config) (servers.Server, *prosody.Server) {
	t.Helper()
	var private *prosody.Server
	server := servers.Prosody(on, cfg, &private).Start(t, servers.Options{})
	return server, private
}

// wantNoTokens wants Prosody to keep nothing that a user's session could be resumed by.
func wantNoTokens(t testing.TB, server servers.Server, user string) {
	t.Helper()
	text, err := server.(interface {
		Eval(ctx context.Context, lua string) (string, error)
	}).Eval(t.Context(), fmt.Sprintf("local n = 0; for token in pairs(modulemanager.get_module('localhost', 'smacks').module:shared('/*/smacks/resumption-tokens')) do if token:find(%q, 1, true) then n = n + 1 end end return n", user))
	if err != nil || text != "0" {
		t.Errorf("resumption tokens left: %s %v", text, err)
	}
}

// TestKickBetweenBOSHRequests ends a client at the moment it has no request open: it reads why at its next one.
func TestKickBetweenBOSHRequests(t *testing.T) { servers.EachProsody(t, testKickBetweenBOSHRequests) }

func testKickBetweenBOSHRequests(t *testing.T, on *servers.Kind) {
	server, private := onProsody(t, on, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	client := login(t, server, xmppclient.BOSH, "polly", "en")
	mustBind(t, client, "x")
	sid := c.event("bind", "polly", "x").Attr("sid")
	// Take the open request away, and kick in the same run of the server's thread.
	_, err := private.Eval(t.Context(), fmt.Sprintf(`
		local session = prosody.hosts.localhost.sessions.polly.sessions.x;
		for i = #session.requests, 1, -1 do
			session.requests[i]:send("<body xmlns='http://jabber.org/protocol/httpbind' sid='"..session.sid.."'/>");
		end
		assert(#session.requests == 0);
		prosody.hosts.localhost.events.fire_event("iq/host", {
			origin = { send = function () end };
			stanza = st.iq({ type = "set", id = "k", from = "bindgate.localhost", to = "localhost" })
				:tag("kick", { xmlns = "urn:bindgate:1", sid = %q, code = "rule" }):tag("text", { xmlns = "urn:bindgate:1", ["xml:lang"] = "en" }):text("<later>");
		});
		assert(session.destroyed);`, sid))
	if err != nil {
		t.Fatal(err)
	}
	if e := mustEnd(t, client); e.Condition != "conflict" || e.Text != "<later>" || e.Ended == nil || e.Ended.Code != "rule" {
		t.Errorf("stream error: %s", e.Raw)
	}
}
