package conformance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// wantUnavailable checks the failure policy's refusal.
func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	var e *xmppclient.StanzaError
	if !errors.As(err, &e) || e.Type != "wait" || e.Condition != "service-unavailable" || e.Denied == nil || e.Denied.Code != "unavailable" {
		t.Fatalf("want service-unavailable, denied unavailable; got %v", err)
	}
}

func TestComponentAway(t *testing.T) { servers.EachVersion(t, testComponentAway) }

func testComponentAway(t *testing.T, on *servers.Kind) {
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := on.Start(t, servers.Options{OnFailure: policy})
			decided := func(user string) {
				t.Helper()
				client := login(t, server, xmppclient.TCP, user, "en")
				start := time.Now()
				_, err := client.Bind(within(t), "x")
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %v", took)
				}
				if policy == "deny" {
					wantUnavailable(t, err)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			decided("nobody-there")
			for lang, want := range map[string]string{"ja": "ja", "zh-Hans": "zh", "pt": "en"} {
				if policy != "deny" {
					break
				}
				_, err := login(t, server, xmppclient.TCP, "speaks-"+lang, lang).Bind(within(t), "x")
				wantUnavailable(t, err)
				var e *xmppclient.StanzaError
				if errors.As(err, &e); e.Lang != want || (want != "en") == strings.HasPrefix(e.Text, "Logins") || strings.Count(e.Raw, "<text") != 1 {
					t.Errorf("to who speaks %s: %s", lang, e.Raw)
				}
			}
			silent := connect(t, server, false)
			silent.await("hello", func() bool { return silent.hellos > 0 })
			decided("hello-unanswered")
			hello := silent.other[0].Child(ns, "hello")
			if want := map[string]string{"allow": "1", "deny": "0"}[policy]; hello.Attr("seq") != want {
				t.Errorf("hello counts events that could not be sent: seq=%s, want %s", hello.Attr("seq"), want)
			}
			silent.send("<iq type='error' id='" + silent.other[0].Attr("id") + "' from='%s' to='%s'><error type='cancel'>" +
				"<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>version 2 here</text></error></iq>")
			decided("hello-refused")
			if len(silent.asks) != 0 {
				t.Error("asked a component that did not agree to hello")
			}
			// A newer connection takes over (kick_old), agrees, and is asked.
			c := connect(t, server, true)
			c.on(allowAll)
			mustBind(t, login(t, server, xmppclient.TCP, "asked", "en"), "x")
			c.ask(1)
			said(t, server, "version 2 here", 1)
		})
	}
}

func TestNoAnswer(t *testing.T) { servers.EachVersion(t, testNoAnswer) }

func testNoAnswer(t *testing.T, on *servers.Kind) {
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := on.Start(t, servers.Options{OnFailure: policy, Timeout: time.Second})
			c := connect(t, server, true)
			c.on(allowAll)
			old := login(t, server, xmppclient.TCP, "eve", "en")
			mustBind(t, old, "old")
			sid := c.event("bind", "eve", "old").Attr("sid")

			// A late answer: nobody is kicked by it.
			c.on(nil)
			late := login(t, server, xmppclient.TCP, "eve", "en")
			_, err := late.BindWith(within(t), xmppclient.BindOptions{Resource: "late", Takeover: "tok<&>'\""})
			a := c.ask(2)
			if policy == "deny" {
				wantUnavailable(t, err)
				if e := c.event("gone", "eve", ""); e.Attr("ask_id") != a.node.Attr("ask_id") || e.Attr("sid") != a.node.Attr("sid") {
					t.Errorf("gone: %s", e.Raw)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if e := c.event("bind", "eve", "late"); e.Attr("ask_id") != "" || e.Attr("takeover") != "tok<&>'\"" {
					t.Errorf("bound without an answer, with a token: %s", e.Raw)
				}
			}
			c.send(a.allow(kickOf(sid, "code='takeover'", "")))
			c.request("get", "<hello xmlns='"+ns+"'/>") // has been read behind the late answer
			mustLive(t, old)

			// An error: at once.
			c.on(func(a ask) string { return a.fail() })
			start := time.Now()
			_, err = login(t, server, xmppclient.TCP, "eve2", "en").Bind(within(t), "x")
			if policy == "deny" {
				wantUnavailable(t, err)
			} else if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 900*time.Millisecond {
				t.Errorf("an error answer took %v", took)
			}
			again := login(t, server, xmppclient.TCP, "eve2", "en")
			again.Bind(within(t), "y") //nolint:errcheck // the log tells
			c.on(allowAll)
			mustBind(t, login(t, server, xmppclient.TCP, "eve2", "en"), "z")
			said(t, server, "answered with an error", 1)
			said(t, server, "bindgate answers again", 1)
		})
	}
}

