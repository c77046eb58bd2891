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
