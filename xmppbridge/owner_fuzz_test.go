package xmppbridge

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// FuzzOwner has a user send anything. Nothing panics, each request has at most one answer, which is well-formed and goes to who asked, and nobody but the chosen
// sessions of the asking account goes.
func FuzzOwner(f *testing.F) {
	for _, s := range []string{
		`<query xmlns='http://jabber.org/protocol/disco#info'/>`,
		`<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#devices' action='execute'/>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#sign-out' sessionid='T' action='complete'>` + submit("<value>ses_2</value>") + `</command>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#sign-out' sessionid='T'>` + submit("<value>ses_1</value>") + `</command>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#sign-out' sessionid='T'>` + submit("<value>ses_9</value>") + `</command>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#sign-out-others' sessionid='O' action='complete'/>`,
		`<command xmlns='http://jabber.org/protocol/commands' node='urn:bindgate:1#sign-out-others' sessionid='O' action='prev'><x xmlns='jabber:x:data' type='cancel'/></command>`,
		strings.Repeat("<a>", 30) + strings.Repeat("</a>", 30), "</iq><iq", "&unknown;", "<a:b:c/>",
	} {
		f.Add("laptop", "en", s)
		f.Add("☎ <&'>", "zh-Hans", s)
	}
	f.Fuzz(func(t *testing.T, resource, lang, payload string) {
		o := &strictOwner{t: t}
		b := New(Config{Name: "main", Component: testComponent, Owner: o}, &limitsGate{t: t})
		c := newConn(b, &byteConn{}, nil)
		c.hosts["example.org"] = &host{hello: true}
		from := string(appendEscaped(nil, "alice@example.org/"+resource))
		now := time.Now()
		payload = strings.ReplaceAll(payload, "sessionid='T'", "sessionid='"+b.tickets.issue(nodeSignOut, "alice@example.org/"+resource, now)+"'")
		payload = strings.ReplaceAll(payload, "sessionid='O'", "sessionid='"+b.tickets.issue(nodeSignOutOthers, "alice@example.org/"+resource, now)+"'")
		iq := " id='x' from='" + from + "' to='" + testComponent + "' xml:lang='" + string(appendEscaped(nil, lang)) + "'>" + payload + "</iq>"
		in := "<iq type='set'" + iq + "<iq type='get'" + iq
		fr := newFramer(bufio.NewReader(bytes.NewReader([]byte(in))))
		for {
			one, err := fr.next(c.room)
			if err != nil || c.handle(one, now) != nil {
				break
			}
			for len(c.visits) > 0 {
				v := <-c.visits
				c.receive(context.Background(), v)
				c.door.leave(v.account)
			}
			if len(c.queue) > 1 {
				t.Fatalf("%d answers", len(c.queue))
			}
			for len(c.queue) > 0 {
				sent := string(<-c.queue)
				if len(sent) > maxSend {
					t.Fatalf("%d bytes sent", len(sent))
				}
				if err := wellFormed(sent); err != nil {
					t.Fatalf("sent %s: %v", sent, err)
				}
				h, err := parseHead([]byte(sent))
				if err != nil || h.to != one.from || h.id != one.id {
					t.Fatalf("sent %s, %v; asked by %q", sent, err, one.from)
				}
			}
		}
	})
}

// strictOwner fails when anybody else is concerned.
type strictOwner struct{ t *testing.T }

func (o *strictOwner) OwnDevices(_ context.Context, account, _ string) (gate.OwnDevices, error) {
	if user, domain, resource := address(account); user == "" || domain != "example.org" || resource != "" {
		o.t.Errorf("asked about %q", account)
	}
	return someDevices(), nil
}

func (o *strictOwner) Kick(_ context.Context, req gate.KickRequest, _ time.Duration) (gate.KickReport, error) {
	one := len(req.Select.Sessions) == 1 && (req.Select.Sessions[0] == 1 || req.Select.Sessions[0] == 2) && req.Select.Except == 0
	others := len(req.Select.Sessions) == 0 && req.Select.Except == 1
	if !one && !others || req.Select.All || req.Select.Platform != "" || len(req.Select.Devices) > 0 || req.Block || req.By.String() != "owner" {
		o.t.Errorf("kick of %+v", req)
	}
	if user, domain, resource := address(req.Account); user == "" || domain != "example.org" || resource != "" {
		o.t.Errorf("kick of %q", req.Account)
	}
	return gate.KickReport{Results: []gate.KickOutcome{{Generation: 2, Outcome: gate.OutcomeKicked}}}, nil
}
