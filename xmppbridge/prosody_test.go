package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// onProsody runs a bridge on a real server.
func onProsody(t *testing.T, s *prosody.Server, g *fakeGate, change func(*Config)) *Bridge {
	t.Helper()
	cfg := Config{Name: "main", Addr: s.Component, Component: s.ComponentJID(), Secret: Secret(s.Secret()), Version: "0.1.0"}
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

// login makes a stream that is ready to bind.
func login(t *testing.T, s *prosody.Server, user string) *xmppclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: s.C2S, Domain: s.Domain(), User: user})
	if err != nil {
		t.Fatalf("log in as %s: %v", user, err)
	}
	t.Cleanup(c.Cut)
	return c
}

// awaitSaid waits for a call that begins with want, past others.
func (g *fakeGate) awaitSaid(t testing.TB, want string) string {
	t.Helper()
	var all []string
	for {
		select {
		case s := <-g.said:
			if strings.HasPrefix(s, want) {
				return s
			}
			all = append(all, s)
		case <-time.After(20 * time.Second):
			t.Fatalf("the gate was not told %q, but %q", want, all)
		}
	}
}

// TestProsodyUsers has users send the component every odd thing their server lets through.
func TestProsodyUsers(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	g := newFakeGate()
	b := onProsody(t, s, g, nil)
	g.awaitSaid(t, "connected")
	comp := s.ComponentJID()
	unavailable := func(c *xmppclient.Client, to string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		e, err := c.IQ(ctx, to, "get", "<query xmlns='urn:x'/>", "")
		var se *xmppclient.StanzaError
		if !errors.As(err, &se) || se.Condition != "service-unavailable" {
			t.Fatalf("request to %s: %v, %v, want service-unavailable; %s", to, e, err, b.Stats().LastError)
		}
	}
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	odd := []string{
		"<message to='%s'><body>hello</body></message>",
		"<message to='%s' type='♥'/>",
		"<message to='x♥y@%s/☃ ♥'><a:b xmlns:a='urn:a' a:c='d' a:from='localhost'/></message>",
		"<message to='%s'><error xmlns='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></message>",
		"<message to='%s'><stream:error/></message>",
		"<message to='%s'><stream:stream/><stream:features/></message>",
		"<message to='%s' type='error'><error/></message>",
		"<message to='%s'><event xmlns='urn:bindgate:1' kind='unbind' epoch='E1' seq='1' user='alice' sid='S2'/></message>",
		"<message to='%s'><body><![CDATA[</message>]]>&#x10FFFF;&#xFFFD;&amp;&lt;</body></message>",
		"<message to='%s'>" + many(5000, "<a>") + many(5000, "</a>") + "</message>",
		"<message to='%s'>" + many(20000, "<a/>") + "</message>",
		"<message to='%s'><body>" + many(200_000, "x") + "</body></message>",
		"<message to='%s'><body x=\"" + many(200_000, "'") + "\"/></message>",
		"<presence to='%s'/>",
		"<presence to='%s' type='subscribe'/>",
		"<presence to='%s' type='probe'/>",
		"<presence to='%s' type='error'/>",
		"<iq to='%s' type='result' id='a'/>",
		"<iq to='%s' type='error' id='a'/>",
		"<iq to='%s' type='get' id=''><a/></iq>",
		"<iq to='%s' type='set' id=\"" + many(100_000, "'") + "\"><a/></iq>",
		"<iq to='%s' type='set' id='" + many(3000, "&amp;") + "'><a/></iq>",
		"<iq to='%s' type='get' id='&lt;&#9;&#10;&quot;'><a xmlns='urn:x'>" + many(50_000, "<b/>") + "</a></iq>",
		"<iq to='%s' type='get' id='a'><ask xmlns='urn:bindgate:1' ask_id='q1' deadline_ms='5000' user='alice' sid='S2' resource='phone' epoch='E1' seq='0'/></iq>",
		"<iq to='%s' type='set' id='a'><hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='0'/></iq>",
		"<iq to='%s' type='set' id='a'><" + many(20_000, "x") + "/></iq>",
	}
	for i, user := range []string{"alice", "a♥b", many(30, "é"), "a\\40b"} {
		c := login(t, s, user)
		if _, err := c.Bind(t.Context(), fmt.Sprintf("r%d ♥", i)); err != nil {
			t.Fatalf("bind %s: %v", user, err)
		}
		unavailable(c, comp)
		unavailable(c, "x♥y@"+comp+"/☃")
		for _, o := range odd {
			if err := c.SendRaw(fmt.Sprintf(o, comp)); err != nil {
				t.Fatalf("%.80s: %v", o, err)
			}
			unavailable(c, comp)
		}
	}
	if st := b.Stats(); st.Connects != 1 || !st.Connected || st.Hellos+st.Asks+st.Events != 0 {
		t.Errorf("after all that: %+v", st)
	}
	for len(g.said) > 0 {
		t.Errorf("the gate was told: %s", <-g.said)
	}
}