func TestComponentCutWhileAsking(t *testing.T) { servers.EachVersion(t, testComponentCutWhileAsking) }

func testComponentCutWhileAsking(t *testing.T, on *servers.Kind) {
	for _, policy := range []string{"allow", "deny"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server := on.Start(t, servers.Options{OnFailure: policy})
			c := connect(t, server, true)
			results := make(chan error, 3)
			for i := range 3 {
				client := login(t, server, transports[i], fmt.Sprintf("cut%d", i), "en")
				go func() {
					_, err := client.Bind(within(t), "x")
					results <- err
				}()
			}
			c.ask(3)
			start := time.Now()
			c.cut()
			for range 3 {
				err := <-results
				if policy == "deny" {
					wantUnavailable(t, err)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v", took)
			}
			// The events that nobody heard were counted.
			again := connect(t, server, true)
			if seq := again.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("seq"); seq != "3" {
				t.Errorf("seq %s, want 3", seq)
			}
		})
	}
}

func TestCircuitBreaker(t *testing.T) { servers.EachVersion(t, testCircuitBreaker) }

func testCircuitBreaker(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Timeout: 100 * time.Millisecond})
	c := connect(t, server, true)
	for i := range 5 {
		mustBind(t, login(t, server, xmppclient.TCP, fmt.Sprintf("slow%d", i), "en"), "x")
	}
	opened := time.Now()
	c.ask(5)
	fast := login(t, server, xmppclient.TCP, "fast", "en")
	mustBind(t, fast, "x")
	if e := c.event("bind", "fast", ""); e.Attr("ask_id") != "" {
		t.Errorf("asked behind an open breaker: %s", e.Raw)
	}
	if len(c.asks) != 5 {
		t.Fatalf("%d asks, want 5", len(c.asks))
	}
	c.on(allowAll)
	// One ask tries again after 5 s.
	for n := 0; ; n++ {
		user := fmt.Sprintf("trial%d", n)
		mustBind(t, login(t, server, xmppclient.TCP, user, "en"), "x")
		if c.event("bind", user, "").Attr("ask_id") != "" {
			break
		}
		if time.Since(opened) > 8*time.Second {
			t.Fatal("the breaker stays open")
		}
		time.Sleep(50 * time.Millisecond) // the time itself is what is tested
	}
	if waited := time.Since(opened); waited < 4*time.Second {
		t.Errorf("open for %v only", waited)
	}
	mustBind(t, login(t, server, xmppclient.TCP, "after", "en"), "x")
	if c.event("bind", "after", "").Attr("ask_id") == "" {
		t.Error("not asked after the trial went well")
	}
}

func TestClientGoneWhileHeld(t *testing.T) { servers.EachVersion(t, testClientGoneWhileHeld) }

func testClientGoneWhileHeld(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	for i, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		user := "frank-" + transport.String()
		old := login(t, server, xmppclient.TCP, user, "en")
		mustBind(t, old, "old")
		sid := c.event("bind", user, "old").Attr("sid")
		c.on(nil)
		newcomer := login(t, server, transport, user, "en")
		if err := newcomer.SendRaw("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>old</resource></bind></iq>"); err != nil {
			t.Fatal(err)
		}
		a := c.ask(2*i + 2)
		newcomer.Cut()
		c.request("get", "<hello xmlns='"+ns+"'/>") // gives the server a turn in which it could see the end
		c.send(a.allow(kickOf(sid, "code='takeover'", "")))
		if e := c.event("gone", user, ""); e.Attr("ask_id") != a.node.Attr("ask_id") {
			t.Errorf("gone: %s", e.Raw)
		}
		mustLive(t, old)
		c.on(allowAll)
	}
}

func TestHold(t *testing.T) { servers.EachVersion(t, testHold) }

func testHold(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(func(a ask) string { return a.deny("code='cooldown' condition='resource-constraint' hold_ms='400'", "") })
	client := login(t, server, xmppclient.TCP, "grace", "en")
	start := time.Now()
	if _, err := client.Bind(within(t), "x"); err == nil {
		t.Fatal("bound")
	}
	if took := time.Since(start); took < 400*time.Millisecond || took > 2*time.Second {
		t.Errorf("held for %v, want 0.4 s", took)
	}
}

func TestRefusedByAnotherModule(t *testing.T) { servers.EachVersion(t, testRefusedByAnotherModule) }

