package xmppbridge

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

const (
	testComponent = "bindgate.example.org"
	testSecret    = "s3cret"
)

// pipes is a server address whose connections are net.Pipes.
type pipes struct {
	conns chan net.Conn
	away  atomic.Bool // refuses connections
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn, 16)} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	if p.away.Load() {
		return nil, errors.New("connection refused")
	}
	server, client := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// server is the server's side of one connection.
type server struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	got  chan string // stanzas of the bridge; closed at the end of the connection
	end  chan string // how the stream ended
	mute atomic.Bool // its module does not answer when it is asked whether it is still there
}

// accept waits for a connection.
func (p *pipes) accept(t testing.TB) *server {
	t.Helper()
	select {
	case c := <-p.conns:
		t.Cleanup(func() { _ = c.Close() })
		return &server{t: t, conn: c, r: bufio.NewReader(c), got: make(chan string, 10_000), end: make(chan string, 1)}
	case <-time.After(time.Minute):
		t.Fatal("no connection within a minute")
		return nil
	}
}

// open answers the stream header.
func (p *server) open() {
	p.t.Helper()
	header := p.until(">")
	want := "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='" + testComponent + "'>"
	if header != want {
		p.t.Fatalf("stream header\n got %s\nwant %s", header, want)
	}
	p.send("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='" + testComponent + "' id='stream1'>")
}

// greet does the whole handshake and reads on in the background. What is given is sent in the same write as <handshake/>.
func (p *server) greet(more string) *server {
	p.t.Helper()
	p.open()
	want := fmt.Sprintf("<handshake>%x</handshake>", sha1.Sum([]byte("stream1"+testSecret)))
	if got := p.until("</handshake>"); got != want {
		p.t.Fatalf("handshake\n got %s\nwant %s", got, want)
	}
	go p.pump()
	p.send("<handshake/>" + more)
	return p
}

func (p *server) until(end string) string {
	p.t.Helper()
	var s strings.Builder
	for !strings.HasSuffix(s.String(), end) {
		b, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatalf("bridge closed the connection after %q: %v", s.String(), err)
		}
		s.WriteByte(b)
	}
	return s.String()
}

func (p *server) pump() {
	defer close(p.got)
	f := newFramer(p.r)
	for {
		fr, err := f.next(func(head) int { return 1 << 20 })
		if err != nil {
			if errors.Is(err, errStreamEnd) {
				p.end <- "</stream:stream>"
				_, _ = p.conn.Write([]byte("</stream:stream>"))
				return
			}
			p.end <- err.Error()
			return
		}
		if id, ok := check(string(fr.body)); ok && !p.mute.Load() {
			_, _ = p.conn.Write([]byte("<iq type='result' id='" + id + "' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='0'/></iq>"))
			continue
		}
		p.got <- string(fr.body)
	}
}

// check reports whether a stanza asks the module whether it is still there.
func check(stanza string) (id string, ok bool) {
	rest, get := strings.CutPrefix(stanza, "<iq type='get' id='")
	id, rest, _ = strings.Cut(rest, "'")
	return id, get && rest == " from='bindgate.example.org' to='example.org'><hello xmlns='urn:bindgate:1'/></iq>"
}

func (p *server) send(s string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(s)); err != nil {
		p.t.Fatalf("the bridge does not read %.200s: %v", s, err)
	}
}

var ourID = regexp.MustCompile(`bg-[A-Z2-7]{10}-`)

// recv is the next stanza of the bridge. Its ids begin with "bg-" and are counted.
func (p *server) recv() string {
	p.t.Helper()
	s, ok := p.recvRaw()
	if !ok {
		p.t.Fatal("the connection ended")
	}
	return ourID.ReplaceAllString(s, "bg-")
}

func (p *server) recvRaw() (string, bool) {
	p.t.Helper()
	select {
	case s, ok := <-p.got:
		return s, ok
	case <-time.After(time.Minute):
		p.t.Fatal("no stanza within a minute")
		return "", false
	}
}

// expect compares the next stanza of the bridge.
func (p *server) expect(want string) {
	p.t.Helper()
	if got := p.recv(); got != want {
		p.t.Fatalf("stanza of the bridge\n got %s\nwant %s", got, want)
	}
}

