package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestKickForGood ends sessions live and hibernating, directly, by a takeover, and by a takeover of the same resource, and
// then tries to resume them.
func TestKickForGood(t *testing.T) { servers.EachVersion(t, testKickForGood) }

func testKickForGood(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	for _, transport := range transports {
		for _, state := range []string{"live", "hibernating"} {
			for _, way := range []string{"kick", "takeover", "same-resource", "replaced"} {
				if state == "hibernating" && transport == xmppclient.BOSH {
					continue // a BOSH session hibernates only when it ends for good, see below
				}
				t.Run(fmt.Sprintf("%s/%s/%s", transport, state, way), func(t *testing.T) {
					user := fmt.Sprintf("u-%s-%s-%s", transport, state, way)
					c.on(allowAll)
					old := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: true})
					mustBind(t, old, "phone")
					sid := c.event("bind", user, "phone").Attr("sid")
					if state == "hibernating" {
						old.Cut()
						if e := c.event("hibernate", user, "phone"); e.Attr("sid") != sid || e.Attr("state") != "hibernating" {
							t.Errorf("hibernate: %s", e.Raw)
						}
					}
					reason := "kick"
					switch way {
					case "kick":
						answer := c.request("set", "<kick xmlns='"+ns+"' user='"+user+"' sid='"+sid+"' code='kick'><text xml:lang='en'>out</text></kick>")
						if answer.Attr("type") != "result" {
							t.Fatalf("kick: %s", answer.Raw)
						}
						// The result follows the unbind event.
						c.mu.Lock()
						last := c.evs[len(c.evs)-1]
						c.mu.Unlock()
						if last.kind != "unbind" || last.node.Attr("sid") != sid {
							t.Error("the kick was answered before its unbind event")
						}
					case "takeover":
						c.on(func(a ask) string { return a.allow(kickOf(sid, "code='takeover'", "")) })
						mustBind(t, login(t, server, xmppclient.TCP, user, "en"), "other")
					case "same-resource":
						c.on(func(a ask) string { return a.allow(kickOf(sid, "code='takeover'", "")) })
						newcomer := login(t, server, xmppclient.TCP, user, "en")
						mustBind(t, newcomer, "phone")
						defer mustLive(t, newcomer)
					case "replaced":
						newcomer := login(t, server, xmppclient.TCP, user, "en")
						mustBind(t, newcomer, "phone")
						defer mustLive(t, newcomer)
						reason = "replaced"
					}
					if e := c.event("unbind", user, "phone"); e.Attr("reason") != reason || e.Attr("sid") != sid {
						t.Errorf("unbind: %s", e.Raw)
					}
					if state == "live" {
						e := mustEnd(t, old)
						if e.Condition != "conflict" || (e.Ended != nil) != (way != "replaced") {
							t.Errorf("stream error: %s", e.Raw)
						}
					}
					for _, again := range []xmppclient.Transport{xmppclient.TCP, transport} {
						var refused *xmppclient.ResumeError
						err := login(t, server, again, user, "en").Resume(within(t), old.SMID(), old.Handled())
						if !errors.As(err, &refused) || refused.Condition != "item-not-found" {
							t.Errorf("resume over %s: %v", again, err)
						}
					}
					if on.Name == "prosody" {
						wantNoTokens(t, server, user)
					}
				})
			}
		}
	}
}

func TestKickRefused(t *testing.T) { servers.EachVersion(t, testKickRefused) }

func testKickRefused(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	for _, tc := range []struct{ typ, request, condition, text string }{
		{"set", "<kick xmlns='" + ns + "' sid='nothere'/>", "item-not-found", "no session has this sid"},
		{"set", "<kick xmlns='" + ns + "'/>", "bad-request", "kick: the attribute sid is missing"},
		{"set", "<kick xmlns='" + ns + "' sid='x' code='because'/>", "bad-request", "kick: the attribute code must be takeover, kick, rule, expired or blocked"},
		{"set", "<mode xmlns='" + ns + "' value='maybe'/>", "bad-request", "mode: the attribute value must be enforce, observe or off"},
		{"get", "<probe xmlns='" + ns + "'><session sid='x'/></probe>", "bad-request", "probe: the attribute timeout_ms must be a whole number from 1 to 60000"},
		{"get", "<probe xmlns='" + ns + "' timeout_ms='5'/>", "bad-request", "probe: there is no session to probe"},
		{"get", "<snapshot xmlns='" + ns + "' first='4096' count='1'/>", "bad-request", "snapshot: the attribute first must be a whole number from 0 to 4095"},
		{"get", "<snapshot xmlns='" + ns + "' first='4000' count='97'/>", "bad-request", "snapshot: the attribute count must be a whole number from 1 to 96"},
		{"get", "<snapshot xmlns='" + ns + "' first='0' count='1' digest='x'/>", "bad-request", "snapshot: the attribute digest must be a number, a dash and 12 hexadecimal digits"},
		{"get", "<nonsense xmlns='" + ns + "'/>", "bad-request", "no request of the gate protocol: get nonsense"},
	} {
		answer := c.request(tc.typ, tc.request)
		if condition, text := conditionOf(answer); condition != tc.condition || text != tc.text {
			t.Errorf("%s: %s", tc.request, answer.Raw)
		}
	}
}

func TestForeignSender(t *testing.T) { servers.EachVersion(t, testForeignSender) }

func testForeignSender(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	user := login(t, server, xmppclient.TCP, "mallory", "en")
	mustBind(t, user, "x")
	victim := login(t, server, xmppclient.TCP, "victim", "en")
	mustBind(t, victim, "x")
	sid := c.event("bind", "victim", "x").Attr("sid")
	for _, request := range []string{
		"<kick xmlns='" + ns + "' sid='" + sid + "' code='kick'/>", "<mode xmlns='" + ns + "' value='off'/>",
		"<snapshot xmlns='" + ns + "' first='0' count='4096'/>", "<hello xmlns='" + ns + "' version='1'/>",
	} {
		for _, typ := range []string{"get", "set"} {
			_, err := user.IQ(within(t), server.Domain(), typ, request, "")
			var e *xmppclient.StanzaError
			if !errors.As(err, &e) || e.Condition != "forbidden" {
				t.Errorf("%s %s: %v", typ, request, err)
			}
		}
	}
	// A user who forges an answer to an ask, and an address of the component that is not its domain.
	c.on(nil)
	asking := login(t, server, xmppclient.TCP, "asking", "en")
	bound := make(chan error, 1)
	go func() { _, err := asking.Bind(within(t), "x"); bound <- err }()
	a := c.ask(3)
	if err := user.SendRaw(fmt.Sprintf("<iq type='result' id='%s' to='%s'><deny xmlns='%s' ask_id='%s'/></iq>", a.iq, server.Domain(), ns, a.node.Attr("ask_id"))); err != nil {
		t.Fatal(err)
	}
	mustLive(t, user)
	c.send("<iq type='set' id='odd' from='someone@%s' to='%s'><mode xmlns='" + ns + "' value='off'/></iq>")
	c.await("the refusal", func() bool {
		for _, e := range c.other {
			if e.Attr("id") == "odd" {
				condition, _ := conditionOf(e)
				return condition == "forbidden"
			}
		}
		return false
	})
	c.send(a.allow())
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	mustLive(t, victim)
}
