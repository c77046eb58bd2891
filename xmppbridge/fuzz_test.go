package xmppbridge

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// FuzzStream feeds a connection with anything. Nothing panics, what is sent is well-formed and not too large, and what the gate is told is within its limits.
func FuzzStream(f *testing.F) {
	for _, s := range []string{
		helloXML, askXML, helloXML + askXML,
		`<message from='example.org'><event xmlns='urn:bindgate:1' kind='bind' epoch='E1' seq='1' user='a♥b' sid='S2' resource='phone'/></message>`,
		`<iq type='get' id='x' from='a♥b@example.org/☃' to='x@bindgate.example.org/♥'><q xmlns='urn:q'/></iq>`,
		`<iq type='result' id='k' from='example.org'><kick xmlns='urn:bindgate:1' pending='1'/></iq>`,
		`<iq type='result' id='p' from='example.org'><probe xmlns='urn:bindgate:1'><session sid='S1' verdict='alive'/></probe></iq>`,
		`<iq type='result' id='s' from='example.org'><snapshot xmlns='urn:bindgate:1' first='0' count='40' total='1' epoch='E1' seq='42'><session user='a' sid='S1' resource='l' state='active'/></snapshot></iq>`,
		`<iq type='result' id='h' from='example.org'><hello xmlns='urn:bindgate:1' version='1' epoch='E1' seq='7'/></iq>`,
		`<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
		"<a:b:c/><!-- --><?x?><![CDATA[",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		g := &limitsGate{t: t}
		b := New(Config{Name: "main", Component: testComponent}, g)
		c := newConn(b, &byteConn{}, nil)
		got := make(chan frame, 1)
		for _, id := range []string{"k", "p", "s"} {
			c.expect(id, waiter{to: "example.org", reply: func(fr frame) {
				select {
				case got <- fr:
				default:
				}
			}})
		}
		c.hosts["example.org"] = &host{asked: true}
		c.expect("h", waiter{to: "example.org", reply: func(fr frame) { c.helloAnswer("example.org", fr) }})
		fr := newFramer(bufio.NewReader(bytes.NewReader(in)))
		for {
			one, err := fr.next(c.room)
			if err != nil || c.handle(one, time.Now()) != nil {
				break
			}
			for len(c.queue) > 0 {
				sent := <-c.queue
				if len(sent) > maxSend {
					t.Fatalf("%d bytes sent", len(sent))
				}
				if err := wellFormed(string(sent)); err != nil {
					t.Fatalf("sent %s: %v", sent, err)
				}
			}
			select {
			case fr := <-got:
				if e, err := answer(fr); err == nil {
					_, _ = parsePart(e, source, 0, 64)
					if p := e.child(NS, ""); p != nil {
						_, _ = parsePart(p, source, 0, 64)
						_, _ = parseVerdicts(p, []string{"S1"})
					}
				}
			default:
			}
		}
	})
}

// limitsGate checks what every stanza must fulfil.
type limitsGate struct{ t *testing.T }

func (*limitsGate) Connected(string, gate.Link)    {}
func (*limitsGate) Disconnected(string, error)     {}
func (*limitsGate) Problem(string, string, string) {}

func (g *limitsGate) Hello(h gate.Hello) {
	if !isDomain(h.Domain) || h.Version == "" || len(h.Epoch) > maxToken {
		g.t.Errorf("hello %+v", h)
	}
}

func (g *limitsGate) Ask(a gate.Ask, answer func(gate.Answer)) {
	if !isDomain(a.Domain) || a.User == "" || a.SID == "" || a.Resource == "" || a.Deadline <= 0 || a.Seq < 0 ||
		len(a.User) > maxPart || len(a.Resource) > maxPart || len(a.SID) > maxToken || len(a.Sessions) > maxListed {
		g.t.Errorf("ask %+v", a)
	}
	answer(gate.Answer{Outcome: gate.Allow, Kicks: []gate.Kick{{User: a.User, SID: a.SID, Resource: a.Resource, Device: a.Client, Text: a.Lang}}})
}

func (g *limitsGate) Event(e gate.Event) {
	if !isDomain(e.Domain) || e.SID == "" || e.Seq < 1 || len(e.User) > maxPart || len(e.Resource) > maxPart || e.Age < 0 || e.Idle < 0 {
		g.t.Errorf("event %+v", e)
	}
}
