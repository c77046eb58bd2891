package xmppbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
)

var _ Gate = (*gate.Gate)(nil)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Config{Name: "main", Addr: "127.0.0.1:5347", Component: testComponent, Secret: "x"}
	tests := []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Name = "" }, "name is empty"},
		{func(c *Config) { c.Driver = "magic" }, `driver "magic" is unknown; it is gate, ejabberd or admin`},
		{func(c *Config) { c.Secret = "" }, "secret is empty"},
		{func(c *Config) { c.Component = "a@b" }, `component "a@b" is not a domain`},
		{func(c *Config) { c.Component = strings.Repeat("a", 2000) }, "is not a domain"},
		{func(c *Config) { c.Domains = []string{"a/b"} }, `domain "a/b" is not a domain`},
		{func(c *Config) { c.Addr = "localhost" }, `address "localhost" is not host:port`},
	}
	for _, tt := range tests {
		cfg := good
		tt.change(&cfg)
		err := cfg.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Validate = %v, want %q", err, tt.want)
		}
		if tt.want != "" && New(cfg, newFakeGate()).Run(t.Context()) == nil {
			t.Errorf("Run accepts what Validate refuses: %s", tt.want)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	cfg := Config{Name: "main", Secret: testSecret}
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "secret", cfg.Secret, "cfg", cfg)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "secret", cfg.Secret)
	fmt.Fprintf(&buf, "%v %+v %#v %s %q", cfg, cfg, cfg, cfg.Secret, cfg.Secret)
	if strings.Contains(buf.String(), testSecret) {
		t.Errorf("the secret is in %s", buf.String())
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	refused := func(cond string) error { return fmt.Errorf("handshake: %w", &RefusedError{Condition: cond}) }
	lost := errors.New("connection refused")
	tests := []struct {
		err         error
		down        time.Duration
		tries       int
		least, most time.Duration
	}{
		{lost, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond},
		{lost, time.Second, 3, 800 * time.Millisecond, 1600 * time.Millisecond},
		{lost, 59 * time.Second, 30, 1500 * time.Millisecond, 3 * time.Second},
		{lost, time.Hour, 1000, 7500 * time.Millisecond, 15 * time.Second},
		{refused("conflict"), 0, 0, 1500 * time.Millisecond, 3 * time.Second},
		{refused("conflict"), time.Hour, 100, 1500 * time.Millisecond, 3 * time.Second},
		{refused("not-authorized"), 0, 0, 2 * time.Second, 4 * time.Second},
		{refused("host-unknown"), time.Hour, 0, 10 * time.Second, 15 * time.Second},
		{refused("system-shutdown"), 0, 0, 100 * time.Millisecond, 200 * time.Millisecond},
	}
	for _, tt := range tests {
		for _, random := range []float64{0, 0.5, 0.999} {
			if got := pause(tt.err, tt.down, tt.tries, random); got < tt.least || got > tt.most {
				t.Errorf("pause(%v, %s, %d, %v) = %s, want %s to %s", tt.err, tt.down, tt.tries, random, got, tt.least, tt.most)
			}
		}
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, p := newFakeGate(), newPipes()
		b := start(t, p, g, nil)
		p.accept(t).greet("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		g.expect(t, "connected main")
		g.expect(t, "disconnected main: the server shuts down")
		begin := time.Now()
		p.accept(t).greet("")
		g.expect(t, "connected main")
		if d := time.Since(begin); d > time.Second {
			t.Errorf("reconnected after %s", d)
		}
		if st := b.Stats(); st.Connects != 2 || !st.Connected {
			t.Errorf("%+v", st)
		}
	})
}

// TestServerAway has 10 s without a server; the link has to be back within 3 s of it.
func TestServerAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, p := newFakeGate(), newPipes()
		p.away.Store(true)
		b := start(t, p, g, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f := b.Stats().Failures; f < 6 || f > 20 {
			t.Errorf("%d attempts in 10 s", f)
		}
		g.expect(t, "disconnected main: connection refused")
		p.away.Store(false)
		begin := time.Now()
		p.accept(t).greet("")
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("connected %s after the server was there", d)
		}
	})
}

