package conformance

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

func TestHibernateAndResume(t *testing.T) { servers.EachVersion(t, testHibernateAndResume) }

func testHibernateAndResume(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	for i, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		user := "judy-" + transport.String()
		first := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: true})
		mustBind(t, first, "phone")
		sid := c.event("bind", user, "").Attr("sid")
		first.Cut()
		c.event("hibernate", user, "")
		if i == 0 {
			// The server's list in an ask shows it.
			other := login(t, server, xmppclient.TCP, user, "en")
			mustBind(t, other, "other")
			if s := c.ask(2).node.Children[0]; s.Attr("state") != "hibernating" || s.Attr("sid") != sid {
				t.Errorf("session in ask: %s", s.Raw)
			}
			other.Close()
		}
		second := login(t, server, transport, user, "en")
		if err := second.Resume(within(t), first.SMID(), first.Handled()); err != nil {
			t.Fatal(err)
		}
		if e := c.event("resume", user, ""); e.Attr("sid") != sid || e.Attr("ip") != "127.0.0.1" || e.Attr("transport") != transport.String() {
			t.Errorf("resume: %s", e.Raw)
		}
		// The probe still works over the new connection, and the kick ends it for good.
		if got := probe(c, 2000, sid); got[sid] != "alive" {
			t.Errorf("probe after resume: %v", got)
		}
		if a := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"'/>"); a.Attr("type") != "result" {
			t.Fatalf("kick: %s", a.Raw)
		}
		_ = mustEnd(t, second)
		if err := login(t, server, transport, user, "en").Resume(within(t), first.SMID(), 0); !errors.Is(err, xmppclient.ErrResumeFailed) {
			t.Errorf("resumed: %v", err)
		}
	}
	// Every event once, in order.
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 1; i < len(c.evs); i++ {
		if c.evs[i].seq <= c.evs[i-1].seq {
			t.Error("events out of order")
		}
	}
}

func TestEventsAreOrderedAndCounted(t *testing.T) {
	servers.EachVersion(t, testEventsAreOrderedAndCounted)
}

func testEventsAreOrderedAndCounted(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	var wg sync.WaitGroup
	const n = 60
	for i := range n {
		wg.Go(func() {
			client := login(t, server, transports[i%3], fmt.Sprintf("many%d", i%10), "en")
			if _, err := client.Bind(within(t), ""); err != nil {
				t.Error(err)
			}
			client.Close()
		})
	}
	wg.Wait()
	c.await("all events", func() bool { return len(c.evs) >= 2*n })
	c.mu.Lock()
	defer c.mu.Unlock()
	bound := map[string]bool{}
	for i, e := range c.evs {
		if e.seq != i+1 {
			t.Fatalf("event %d has seq %d", i+1, e.seq)
		}
		sid := e.node.Attr("sid")
		if e.kind == "bind" {
			if bound[sid] {
				t.Errorf("sid %s bound twice", sid)
			}
			bound[sid] = true
		} else if !bound[sid] {
			t.Errorf("%s of an unbound sid", e.kind)
		}
	}
}

func TestOddUsersAndResources(t *testing.T) { servers.EachVersion(t, testOddUsersAndResources) }

func testOddUsersAndResources(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	lang, tab := "x-"+strings.Repeat("y", 200), "e\tn"
	if !on.Able(servers.LongLanguage) {
		lang, tab = "x-yyyyyyyy-yyyyyyyy-yyyyyyyy", "en"
	}
	for user, prepared := range map[string]string{"a♥b": "a♥b", "straße": "strasse", "UPPER": "upper", "x" + strings.Repeat("é", 400): "x" + strings.Repeat("é", 400)} {
		client := login(t, server, xmppclient.TCP, user, "en")
		for i, resource := range []string{`"quoted" & <tagged> 'x'`, "♥" + strings.Repeat("r", 1020), "a/b@c", "]]>"} {
			if i > 0 {
				client = login(t, server, transports[i%3], user, lang)
			}
			r, err := client.Bind(within(t), resource)
			if err != nil {
				t.Fatalf("%s/%s: %v", user, resource, err)
			}
			e := c.event("bind", prepared, "")
			if e.Attr("resource") != r.Resource || r.Resource != resource || len(e.Attr("lang")) > 64 {
				t.Errorf("bind event: %s", e.Raw)
			}
		}
	}
	// What is no resource at all, and what is no XML: the server's business, never the component stream's.
	for _, content := range []string{
		"<resource>\u2028\u200b\ufeff</resource>", "<resource><x/></resource>", "<resource>" + strings.Repeat("z", 2000) + "</resource>",
		"<resource>\t\r\n </resource>", "<takeover xmlns='" + ns + "'/>", "<takeover xmlns='" + ns + "' token='" + strings.Repeat("♥", 900) + "&#9;&#10;'/>",
		"<resource>&#xE000;&#xFFFD;</resource>", "<resource>\U0001F600\U000E0001</resource>",
	} {
		client := login(t, server, xmppclient.TCP, "odd", tab)
		_, _ = client.IQ(within(t), "", "set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"+content+"</bind>", "")
	}
	for _, raw := range []string{"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>\x01\xff\ufffe</resource></bind></iq>"} {
		client := login(t, server, xmppclient.TCP, "odd", "en")
		_ = client.SendRaw(raw)
	}
	c.request("get", "<hello xmlns='"+ns+"'/>")
	sessions, _ := snapshot(c)
	if !sameDigest(c, 0, 4096, digest(sessions)) {
		t.Error("digest differs")
	}
	select {
	case <-c.gone:
		t.Fatal("the component's stream broke")
	default:
	}
	if errs := server.Errors(); errs != "" {
		t.Errorf("errors in the server's log:\n%s", errs)
	}
}

func TestUnboundStreamsEnd(t *testing.T) { servers.EachVersion(t, testUnboundStreamsEnd) }

func testUnboundStreamsEnd(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{Unbound: time.Second})
	c := connect(t, server, true)
	c.on(allowAll)
	bound := login(t, server, xmppclient.TCP, "bound", "en")
	mustBind(t, bound, "x")
	for _, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		if e := mustEnd(t, login(t, server, transport, "unbound", "en")); e.Condition != "connection-timeout" {
			t.Errorf("stream error: %s", e.Raw)
		}
	}
	mustLive(t, bound)
}
