package xmppbridge

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// Everybody but the sessions of a host that has said hello gets the answer that stray requests get, and nothing is looked up.
func TestOwnersOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices()}
		b, p, _ := up(t, newFakeGate(), func(c *Config) { c.Owner, c.Domains = o, []string{"example.org", "example.net"} })
		for _, who := range []struct{ from, to string }{
			{"eve@evil.example/x", testComponent},     // another server's
			{"alice@example.net/x", testComponent},    // a host that said no hello
			{"alice@example.org", testComponent},      // no session
			{"alice@example.org/", testComponent},     // likewise
			{"@example.org/x", testComponent},         // nobody
			{"example.org/x", testComponent},          // nobody
			{"a@b@example.org/x", testComponent},      // nobody
			{testComponent + "/x", testComponent},     // ourselves
			{"alice@" + testComponent, testComponent}, // likewise
			{"alice@example.org/x", "x@bindgate.example.org"},
			{"alice@example.org/x", "bindgate.example.org/x"},
			{"alice@example.org/" + strings.Repeat("x", 1024), testComponent},
		} {
			p.send(`<iq type='set' id='x' from='` + who.from + `' to='` + who.to + `'><command` + commandsNS + ` node='urn:bindgate:1#devices'/></iq>`)
			p.expect(`<iq type='error' id='x' from='` + who.to + `' to='` + who.from + `'><error type='cancel'><service-unavailable` + stanzasNS + `/></error></iq>`)
		}
		p.send(`<iq type='set' id='x' from='example.org' to='bindgate.example.org'><command` + commandsNS + ` node='urn:bindgate:1#devices'/></iq>`)
		p.expect(`<iq type='error' id='x' from='bindgate.example.org' to='example.org'><error type='cancel'><service-unavailable` + stanzasNS + `/></error></iq>`)
		if got := o.told(); got != "" || b.Stats().Owners != 0 {
			t.Errorf("asked %q", got)
		}
	})
}

// Too many requests are turned away at once, one account's without harm to another's, and asks do not wait for any of them.
func TestOwnersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices(), hold: make(chan struct{})}
		g := newFakeGate()
		g.ask = func(_ gate.Ask, answer func(gate.Answer)) { answer(gate.Answer{Outcome: gate.Allow}) }
		b, p, _ := up(t, g, func(c *Config) { c.Owner = o })
		busy := func(from string) string {
			return `<iq type='error' id='x' from='bindgate.example.org' to='` + from + `'><error type='wait'><resource-constraint` + stanzasNS + `/><text` + stanzasNS + ` xml:lang='en'>Too many requests. Please try again in a moment.</text></error></iq>`
		}
		ask := func(from string) {
			p.send(strings.Replace(execute("devices", ""), fromAlice, `from='`+from+`' to='bindgate.example.org'`, 1))
		}
		for range accountOpen {
			ask("alice@example.org/a")
		}
		ask("alice@example.org/b")
		p.expect(busy("alice@example.org/b"))
		for i := range ownersOpen - accountOpen {
			ask(fmt.Sprintf("u%d@example.org/a", i))
		}
		ask("bob@example.org/a")
		p.expect(busy("bob@example.org/a"))
		p.send(askXML)
		p.expect(`<iq type='result' id='a1' from='bindgate.example.org' to='example.org'><allow xmlns='urn:bindgate:1' ask_id='q1'></allow></iq>`)
		close(o.hold)
		for range ownersOpen {
			if got := p.recv(); !strings.Contains(got, "status='completed'") {
				t.Fatal(got)
			}
		}
		synctest.Wait()
		time.Sleep(time.Second)
		for range accountASec { // one after the other
			ask("alice@example.org/a")
			if got := p.recv(); !strings.Contains(got, "status='completed'") {
				t.Fatal(got)
			}
		}
		ask("alice@example.org/a")
		p.expect(busy("alice@example.org/a"))
		ask("bob@example.org/a")
		if got := p.recv(); !strings.Contains(got, "status='completed'") {
			t.Fatal(got)
		}
		synctest.Wait() // the last one is counted after its answer
		if s := b.Stats(); s.TurnedAway != 3 || s.Owners != ownersOpen+accountASec+1 {
			t.Errorf("%+v", s)
		}
	})
}

// The end of the connection ends what is at work.
func TestOwnersEndWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{hold: make(chan struct{})}
		g := newFakeGate()
		_, p, _ := up(t, g, func(c *Config) { c.Owner = o })
		p.send(execute("devices", ""))
		synctest.Wait()
		if got := o.told(); got == "" {
			t.Fatal("nobody asked")
		}
		_ = p.conn.Close()
		g.awaitSaid(t, "disconnected main")
	})
}