// A connection whose place this one took is a rival's if its bindgate has another database, or calls its link there by another name.
func TestRival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		_, srv, _ := up(t, g, func(c *Config) { c.Record = "" })
		srv.send(strings.Replace(helloXML, " seq=", " replaced='other' seq=", 1))
		g.expect(t, "hello example.org version 1 epoch E1 seq 0 rival [\"other\" \"\"]")
		srv.expect(helloAnswerXML)
	})
	long := strings.Repeat("long", 16)
	for _, tt := range []struct{ name, record, replaced, want string }{
		{"main", "mine/main", "mine/main", ""},
		{"main", "mine/main", "mine", ""}, // an older bindgate's
		{"main", "mine/main", "mine/other/2", ` rival ["" "other/2"]`},
		{"main", "mine/main", "theirs/main", ` rival ["theirs" "main"]`},
		{long, "mine/7c474ff919a10a8e", "mine/7c474ff919a10a8e", ""},
		{"a\tb", "mine/894891f8b78a9945", "mine/main", ` rival ["" "main"]`},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, p := newFakeGate(), newPipes()
			start(t, p, g, func(c *Config) { c.Record, c.Name = "mine", tt.name })
			srv := p.accept(t).greet("")
			g.expect(t, "connected "+tt.name)
			srv.send(strings.Replace(helloXML, " seq=", " replaced='"+tt.replaced+"' seq=", 1))
			g.expect(t, "hello example.org version 1 epoch E1 seq 0"+tt.want)
			srv.expect(strings.Replace(helloAnswerXML, "/></iq>", " record='"+tt.record+"'/></iq>", 1))
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct{ send, want string }{
		{
			"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Given token does not match</text></stream:error></stream:stream>",
			"the server refused the secret of component bindgate.example.org; compare component_secret (Prosody), or the password under hosts (ejabberd, which says this of a component that it does not have, too), with the secret of this link (it says: Given token does not match)",
		},
		{
			"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
			"the component bindgate.example.org is connected by another client; only one can be: on Prosody with component_conflict_resolve = \"kick_old\" the newest, on ejabberd the newest in any case. Bindgates on one database take turns by themselves, if they call their link by one name: stop the one that does not, or give it a component of its own",
		},
		{
			"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
			"the server does not know the component bindgate.example.org; its configuration needs: Component \"bindgate.example.org\"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, p := newFakeGate(), newPipes()
				b := start(t, p, g, nil)
				s := p.accept(t)
				s.open()
				s.until("</handshake>")
				s.send(tt.send)
				g.expect(t, "disconnected main: handshake with 127.0.0.1:5347: "+tt.want)
				begin := time.Now()
				p.accept(t)
				if d := time.Since(begin); d < time.Second || d > 5*time.Second {
					t.Errorf("tried again after %s, want 1 s to 5 s", d)
				}
				if got := b.Stats().LastError; !strings.HasSuffix(got, tt.want) {
					t.Errorf("LastError = %s", got)
				}
			})
		})
	}
}

// TestNotAComponentPort has a server that accepts and says nothing.
func TestNotAComponentPort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, p := newFakeGate(), newPipes()
		start(t, p, g, nil)
		s := p.accept(t)
		s.until(">")
		g.expect(t, "disconnected main: 127.0.0.1:5347 accepts connections but did not answer as a component port within 5s")
	})
}

// TestSilentServer has a server that answers nothing more, not even pings.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		_, p, _ := up(t, g, nil)
		p.mute.Store(true)
		begin := time.Now()
		ping, _ := p.recvRaw()
		if _, ok := check(ping); ok { // comes before it, if the pulse began before the hello was read
			ping, _ = p.recvRaw()
		}
		if !strings.HasSuffix(ping, ` from='bindgate.example.org' to='example.org/ping'><ping xmlns='urn:xmpp:ping'/></iq>`) {
			t.Errorf("a ping was to come: %s", ping)
		}
		if d := time.Since(begin); d > 15*time.Second {
			t.Errorf("first ping after %s", d)
		}
		g.expect(t, "disconnected main: the server has said nothing for 25 s, not even to a ping")
		if d := time.Since(begin); d > 30*time.Second {
			t.Errorf("noticed after %s", d)
		}
	})
}

