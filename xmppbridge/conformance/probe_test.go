package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// probe asks about the sids and returns the verdicts.
func probe(c *component, ms int, sids ...string) map[string]string {
	c.t.Helper()
	content := fmt.Sprintf("<probe xmlns='%s' timeout_ms='%d'>", ns, ms)
	for _, sid := range sids {
		content += "<session user='' sid='" + sid + "'/>"
	}
	answer := c.request("get", content+"</probe>")
	verdicts := map[string]string{}
	node := answer.Child(ns, "probe")
	if node == nil {
		c.t.Fatalf("probe: %s", answer.Raw)
		return nil
	}
	for _, s := range node.Children {
		verdicts[s.Attr("sid")] = s.Attr("verdict")
	}
	return verdicts
}

func TestProbe(t *testing.T) { servers.EachVersion(t, testProbe) }

func testProbe(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	want := map[string]string{"never-was": "gone"}
	for _, transport := range transports {
		for _, sm := range []bool{false, true} {
			user := fmt.Sprintf("p-%s-%t", transport, sm)
			bind := func(resource string) (*xmppclient.Client, string) {
				client := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: sm})
				mustBind(t, client, resource)
				return client, c.event("bind", user, resource).Attr("sid")
			}
			_, sid := bind("alive")
			want[sid] = "alive"
			mute, sid := bind("mute")
			mute.Mute(true)
			want[sid] = "silent"
			frozen, sid := bind("frozen")
			frozen.Freeze()
			want[sid] = "silent"
			if sm && transport != xmppclient.BOSH {
				cut, sid := bind("cut")
				cut.Cut()
				c.event("hibernate", user, "cut")
				want[sid] = "hibernating"
			}
		}
	}
	var sids []string
	for sid := range want {
		sids = append(sids, sid)
	}
	start := time.Now()
	got := probe(c, 700, sids...)
	if took := time.Since(start); took < 700*time.Millisecond || took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	for sid, verdict := range want {
		if got[sid] != verdict {
			t.Errorf("%s: %q, want %q", sid, got[sid], verdict)
		}
	}
	// All verdicts known: answered at once.
	start = time.Now()
	for sid, verdict := range want {
		if verdict == "alive" {
			if got := probe(c, 5000, sid); got[sid] != "alive" {
				t.Errorf("alone: %v", got)
			}
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	too := "<probe xmlns='" + ns + "' timeout_ms='1'>" + strings.Repeat("<session sid='x'/>", 51) + "</probe>"
	if condition, _ := conditionOf(c.request("get", too)); condition != "bad-request" {
		t.Errorf("51 sessions: %s", condition)
	}
}
