package conformance

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

const ns = "urn:bindgate:1"

// patience is how long a test waits for what must come. It is no measure of speed: machines of tests are busy.
const patience = 30 * time.Second

// component plays bindgate: a raw XEP-0114 stream whose answers a test writes.
type component struct {
	t      testing.TB
	conn   net.Conn
	jid    string
	domain string

	mu    sync.Mutex
	asks  []*xmppclient.Element
	evs   []event
	other []*xmppclient.Element
	wake  chan struct{}
	// answer is called on the reading goroutine with each ask; it returns what to send, "" for nothing.
	answer func(ask ask) string
	ids    int
	hellos int
	gone   chan struct{}
}

type ask struct {
	iq   string
	node *xmppclient.Element
}

func (a ask) allow(kicks ...string) string {
	return fmt.Sprintf("<iq type='result' id='%s' from='%%s' to='%%s'><allow xmlns='%s' ask_id='%s'>%s</allow></iq>",
		xmppclient.Escape(a.iq), ns, xmppclient.Escape(a.node.Attr("ask_id")), strings.Join(kicks, ""))
}

func (a ask) deny(attrs, content string) string {
	return fmt.Sprintf("<iq type='result' id='%s' from='%%s' to='%%s'><deny xmlns='%s' ask_id='%s' %s>%s</deny></iq>",
		xmppclient.Escape(a.iq), ns, xmppclient.Escape(a.node.Attr("ask_id")), attrs, content)
}

