package xmppbridge

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
)

const askXML = `<iq type='get' id='a1' from='example.org' to='bindgate.example.org'><ask xmlns='urn:bindgate:1' ask_id='q1' deadline_ms='5000' user='alice' sid='S2' resource='phone' epoch='E1' seq='0'/></iq>`

func TestAskAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer gate.Answer
		want   string
	}{
		"allow": {
			gate.Answer{Outcome: gate.Allow},
			`<iq type='result' id='a1' from='bindgate.example.org' to='example.org'><allow xmlns='urn:bindgate:1' ask_id='q1'></allow></iq>`,
		},
		"allow and kick": {
			gate.Answer{Outcome: gate.Allow, Kicks: []gate.Kick{{
				User: "alice", SID: "S1", Resource: "lap'top", Code: "takeover", Device: "Pixel", Platform: "android",
				At: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Text: "signed in <elsewhere>", Lang: "en",
			}}},
			`<iq type='result' id='a1' from='bindgate.example.org' to='example.org'><allow xmlns='urn:bindgate:1' ask_id='q1'><kick user='alice' sid='S1' resource='lap&apos;top' code='takeover' device='Pixel' platform='android' at='2026-11-23T08:00:00Z'><text xml:lang='en'>signed in &lt;elsewhere&gt;</text></kick></allow></iq>`,
		},
		"deny": {
			gate.Answer{Outcome: gate.Deny, Denial: gate.Denial{Code: "limit", Type: "wait", Condition: "resource-constraint", Text: "いっぱいです", Lang: "ja", RetryAfter: 29500 * time.Millisecond, Hold: time.Hour}},
			`<iq type='result' id='a1' from='bindgate.example.org' to='example.org'><deny xmlns='urn:bindgate:1' ask_id='q1' code='limit' type='wait' condition='resource-constraint' retry_after='30' hold_ms='4000'><text xml:lang='ja'>いっぱいです</text></deny></iq>`,
		},
		"undecided": {
			gate.Answer{Outcome: gate.Undecided},
			`<iq type='error' id='a1' from='bindgate.example.org' to='example.org'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no decision was made; the failure policy applies</text></error></iq>`,
		},
		"a denial that cannot be said": {
			gate.Answer{Outcome: gate.Deny, Denial: gate.Denial{Code: "limit", Type: "wait", Condition: "a'/><b"}},
			`<iq type='error' id='a1' from='bindgate.example.org' to='example.org'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>the decision cannot be sent; the failure policy applies</text></error></iq>`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGate()
				g.ask = func(_ gate.Ask, answer func(gate.Answer)) {
					go func() {
						answer(tt.answer)
						answer(gate.Answer{Outcome: gate.Undecided}) // a second answer is none
					}()
				}
				_, p, _ := up(t, g, nil)
				p.send(askXML)
				g.expect(t, "ask alice@example.org/phone q1")
				p.expect(tt.want)
				synctest.Wait()
				if n := len(p.got); n > 0 {
					t.Errorf("%d more stanzas", n)
				}
			})
		})
	}
}

func TestLateAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		g.ask = func(_ gate.Ask, answer func(gate.Answer)) {
			time.AfterFunc(5*time.Second, func() { answer(gate.Answer{Outcome: gate.Allow}) })
		}
		b, p, _ := up(t, g, nil)
		p.send(askXML)
		time.Sleep(6 * time.Second)
		if n := len(p.got); n > 0 {
			t.Errorf("an answer was sent after its deadline: %s", <-p.got)
		}
		if n := b.Stats().Late; n != 1 {
			t.Errorf("Late = %d, want 1", n)
		}
	})
}

