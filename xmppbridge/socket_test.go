package xmppbridge

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// listen is a server on a real socket.
func listen(t *testing.T, wrap func(net.Conn) net.Conn) (addr string, accept func() *server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), func() *server {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c = wrap(c)
		t.Cleanup(func() { _ = c.Close() })
		return &server{t: t, conn: c, r: bufio.NewReader(c), got: make(chan string, 10_000), end: make(chan string, 1)}
	}
}

func plain(c net.Conn) net.Conn { return c }

func TestSockets(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	certs := &tls.Config{Certificates: web.TLS.Certificates}
	trusted := web.Client().Transport.(*http.Transport).TLSClientConfig
	for name, tt := range map[string]struct {
		wrap func(net.Conn) net.Conn
		tls  *tls.Config
	}{
		"TCP": {plain, nil},
		"TLS": {func(c net.Conn) net.Conn { return tls.Server(c, certs) }, trusted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeGate()
			g.ask = func(_ gate.Ask, answer func(gate.Answer)) { answer(gate.Answer{Outcome: gate.Allow}) }
			addr, accept := listen(t, tt.wrap)
			start(t, newPipes(), g, func(c *Config) { c.dial, c.Addr, c.TLS = nil, addr, tt.tls })
			s := accept().greet(helloXML + askXML)
			s.expect(helloAnswerXML)
			s.expect(`<iq type='result' id='a1' from='bindgate.example.org' to='example.org'><allow xmlns='urn:bindgate:1' ask_id='q1'></allow></iq>`)
		})
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	g := newFakeGate()
	start(t, newPipes(), g, func(c *Config) { c.dial, c.Addr, c.TLS = nil, web.Listener.Addr().String(), &tls.Config{} })
	if got := g.next(t); !strings.HasPrefix(got, "disconnected main: TLS with 127.0.0.1:") || !strings.Contains(got, "certificate") {
		t.Errorf("the gate was told %s", got)
	}
}

// TestNagle has a server that leaves Nagle's algorithm on and sends an event and then an ask: the ask must not wait for a delayed acknowledgement.
func TestNagle(t *testing.T) {
	t.Parallel()
	g := newFakeGate()
	g.ask = func(_ gate.Ask, answer func(gate.Answer)) { answer(gate.Answer{Outcome: gate.Allow}) }
	addr, accept := listen(t, plain)
	start(t, newPipes(), g, func(c *Config) { c.dial, c.Addr = nil, addr })
	s := accept()
	if err := s.conn.(*net.TCPConn).SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	s.greet(helloXML)
	s.expect(helloAnswerXML)
	const trials = 50
	slow := 0
	for range trials {
		begin := time.Now()
		s.send(`<message from='example.org' to='bindgate.example.org'><event xmlns='urn:bindgate:1' kind='unbind' epoch='E1' seq='1' user='a' sid='S'/></message>`)
		s.send(askXML)
		s.recv()
		if time.Since(begin) > 30*time.Millisecond {
			slow++
		}
	}
	if slow > trials/2 {
		t.Errorf("%d of %d asks took more than 30 ms", slow, trials)
	}
}

func BenchmarkAsk(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		e, err := parseElement([]byte(askXML))
		if err != nil {
			b.Fatal(err)
		}
		a, err := parseAsk(e.children[0], source, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := encodeAnswer(envelope{from: testComponent, to: "example.org", id: "a1"}, gate.Answer{AskID: a.ID, Outcome: gate.Allow}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshotPart(b *testing.B) {
	const one = `<session user='user12345' sid='S1S1S1S1S1S1S1S1' resource='laptop' state='active' age_seconds='3600' idle_seconds='12' ip='192.0.2.9' secure='1' transport='websocket' client_id='d4565fa7-4d72-4749-b3d3-740edbf87770' client='Conversations' lang='en'/>`
	part := []byte(`<iq type='result' id='s1' from='example.org'><snapshot xmlns='urn:bindgate:1' first='0' count='64' total='15000' epoch='E1' seq='42'>` + strings.Repeat(one, 100) + `</snapshot></iq>`)
	b.SetBytes(int64(len(part)))
	b.ReportAllocs()
	for b.Loop() {
		fr, err := newFramer(bufio.NewReader(strings.NewReader(string(part)))).next(func(head) int { return maxAnswer })
		if err != nil {
			b.Fatal(err)
		}
		e, err := answer(fr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := parsePart(e.children[0], source, 0, 64); err != nil {
			b.Fatal(err)
		}
	}
}