// TestProsodyFlood has users write as fast as they can.
func TestProsodyFlood(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	g := newFakeGate()
	b := onProsody(t, s, g, nil)
	g.awaitSaid(t, "connected")
	c := login(t, s, "mallory")
	if _, err := c.Bind(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	const n = 10_000
	one := fmt.Sprintf("<iq to='%s' type='get' id='flood'><a xmlns='urn:x'/></iq>", s.ComponentJID())
	for range n / 100 {
		if err := c.SendRaw(strings.Repeat(one, 100)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for b.Stats().Strays < n {
		if time.Now().After(deadline) {
			t.Fatalf("not read: %+v", b.Stats())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if st := b.Stats(); st.Connects != 1 || !st.Connected {
		t.Errorf("%+v", st)
	}
}

func TestProsodyRestart(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	g := newFakeGate()
	onProsody(t, s, g, nil)
	g.expect(t, "connected main")
	for name, stop := range map[string]func(){"killed": s.Kill, "restarted": func() {}} {
		stop()
		if err := s.Restart(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		begin := time.Now()
		g.awaitSaid(t, "connected main")
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("%s: connected %s after the server was back", name, d)
		}
	}
}

func TestProsodyRefusals(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"wrong secret": {func(c *Config) { c.Secret = "another-s3cret" }, "the server refused the secret of component bindgate.localhost; compare component_secret (Prosody)"},
		"no component": {func(c *Config) { c.Component = "other.localhost" }, `the server does not know the component other.localhost; its configuration needs: Component "other.localhost"`},
		"another port": {func(c *Config) { c.Addr = s.C2S }, "handshake with " + s.C2S},
		"a web server": {func(c *Config) { c.Addr = s.HTTP }, s.HTTP + " accepts connections but did not answer as a component port"},
		"nobody there": {func(c *Config) { c.Addr = closed.Addr().String() }, "connection refused: is the server running, and is its component port open at that address?"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newFakeGate()
			b := onProsody(t, s, g, tt.change)
			if got := g.next(t); !strings.HasPrefix(got, "disconnected main: ") || !strings.Contains(got, tt.want) {
				t.Errorf("the gate was told\n got %s\nwant %s", got, tt.want)
			} else if strings.Contains(got+b.Stats().LastError, "s3cret") {
				t.Errorf("a secret is in %s", got)
			}
		})
	}
}

// TestProsodyTakesOver has a second bridge for the same component, as a standby is. The server keeps the newest.
func TestProsodyTakesOver(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	first, second := newFakeGate(), newFakeGate()
	onProsody(t, s, first, nil)
	first.expect(t, "connected main")
	begin := time.Now()
	onProsody(t, s, second, nil)
	second.expect(t, "connected main")
	first.awaitSaid(t, "disconnected main: the component bindgate.localhost is connected by another client")
	first.expect(t, "connected main")
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the first was back only after %s", d)
	}
}