func testRefusedByAnotherModule(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Late: true})
	c := connect(t, server, true)
	c.on(allowAll)
	old := login(t, server, xmppclient.TCP, "heidi", "en")
	mustBind(t, old, "old")
	sid := c.event("bind", "heidi", "old").Attr("sid")
	same := login(t, server, xmppclient.TCP, "heidi", "en")
	mustBind(t, same, "was-refused-once")
	c.on(func(a ask) string { return a.allow(kickOf(sid, "code='takeover'", "")) })
	if _, err := login(t, server, xmppclient.TCP, "heidi", "en").Bind(within(t), "refused"); err == nil {
		t.Fatal("bound")
	}
	if e := c.event("gone", "heidi", ""); e.Attr("ask_id") != c.ask(3).node.Attr("ask_id") {
		t.Errorf("gone: %s", e.Raw)
	}
	mustLive(t, old)
	// The armed kick is off again: another ending has its own words.
	if err := server.End(t.Context(), "heidi"); err != nil {
		t.Fatal(err)
	}
	if e := mustEnd(t, old); e.Condition != "policy-violation" {
		t.Errorf("stream error: %s", e.Raw)
	}
}

func TestKickBeforeBind(t *testing.T) { servers.EachVersion(t, testKickBeforeBind) }

func testKickBeforeBind(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Late: true})
	c := connect(t, server, true)
	c.on(allowAll)
	slow := login(t, server, xmppclient.TCP, "ivan", "en")
	bound := make(chan error, 1)
	go func() {
		_, err := slow.Bind(within(t), "slow")
		bound <- err
	}()
	sid := c.ask(1).node.Attr("sid")
	answer := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"' code='kick'><text xml:lang='en'>early</text></kick>")
	if k := answer.Child(ns, "kick"); k == nil || k.Attr("pending") != "1" {
		t.Fatalf("kick of a session that is not bound: %s", answer.Raw)
	}
	servers.AwaitHeld(t, server)
	if err := server.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	if e := mustEnd(t, slow); e.Ended == nil || e.Ended.Code != "kick" || e.Text != "early" {
		t.Errorf("stream error: %s", e.Raw)
	}
	c.event("bind", "ivan", "slow")
	if e := c.event("unbind", "ivan", "slow"); e.Attr("reason") != "kick" {
		t.Errorf("unbind: %s", e.Raw)
	}
}

// TestKickInAnswerBeforeBind: an answer names a session that was allowed before it and is not bound yet.
func TestKickInAnswerBeforeBind(t *testing.T) { servers.EachVersion(t, testKickInAnswerBeforeBind) }

func testKickInAnswerBeforeBind(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Late: true})
	c := connect(t, server, true)
	c.on(allowAll)
	slow := login(t, server, xmppclient.TCP, "kim", "en")
	bound := make(chan error, 1)
	go func() {
		_, err := slow.Bind(within(t), "slow")
		bound <- err
	}()
	sid := c.ask(1).node.Attr("sid")
	c.on(func(a ask) string { return a.allow(kickOf(sid, "code='takeover'", "")) })
	winner := login(t, server, xmppclient.TCP, "kim", "en")
	mustBind(t, winner, "winner")
	servers.AwaitHeld(t, server)
	if err := server.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	if e := mustEnd(t, slow); e.Ended == nil || e.Ended.Code != "takeover" {
		t.Errorf("stream error: %s", e.Raw)
	}
	mustLive(t, winner)
}

// TestTwoHosts: one component serves two virtual hosts, each with a module of its own.
func TestTwoHosts(t *testing.T) { servers.EachVersion(t, testTwoHosts) }

func testTwoHosts(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Twin: true})
	c := connect(t, server, true)
	c.await("two hellos", func() bool { return c.hellos == 2 })
	client := loginWith(t, server, xmppclient.Options{Domain: server.Twin(), User: "lee"})
	bound := make(chan error, 1)
	go func() {
		_, err := client.Bind(within(t), "x")
		bound <- err
	}()
	a := c.ask(1)
	c.domain = server.Twin()
	c.send(a.allow())
	if err := <-bound; err != nil {
		t.Fatal(err)
	}
	kick := "<kick xmlns='" + ns + "' sid='" + a.node.Attr("sid") + "'/>"
	c.domain = server.Domain()
	if condition, _ := conditionOf(c.request("set", kick)); condition != "item-not-found" {
		t.Errorf("the other host's session: %s", condition)
	}
	mustLive(t, client)
	c.domain = server.Twin()
	if answer := c.request("set", kick); answer.Attr("type") != "result" {
		t.Errorf("kick: %s", answer.Raw)
	}
	_ = mustEnd(t, client)
}
