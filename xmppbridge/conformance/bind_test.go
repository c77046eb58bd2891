package conformance

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

var transports = []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket, xmppclient.BOSH}

func allowAll(a ask) string { return a.allow() }

func TestHelloAskAllowEvents(t *testing.T) { servers.EachVersion(t, testHelloAskAllowEvents) }

func testHelloAskAllowEvents(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)

	hello := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello")
	for name, want := range map[string]string{
		"version": "1", "server": on.Software, "seq": "0", "sessions": "0", "mode": "enforce", "on_failure": "allow", "timeout_ms": "5000",
		"abilities": "ask kick probe snapshot mode language hold ended revoke",
	} {
		if got := hello.Attr(name); got != want {
			t.Errorf("hello %s=%q, want %q", name, got, want)
		}
	}

	began := time.Now()
	first := login(t, server, xmppclient.TCP, "alice", "ja")
	mustBind(t, first, "laptop")
	a1 := c.ask(1)
	bound := c.event("bind", "alice", "laptop")
	if bound.Attr("ask_id") != a1.node.Attr("ask_id") || bound.Attr("sid") != a1.node.Attr("sid") || bound.Attr("seq") != "1" ||
		bound.Attr("epoch") != hello.Attr("epoch") || bound.Attr("state") != "active" || bound.Attr("lang") != "ja" || bound.Attr("transport") != "tcp" {
		t.Errorf("bind event: %s", bound.Raw)
	}
	second := login(t, server, xmppclient.WebSocket, "alice", "en")
	r, err := second.BindWith(within(t), xmppclient.BindOptions{Takeover: "tok<&>'\"", Lang: "zh"})
	if err != nil {
		t.Fatal(err)
	}
	a2 := c.ask(2).node
	secure := "" // the tests' Prosody takes the loopback for safe
	if on.Able(servers.HTTPSecurity) {
		secure = "1"
	}
	for name, want := range map[string]string{
		"user": "alice", "resource": r.Resource, "chosen": "", "client_id": "", "client": "", "ip": "127.0.0.1", "secure": secure, "transport": "websocket",
		"lang": "zh", "takeover": "tok<&>'\"", "deadline_ms": "5000", "seq": "1", "epoch": hello.Attr("epoch"), "more": "",
	} {
		if got := a2.Attr(name); got != want {
			t.Errorf("ask %s=%q, want %q", name, got, want)
		}
	}
	if e := c.event("bind", "alice", r.Resource); e.Attr("takeover") != "" {
		t.Errorf("a token that was asked about is told again: %s", e.Raw)
	}
	if len(a2.Children) != 1 {
		t.Fatalf("ask: %s", a2.Raw)
	}
	s := a2.Children[0]
	if s.Attr("sid") != a1.node.Attr("sid") || s.Attr("resource") != "laptop" || s.Attr("state") != "active" || s.Attr("user") != "" {
		t.Errorf("session in ask: %s", s.Raw)
	}
	if age, err := strconv.Atoi(s.Attr("age_seconds")); err != nil || age < 0 || float64(age) > time.Since(began).Seconds()+1 {
		t.Errorf("session in ask %v after its login: %s", time.Since(began), s.Raw)
	}
	if a1.node.Attr("chosen") != "1" || len(a1.node.Attr("sid")) < 16 || a1.node.Attr("sid") == a2.Attr("sid") {
		t.Errorf("first ask: %s", a1.node.Raw)
	}
	first.Close()
	if e := c.event("unbind", "alice", "laptop"); e.Attr("reason") != "logout" {
		t.Errorf("logout: %s", e.Raw)
	}
	second.Cut()
	if e := c.event("unbind", "alice", ""); e.Attr("reason") != "lost" {
		t.Errorf("lost: %s", e.Raw)
	}
}

func TestTakeoverOtherResource(t *testing.T) { servers.EachVersion(t, testTakeoverOtherResource) }

func testTakeoverOtherResource(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			user := "bob-" + transport.String()
			c.on(allowAll)
			old := login(t, server, transport, user, "ja")
			mustBind(t, old, "old")
			sid := c.event("bind", user, "old").Attr("sid")
			c.on(func(a ask) string {
				return a.allow(kickOf(sid, "code='takeover' device='Pixel &lt;9&gt;' platform='android' at='2026-11-23T08:00:00Z'", "<text xml:lang='ja'>別の端末</text>"))
			})
			newcomer := login(t, server, transport, user, "en")
			mustBind(t, newcomer, "new")
			e := mustEnd(t, old)
			if e.Condition != "conflict" || e.Text != "別の端末" || e.Lang != "ja" || e.Ended == nil ||
				*e.Ended != (xmppclient.Ended{Code: "takeover", Device: "Pixel <9>", Platform: "android", At: "2026-11-23T08:00:00Z"}) {
				t.Errorf("stream error: %s", e.Raw)
			}
			if e := c.event("unbind", user, "old"); e.Attr("reason") != "kick" || e.Attr("sid") != sid {
				t.Errorf("unbind: %s", e.Raw)
			}
			c.event("bind", user, "new")
			mustLive(t, newcomer)
		})
	}
}