// TestQuietServer has a server that sends only keepalives, or only answers pings.
func TestQuietServer(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]func(*server){
		"keepalives": func(s *server) { time.Sleep(9 * time.Second); s.send(" ") },
		"pings": func(s *server) {
			s.answer("error", "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGate()
				b, p, _ := up(t, g, nil)
				for begin := time.Now(); time.Since(begin) < time.Hour; {
					live(p)
				}
				if s := b.Stats(); s.Connects != 1 || !s.Connected {
					t.Errorf("the link did not last: %+v", s)
				}
			})
		})
	}
}

// TestStop has the process end: what was decided is still sent, and the stream is closed.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, p := newFakeGate(), newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		b := New(Config{Name: "main", Component: testComponent, Secret: testSecret, dial: p.dial}, g)
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		s := p.accept(t).greet(helloXML)
		link := <-g.link
		s.recv()
		for range 100 {
			if err := link.(*conn).send(encodePing(envelope{})); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		for range 100 {
			s.recv()
		}
		if got := <-s.end; got != "</stream:stream>" {
			t.Errorf("the stream ended with %s", got)
		}
	})
}

func TestMissingHellos(t *testing.T) {
	t.Parallel()
	const request = `<iq type='get' id='bg-%d' from='bindgate.example.org' to='%s'><hello xmlns='urn:bindgate:1'/></iq>`
	hello := `<hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='7'/>`
	fault := func(cond string) string {
		return "<error type='cancel'><" + cond + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	}
	tests := []struct{ name, kind, answer, want string }{
		{"a module that was quiet", "result", hello, "hello example.net version 1 epoch E1 seq 7"},
		{"a module of another version", "result", `<hello xmlns='urn:bindgate:1' version='3'/>`, "hello example.net version 3 epoch  seq 0 refused: the module on example.net speaks version 3 of the gate protocol, bindgate 0.1.0 speaks version 1; update the older one"},
		{"no module", "error", fault("service-unavailable"), "problem example.net: there is no gate module on example.net (the server answered service-unavailable); enable mod_bindgate for that host, or if it is not to be governed, name the others as the link's domains"},
		{"no host", "error", fault("remote-server-not-found"), "problem example.net: example.net is not a host of this server (the server answered remote-server-not-found)"},
		{"another component's module", "error", fault("forbidden"), `problem example.net: the module on example.net does not listen to bindgate.example.org (the server answered forbidden); set bindgate_component = "bindgate.example.org" there`},
		{"nonsense", "result", "<x/>", "problem example.net: asked example.net for its hello: hello: the answer holds no <hello/>"},
		{"no answer", "", "", "problem example.net: example.net has not answered for 5s when asked for its hello; if there is no gate module on example.net, enable mod_bindgate for that host (an ejabberd with mod_privilege does not say so)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGate()
				_, p, _ := up(t, g, func(c *Config) { c.Known = []string{"example.net", "example.org"} })
				begin := time.Now()
				want := fmt.Sprintf(request, 1, "example.net")
				if tt.kind != "" {
					if got := p.answer(tt.kind, tt.answer); got != want {
						t.Fatalf("request\n got %s\nwant %s", got, want)
					}
				} else {
					p.expect(want)
				}
				if d := time.Since(begin); d < 4*time.Second || d > 6*time.Second {
					t.Errorf("asked after %s", d)
				}
				g.expect(t, tt.want)
				if d := time.Since(begin); d > 11*time.Second {
					t.Errorf("told after %s", d)
				}
			})
		})
	}
}