// TestDialogue has stanzas that the gate hears of and stanzas that are answered by the bridge alone. The bridge's answers and what the gate was told are
// compared; an empty want is silence.
func TestDialogue(t *testing.T) {
	t.Parallel()
	const (
		unavailable = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
		bad         = `<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>`
		head        = `<iq type='error' id='x' from='bindgate.example.org' to='example.org'>`
	)
	tests := []struct{ name, send, want, gate string }{
		{
			name: "event",
			send: `<message from='example.org' to='bindgate.example.org' type='headline'><event xmlns='urn:bindgate:1' kind='bind' epoch='E1' seq='1' user='a♥b' sid='S2' resource='phone'/></message>`,
			gate: "event bind 1 a♥b@example.org/phone",
		},
		{
			name: "hello again, from a load of the module with another version",
			send: `<iq type='set' id='x' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='2.1' new='1'/></iq>`,
			gate: "hello example.org version 2.1 epoch  seq 0 refused: the module on example.org speaks version 2.1 of the gate protocol, bindgate 0.1.0 speaks version 1; update the older one",
			want: head + `<error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>the module on example.org speaks version 2.1 of the gate protocol, bindgate 0.1.0 speaks version 1; update the older one</text></error></iq>`,
		},
		{
			name: "hello with a minor version",
			send: `<iq type='set' id='h1' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1.7' epoch='E2' seq='3'/></iq>`,
			gate: "hello example.org version 1.7 epoch E2 seq 3",
			want: helloAnswerXML,
		},
		{
			name: "hello without an epoch",
			send: `<iq type='set' id='x' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' seq='0'/></iq>`,
			want: head + bad + `hello: attribute &quot;epoch&quot; is missing</text></error></iq>`,
		},
		{
			name: "hello of a wrong type",
			send: `<iq type='get' id='x' from='example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='0'/></iq>`,
			want: head + bad + `hello: an IQ of type get is not a request; hello is sent with set, ask with get</text></error></iq>`,
		},
		{
			name: "ask without a deadline",
			send: `<iq type='get' id='x' from='example.org' to='bindgate.example.org'><ask xmlns='urn:bindgate:1' ask_id='q1' user='alice' sid='S2' resource='phone' epoch='E1' seq='0'/></iq>`,
			want: head + bad + `ask: attribute &quot;deadline_ms&quot; is missing</text></error></iq>`,
		},
		{
			name: "ask of a host that said no hello",
			send: `<iq type='get' id='x' from='example.net' to='bindgate.example.org'><ask xmlns='urn:bindgate:1' ask_id='q1' deadline_ms='5000' user='alice' sid='S2' resource='phone' epoch='E1' seq='0'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='example.net'><error type='wait'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>ask: a hello has to be answered before on this connection</text></error></iq>`,
		},
		{
			name: "event of a host that said no hello",
			send: `<message from='example.net' to='bindgate.example.org'><event xmlns='urn:bindgate:1' kind='unbind' epoch='E1' seq='1' user='a' sid='S2'/></message>`,
		},
		{
			name: "unknown request of the protocol",
			send: `<iq type='set' id='x' from='example.org' to='bindgate.example.org'><explode xmlns='urn:bindgate:1'/></iq>`,
			want: head + bad + `&lt;explode xmlns=&apos;urn:bindgate:1&apos;/&gt; is not a request that bindgate answers; it answers hello and ask</text></error></iq>`,
		},
		{
			name: "another protocol, from a domain",
			send: `<iq type='get' id='x' from='example.org' to='bindgate.example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
			want: head + unavailable,
		},
		{
			name: "the protocol from a user",
			send: `<iq type='get' id='x' from='mallory@example.org/a' to='bindgate.example.org'><ask xmlns='urn:bindgate:1' ask_id='q1' deadline_ms='5000' user='alice' sid='S2' resource='phone' epoch='E1' seq='0'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='mallory@example.org/a'>` + unavailable,
		},
		{
			name: "an event from a user",
			send: `<message from='mallory@example.org' to='bindgate.example.org'><event xmlns='urn:bindgate:1' kind='unbind' epoch='E1' seq='1' user='alice' sid='S2'/></message>`,
		},
		{
			name: "the protocol from a domain's resource",
			send: `<iq type='set' id='x' from='example.org/a@b' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E' seq='0'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='example.org/a@b'>` + unavailable,
		},
		{
			name: "a from with a prefix is no from",
			send: `<iq type='set' id='x' xmlns:e='urn:e' e:from='example.org' from='mallory@example.org' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E' seq='0'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='mallory@example.org'>` + unavailable,
		},
		{
			name: "a name that PRECIS refuses",
			send: `<iq type='get' id='x' from='a♥b@example.org/☃' to='x@bindgate.example.org/♥'><q xmlns='urn:q'/></iq>`,
			want: `<iq type='error' id='x' from='x@bindgate.example.org/♥' to='a♥b@example.org/☃'>` + unavailable,
		},
		{
			name: "addresses that are none",
			send: `<iq type='get' id='x' from='@@//&apos;&lt;&amp;' to='a@b@c@/'><q xmlns='urn:q'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='@@//&apos;&lt;&amp;'>` + unavailable,
		},
		{
			name: "a request to a foreign address",
			send: `<iq type='get' id='x' from='alice@example.org/a' to='example.com'><q xmlns='urn:q'/></iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='alice@example.org/a'>` + unavailable,
		},
		{
			name: "a request without a sender",
			send: `<iq type='get' id='x'><q xmlns='urn:q'/></iq>`,
		},
		{
			name: "answers to nothing, types that are none, errors, presence",
			send: `<iq type='result' id='bg-AAAAAAAAAA-1' from='example.org' to='bindgate.example.org'/><iq type='error' id='y' from='alice@example.org'/>` +
				`<iq type='♥' id='y' from='alice@example.org'/><iq from='alice@example.org'/><message type='error' from='example.org'><event xmlns='urn:bindgate:1'/></message>` +
				`<presence from='a♥b@example.org/x' to='bindgate.example.org'/><presence type='subscribe' from='alice@example.org'/><weird xmlns='urn:weird'/>`,
		},
		{
			name: "the stream's namespace inside a stanza",
			send: `<message from='alice@example.org/x' to='bindgate.example.org'><error xmlns='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></message>` +
				`<message from='alice@example.org/x' to='bindgate.example.org'><stream:stream xmlns:stream='http://etherx.jabber.org/streams'><stream:features/></stream:stream></message>` +
				`<message from='example.org' to='bindgate.example.org'><stream:error/></message>`,
		},
		{
			name: "what encoding/xml refuses",
			send: `<message from='alice@example.org/x'><a:b:c xmlns:a='urn:a'/></message><iq type='get' id='x' from='alice@example.org/x'><a:b:c/>&unknown;</iq>`,
			want: `<iq type='error' id='x' from='bindgate.example.org' to='alice@example.org/x'>` + unavailable,
		},
		{
			name: "what encoding/xml refuses, from a domain",
			send: `<iq type='get' id='x' from='example.org'><a:b:c/></iq>`,
			want: head + bad + `not well-formed: XML syntax error on line 1: expected element name after &lt;</text></error></iq>`,
		},
		{
			name: "comments, CDATA and instructions",
			send: "<!-- > --><?pi ?>\n<message from='example.org' to='bindgate.example.org'><!-- </message> --><![CDATA[</message>]]><event xmlns='urn:bindgate:1' kind='gone' epoch='E1' seq='9' user='a>b' sid='S2' ask_id=\"q'/>\"/></message>",
			gate: "event gone 9 a>b@example.org/",
		},
		{
			name: "a malformed event",
			send: `<message from='example.org' to='bindgate.example.org'><event xmlns='urn:bindgate:1' kind='bind' epoch='E1' seq='-1' user='a' sid='S2' resource='r'/></message>`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGate()
				b, p, _ := up(t, g, nil)
				p.send(tt.send)
				if tt.gate != "" {
					g.expect(t, tt.gate)
				}
				if tt.want != "" {
					p.expect(tt.want)
				}
				synctest.Wait()
				for len(p.got) > 0 {
					t.Errorf("another stanza of the bridge: %s", p.recv())
				}
				for len(g.said) > 0 {
					t.Errorf("the gate was told more: %s", g.next(t))
				}
				// The link is still up and in step.
				p.send(`<iq type='get' id='last' from='a♥b@example.org' to='bindgate.example.org'><q xmlns='urn:q'/></iq>`)
				p.expect(`<iq type='error' id='last' from='bindgate.example.org' to='a♥b@example.org'>` + unavailable)
				if s := b.Stats(); !s.Connected || s.Connects != 1 {
					t.Errorf("the link is not what it was: %+v", s)
				}
			})
		})
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		_, p, _ := up(t, g, func(c *Config) { c.Domains = []string{"Example.org"} })
		p.send(`<iq type='set' id='x' from='evil.example' to='bindgate.example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E' seq='0'/></iq>`)
		p.expect(`<iq type='error' id='x' from='bindgate.example.org' to='evil.example'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>evil.example is not among the domains of this link</text></error></iq>`)
		synctest.Wait()
		if len(g.said) > 0 {
			t.Errorf("the gate was told: %s", <-g.said)
		}
	})
}

// TestHelloWithHandshake has the hello in the very bytes that end the handshake.
func TestHelloWithHandshake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		p := newPipes()
		start(t, p, g, nil)
		s := p.accept(t).greet(helloXML)
		g.expect(t, "connected main")
		g.expect(t, "hello example.org version 1 epoch E1 seq 0")
		s.expect(helloAnswerXML)
	})
}