// answer answers the next request of the bridge and returns it.
func (p *server) answer(kind, payload string) string {
	p.t.Helper()
	s, ok := p.recvRaw()
	if !ok {
		p.t.Fatal("the connection ended")
	}
	h, err := parseHead([]byte(s))
	if err != nil {
		p.t.Fatalf("%s: %v", s, err)
	}
	p.send(fmt.Sprintf("<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", kind, h.id, h.to, h.from, payload))
	return ourID.ReplaceAllString(s, "bg-")
}

// fakeGate writes down what it is told.
type fakeGate struct {
	said chan string // one line per call
	link chan gate.Link
	ask  func(gate.Ask, func(gate.Answer)) // answers asks; nil: never
}

func newFakeGate() *fakeGate {
	return &fakeGate{said: make(chan string, 100_000), link: make(chan gate.Link, 100)}
}

func (g *fakeGate) Connected(link string, l gate.Link) {
	g.said <- "connected " + link
	g.link <- l
}

func (g *fakeGate) Disconnected(link string, reason error) {
	g.said <- fmt.Sprintf("disconnected %s: %v", link, reason)
}

func (g *fakeGate) Hello(h gate.Hello) {
	line := fmt.Sprintf("hello %s version %s epoch %s seq %d", h.Domain, h.Version, h.Epoch, h.Seq)
	if h.Rival != (gate.Rival{}) {
		line += fmt.Sprintf(" rival %q", []string{h.Rival.Database, h.Rival.Link})
	}
	if h.Refused != "" {
		line += " refused: " + h.Refused
	}
	g.said <- line
}

func (g *fakeGate) Ask(a gate.Ask, answer func(gate.Answer)) {
	g.said <- fmt.Sprintf("ask %s@%s/%s %s", a.User, a.Domain, a.Resource, a.ID)
	if g.ask != nil {
		g.ask(a, answer)
	}
}

func (g *fakeGate) Event(e gate.Event) {
	g.said <- fmt.Sprintf("event %s %d %s@%s/%s", e.Kind, e.Seq, e.User, e.Domain, e.Resource)
}

func (g *fakeGate) Problem(_, domain, text string) {
	g.said <- fmt.Sprintf("problem %s: %s", domain, text)
}

// expect compares the next call.
func (g *fakeGate) expect(t testing.TB, want string) {
	t.Helper()
	if got := g.next(t); got != want {
		t.Fatalf("the gate was told\n got %s\nwant %s", got, want)
	}
}

func (g *fakeGate) next(t testing.TB) string {
	t.Helper()
	select {
	case s := <-g.said:
		return s
	case <-time.After(time.Minute):
		t.Fatal("the gate was told nothing for a minute")
		return ""
	}
}

// start runs a bridge until the test ends.
func start(t testing.TB, p *pipes, g *fakeGate, change func(*Config)) *Bridge {
	t.Helper()
	cfg := Config{Name: "main", Addr: "127.0.0.1:5347", Component: testComponent, Secret: testSecret, Version: "0.1.0", dial: p.dial}
	if change != nil {
		change(&cfg)
	}
	b := New(cfg, g)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

const helloXML = `<iq type='set' id='h1' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' module='0.1.0' server='Prosody' server_version='0.12.3' node='' epoch='E1' seq='0' sessions='0' mode='enforce' on_failure='allow' timeout_ms='5000' abilities='ask kick probe snapshot mode'/></iq>`

const helloAnswerXML = `<iq type='result' id='h1' from='bindgate.example.org' to='example.org'><hello xmlns='urn:bindgate:1' version='1' bindgate='0.1.0'/></iq>`

// up is a bridge whose link is up and whose host has said hello.
func up(t testing.TB, g *fakeGate, change func(*Config)) (*Bridge, *server, gate.Link) {
	t.Helper()
	p := newPipes()
	b := start(t, p, g, change)
	srv := p.accept(t).greet("")
	g.expect(t, "connected main")
	srv.send(helloXML)
	g.expect(t, "hello example.org version 1 epoch E1 seq 0")
	srv.expect(helloAnswerXML)
	return b, srv, <-g.link
}

// wellFormed says whether XML can be read.
func wellFormed(s string) error {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
	}
}