// A module that said hello and is gone, or answers no more, is told of, and taken up again.
func TestModuleGoneMeanwhile(t *testing.T) {
	t.Parallel()
	question := func(t *testing.T, p *server, begin time.Time, least, most time.Duration) (id string) {
		t.Helper()
		for {
			got, _ := p.recvRaw()
			id, ok := check(got)
			if !ok { // a ping
				p.send(" ") // a word, and no answer
				continue
			}
			if d := time.Since(begin); d < least || d > most {
				t.Errorf("asked after %s", d)
			}
			return id
		}
	}
	reply := func(p *server, id, kind, body string) {
		p.send("<iq type='" + kind + "' id='" + id + "' from='example.org' to='bindgate.example.org'>" + body + "</iq>")
	}
	const still = `<hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='7'/>`
	t.Run("unloaded", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newFakeGate()
			_, p, _ := up(t, g, nil)
			p.mute.Store(true)
			begin := time.Now()
			reply(p, question(t, p, begin, 14*time.Second, 16*time.Second), "result", still) // and nothing is told
			id := question(t, p, begin, 29*time.Second, 31*time.Second)
			reply(p, id, "error", "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
			g.expect(t, "problem example.org: there is no gate module on example.org (the server answered service-unavailable); enable mod_bindgate for that host, or if it is not to be governed, name the others as the link's domains")
			p.send(helloXML)
			g.expect(t, "hello example.org version 1 epoch E1 seq 0")
		})
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newFakeGate()
			_, p, _ := up(t, g, nil)
			p.mute.Store(true)
			id := question(t, p, time.Now(), 14*time.Second, 16*time.Second)
			answered := make(chan bool)
			go func() {
				for {
					select {
					case <-answered:
						return
					case <-time.After(time.Second):
						_, _ = p.conn.Write([]byte(" ")) // it is the module that is silent, not the server
					}
				}
			}()
			g.expect(t, "problem example.org: the module on example.org has not answered for 30s whether it is still there: see whether mod_bindgate is loaded for that host")
			close(answered)
			p.send(askXML)
			g.expect(t, "ask alice@example.org/phone q1") // it is served as ever
			reply(p, id, "result", still)
			g.expect(t, "hello example.org version 1 epoch E1 seq 7")
		})
	})
}

// TestBacklog has a server that does not read.
func TestBacklog(t *testing.T) {
	t.Parallel()
	stuck := func(t *testing.T, g *fakeGate) (*Bridge, *server) {
		p := newPipes()
		b := start(t, p, g, nil)
		s := p.accept(t)
		s.open()
		s.until("</handshake>")
		s.send("<handshake/>") // and never reads again
		g.expect(t, "connected main")
		return b, s
	}
	t.Run("users cannot fill the queue", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newFakeGate()
			b, s := stuck(t, g)
			for i := range 3 * queueSize {
				s.send(fmt.Sprintf(`<iq type='get' id='%d' from='mallory@example.org/x' to='bindgate.example.org'><q xmlns='urn:q'/></iq>`, i))
			}
			synctest.Wait()
			if st := b.Stats(); !st.Connected || st.Dropped < queueSize || st.Strays != 3*queueSize {
				t.Errorf("%+v", st)
			}
			g.expect(t, "disconnected main: write to the server: write pipe: i/o timeout")
		})
	})
	t.Run("answers do", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newFakeGate()
			g.ask = func(_ gate.Ask, answer func(gate.Answer)) { answer(gate.Answer{Outcome: gate.Allow}) }
			_, s := stuck(t, g)
			s.send(helloXML)
			g.expect(t, "hello example.org version 1 epoch E1 seq 0")
			for {
				if _, err := s.conn.Write([]byte(askXML)); err != nil {
					break
				}
			}
			for {
				if said := g.next(t); !strings.HasPrefix(said, "ask ") {
					if want := "disconnected main: the server does not read: 4096 stanzas are waiting for it"; said != want {
						t.Errorf("the gate was told\n got %s\nwant %s", said, want)
					}
					return
				}
			}
		})
	})
}