func (a ask) fail() string {
	return "<iq type='error' id='" + xmppclient.Escape(a.iq) + "' from='%s' to='%s'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

func kickOf(sid, attrs, text string) string {
	return "<kick sid='" + sid + "' " + attrs + ">" + text + "</kick>"
}

type event struct {
	kind string
	seq  int
	node *xmppclient.Element
}

// connect authenticates as the server's component. With hello, the module's hello is answered and waited for.
func connect(t testing.TB, server servers.Server, hello bool) *component {
	t.Helper()
	c := connectAs(t, server, server.ComponentJID(), hello)
	if hello {
		c.await("a hello", func() bool { return c.hellos > 0 })
		c.request("get", "<hello xmlns='"+ns+"'/>") // the module has read our answer when it answers this
	}
	return c
}

// connectAs authenticates as any component. With hello, a module's hello is answered.
func connectAs(t testing.TB, server servers.Server, jid string, hello bool) *component {
	t.Helper()
	return connectBy(t, server, jid, server.Secret(), hello)
}

// connectBy is connectAs with a secret that may be the component's own.
func connectBy(t testing.TB, server servers.Server, jid, secret string, hello bool) *component {
	t.Helper()
	_, addr := server.Addresses()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &component{t: t, conn: conn, jid: jid, domain: server.Domain(), wake: make(chan struct{}), gone: make(chan struct{})}
	t.Cleanup(c.cut)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>", c.jid)
	reader := xmppclient.NewReader(conn)
	header, err := reader.Header()
	if err != nil {
		t.Fatalf("component stream: %v", err)
	}
	sum := sha1.Sum([]byte(header.Attr("id") + secret))
	fmt.Fprintf(conn, "<handshake>%s</handshake>", hex.EncodeToString(sum[:]))
	if e, err := reader.Next(); err != nil || e.Name.Local != "handshake" {
		t.Fatalf("component handshake: %+v, %v", e, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go c.read(reader, hello)
	return c
}

func (c *component) read(reader *xmppclient.Reader, hello bool) {
	defer close(c.gone)
	for {
		e, err := reader.Next()
		if err != nil {
			return
		}
		c.mu.Lock()
		answer := c.answer
		c.mu.Unlock()
		var reply string
		var a ask
		switch {
		case e.Child(ns, "ask") != nil:
			a = ask{iq: e.Attr("id"), node: e.Child(ns, "ask")}
			if answer != nil {
				reply = answer(a)
			}
		case e.Child(ns, "hello") != nil && e.Attr("type") == "set" && hello:
			reply = "<iq type='result' id='" + e.Attr("id") + "' from='%s' to='%s'><hello xmlns='" + ns + "' version='1' bindgate='0.1.0' record='first'/></iq>"
		}
		c.mu.Lock() // who sees the ask knows that it is answered, and whose bind is answered that it was asked
		if reply != "" {
			c.write(fmt.Sprintf(reply, c.jid, e.Attr("from")))
		}
		switch {
		case a.node != nil:
			c.asks = append(c.asks, e)
		case e.Child(ns, "event") != nil:
			node := e.Child(ns, "event")
			seq, _ := strconv.Atoi(node.Attr("seq"))
			c.evs = append(c.evs, event{kind: node.Attr("kind"), seq: seq, node: node})
		default:
			c.other = append(c.other, e)
			if e.Child(ns, "hello") != nil && e.Attr("type") == "set" { // the module's own, no answer to ours
				c.hellos++
			}
		}
		close(c.wake)
		c.wake = make(chan struct{})
		c.mu.Unlock()
	}
}

// send writes a stanza; its two %s are filled with our address and the host's.
func (c *component) send(stanza string) {
	c.write(fmt.Sprintf(stanza, c.jid, c.domain))
}

func (c *component) write(text string) {
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Logf("component send: %v", err)
	}
}

func (c *component) cut() { c.conn.Close() }

// on sets what is answered to asks from now on.
func (c *component) on(answer func(a ask) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// await waits until ok, which is called with the lock held.
func (c *component) await(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		done, wake := ok(), c.wake
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-wake:
		case <-deadline.C:
			c.mu.Lock()
			defer c.mu.Unlock()
			var got []string
			for _, e := range c.evs {
				got = append(got, fmt.Sprintf("%s %d %s/%s", e.kind, e.seq, e.node.Attr("user"), e.node.Attr("resource")))
			}
			c.t.Fatalf("waited for %s; events so far:\n%s", what, strings.Join(got, "\n"))
		}
	}
}

// event waits for an event of that kind, of that user, on that resource ("" for any), and takes it out.
func (c *component) event(kind, user, resource string) *xmppclient.Element {
	c.t.Helper()
	var found *xmppclient.Element
	c.await(fmt.Sprintf("event %s of %s/%s", kind, user, resource), func() bool {
		for i, e := range c.evs {
			if e.kind == kind && (user == "" || e.node.Attr("user") == user) && (resource == "" || e.node.Attr("resource") == resource) {
				found = e.node
				c.evs = append(c.evs[:i:i], c.evs[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// ask waits for the n-th ask (from 1).
func (c *component) ask(n int) ask {
	c.t.Helper()
	c.await(fmt.Sprintf("ask %d", n), func() bool { return len(c.asks) >= n })
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.asks[n-1]
	return ask{iq: e.Attr("id"), node: e.Child(ns, "ask")}
}

// request sends an IQ and returns the answer.
func (c *component) request(typ, content string) *xmppclient.Element {
	c.t.Helper()
	return c.requestOf(c.domain, typ, content)
}

// requestOf is one that is sent to anybody.
func (c *component) requestOf(to, typ, content string) *xmppclient.Element {
	c.t.Helper()
	c.mu.Lock()
	c.ids++
	id := fmt.Sprintf("r%d", c.ids)
	c.mu.Unlock()
	c.write("<iq type='" + typ + "' id='" + id + "' from='" + c.jid + "' to='" + to + "'>" + content + "</iq>")
	var found *xmppclient.Element
	c.await("the answer to "+content, func() bool {
		for i, e := range c.other {
			if e.Name.Local == "iq" && e.Attr("id") == id {
				found = e
				c.other = append(c.other[:i:i], c.other[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// conditionOf is the condition and text of an error answer.
func conditionOf(e *xmppclient.Element) (condition, text string) {
	node := e.Child("", "error")
	if node == nil {
		return "", ""
	}
	for _, child := range node.Children {
		if child.Name.Local == "text" {
			text = child.Text
		} else if condition == "" {
			condition = child.Name.Local
		}
	}
	return condition, text
}

// login dials a client.
func login(t testing.TB, server servers.Server, transport xmppclient.Transport, user, lang string) *xmppclient.Client {
	t.Helper()
	return loginWith(t, server, xmppclient.Options{Transport: transport, User: user, Lang: lang})
}

func loginWith(t testing.TB, server servers.Server, o xmppclient.Options) *xmppclient.Client {
	t.Helper()
	o.Addr, _ = server.Addresses()
	o.Domain = cmp.Or(o.Domain, server.Domain())
	switch o.Transport {
	case xmppclient.WebSocket:
		o.URL = server.WebSocketURL()
	case xmppclient.BOSH:
		o.URL = server.BOSHURL()
		o.LangOnBind, o.Patient = !server.Kind().Able(servers.BOSHLanguage), !server.Kind().Able(servers.BOSHOrder)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := xmppclient.Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Cut)
	return client
}

// within is a context for one step of a test.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// said waits until the server's log, which is written beside its work, has said something so many times, and not more often.
func said(t testing.TB, server servers.Server, what string, times int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		log := server.Log()
		got := strings.Count(log, what)
		if got == times {
			return
		}
		if got > times || time.Now().After(deadline) {
			t.Errorf("the log says %q %d times, want %d:\n%s", what, got, times, log)
			return
		}
	}
}

func mustBind(t testing.TB, c *xmppclient.Client, resource string) xmppclient.BindResult {
	t.Helper()
	r, err := c.Bind(within(t), resource)
	if err != nil {
		t.Fatalf("bind %q: %v", resource, err)
	}
	return r
}

// mustEnd waits for the client's stream error.
func mustEnd(t testing.TB, c *xmppclient.Client) *xmppclient.StreamError {
	t.Helper()
	e, err := c.WaitClosed(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		t.Fatalf("the stream ended without a stream error: %v", c.Err())
	}
	return e
}

func domainOf(c *xmppclient.Client) string {
	_, domain, _ := strings.Cut(c.JID(), "@")
	domain, _, _ = strings.Cut(domain, "/")
	return domain
}

// mustLive proves that a client's stream still works.
func mustLive(t testing.TB, c *xmppclient.Client) {
	t.Helper()
	if _, err := c.IQ(within(t), domainOf(c), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
		t.Fatalf("%s should live: %v", c.JID(), err)
	}
}