func TestTakeoverSameResource(t *testing.T) { servers.EachVersion(t, testTakeoverSameResource) }

func testTakeoverSameResource(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			user := "carol-" + transport.String()
			c.on(allowAll)
			old := login(t, server, transport, user, "ja")
			mustBind(t, old, "phone")
			sid := c.event("bind", user, "phone").Attr("sid")
			c.on(func(a ask) string {
				return a.allow(kickOf(sid, "code='takeover'", "<text xml:lang='zh'>再见</text>"))
			})
			newcomer := login(t, server, transport, user, "en")
			mustBind(t, newcomer, "phone")
			e := mustEnd(t, old)
			if e.Condition != "conflict" || e.Text != "再见" || e.Lang != "zh" || e.Ended == nil || *e.Ended != (xmppclient.Ended{Code: "takeover"}) {
				t.Errorf("stream error: %s", e.Raw)
			}
			if e := c.event("unbind", user, "phone"); e.Attr("reason") != "kick" || e.Attr("sid") != sid {
				t.Errorf("unbind: %s", e.Raw)
			}
			c.event("bind", user, "phone")
			mustLive(t, newcomer)

			// Not named by bindgate: the server's own replacement.
			c.on(allowAll)
			third := login(t, server, transport, user, "en")
			mustBind(t, third, "phone")
			if e := mustEnd(t, newcomer); e.Ended != nil || e.Condition != "conflict" {
				t.Errorf("stream error: %s", e.Raw)
			}
			if e := c.event("unbind", user, "phone"); e.Attr("reason") != "replaced" {
				t.Errorf("unbind: %s", e.Raw)
			}
		})
	}
}

func TestDeny(t *testing.T) { servers.EachVersion(t, testDeny) }

func testDeny(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			user := "dave-" + transport.String()
			client := login(t, server, transport, user, "ja")
			for _, tc := range []struct {
				attrs, content string
				want           xmppclient.StanzaError
				code           string
				retry          int
			}{
				{
					"code='limit' type='wait' condition='resource-constraint' retry_after='30' hold_ms='0'", "<text xml:lang='ja'>満員</text>",
					xmppclient.StanzaError{Type: "wait", Condition: "resource-constraint", Text: "満員", Lang: "ja"},
					"limit", 30,
				},
				{
					"code='same_resource' type='cancel' condition='conflict'", "<text xml:lang='zh'>占用</text>",
					xmppclient.StanzaError{Type: "cancel", Condition: "conflict", Text: "占用", Lang: "zh"},
					"same_resource", -1,
				},
				{
					"code='blocked' type='cancel' condition='not-allowed'", "",
					xmppclient.StanzaError{Type: "cancel", Condition: "not-allowed"},
					"blocked", -1,
				},
				{
					"code='choose' type='wait' condition='resource-constraint'", "<text xml:lang='en'>choose</text><session token='t1' device='A &amp; B' idle_seconds='3'/><session token='t2'/>",
					xmppclient.StanzaError{Type: "wait", Condition: "resource-constraint", Text: "choose", Lang: "en"},
					"choose", -1,
				},
			} {
				c.on(func(a ask) string { return a.deny(tc.attrs, tc.content) })
				_, err := client.Bind(within(t), "x")
				var e *xmppclient.StanzaError
				if !errors.As(err, &e) {
					t.Fatalf("%s: %v", tc.code, err)
				}
				if e.Type != tc.want.Type || e.Condition != tc.want.Condition || e.Text != tc.want.Text || e.Lang != tc.want.Lang ||
					e.Denied == nil || e.Denied.Code != tc.code || e.Denied.RetryAfter != tc.retry {
					t.Errorf("%s: %s", tc.code, e.Raw)
				}
				if tc.code == "choose" && (len(e.Denied.Sessions) != 2 || e.Denied.Sessions[0].Attr("device") != "A & B") {
					t.Errorf("choose: %s", e.Raw)
				}
			}
			c.on(allowAll)
			mustBind(t, client, "y")
			mustLive(t, client)
			// Errors of other clients are as they were: the text's language did not leak into the shared table.
			if _, err := client.IQ(within(t), "", "set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>", ""); err == nil {
				t.Error("a second bind on a bound stream must fail")
			} else if e := new(xmppclient.StanzaError); errors.As(err, &e) && (e.Lang == "ja" || e.Lang == "zh" || e.Denied != nil) {
				t.Errorf("leaked: %s", e.Raw)
			}
		})
	}
}
