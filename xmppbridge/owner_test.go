package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// fakeOwner has the same devices for every account and writes down what it is asked.
type fakeOwner struct {
	own    gate.OwnDevices
	report gate.KickReport
	err    error
	hold   chan struct{} // nil: no answer waits

	mu   sync.Mutex
	said []string
}

func (o *fakeOwner) OwnDevices(ctx context.Context, account, resource string) (gate.OwnDevices, error) {
	o.note("own %s %s", account, resource)
	if o.hold != nil {
		select {
		case <-o.hold:
		case <-ctx.Done():
			return gate.OwnDevices{}, ctx.Err()
		}
	}
	return o.own, o.err
}

func (o *fakeOwner) Kick(_ context.Context, req gate.KickRequest, wait time.Duration) (gate.KickReport, error) {
	o.note("kick %s by %s: %+v, %s, %s", req.Account, req.By.String(), req.Select, req.Reason, wait)
	return o.report, o.err
}

func (o *fakeOwner) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, fmt.Sprintf(format, args...))
}

func (o *fakeOwner) told() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := strings.Join(o.said, "; ")
	o.said = nil
	return out
}

var since = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// someDevices are what the tests' owner has.
func someDevices() gate.OwnDevices {
	return gate.OwnDevices{Langs: []string{"", ""}, Devices: []gate.OwnDevice{
		{ID: "ses_1", Generation: 1, Name: "laptop", Platform: "desktop", State: "active", Here: true, SignedInAt: since, Idle: 59 * time.Second},
		{ID: "ses_2", Generation: 2, Name: "This device: “<x>\u202e” &", State: "hibernating", SignedInAt: since, Idle: 3 * time.Hour},
		{ID: "dev_3", Name: "old phone", Platform: "ios", Idle: 49 * time.Hour},
		{ID: "dev_4", Name: "\u0000", Idle: -1},
	}}
}

// upFor is a bridge whose host has said hello and whose users have a say.
func upFor(t testing.TB, o Owner) (*Bridge, *server) {
	t.Helper()
	b, p, _ := up(t, newFakeGate(), func(c *Config) { c.Owner = o })
	return b, p
}

var anyTicket = regexp.MustCompile(`sessionid='[A-Za-z0-9_-]{38}'`)

// expectCommand compares the next stanza with its session id written as T, and returns the real one.
func (p *server) expectCommand(want string) (ticket string) {
	p.t.Helper()
	got := p.recv()
	ticket = strings.Trim(strings.TrimPrefix(anyTicket.FindString(got), "sessionid="), "'")
	if got = anyTicket.ReplaceAllString(got, "sessionid='T'"); got != want {
		p.t.Fatalf("stanza of the bridge\n got %s\nwant %s", got, want)
	}
	return ticket
}

const (
	fromAlice  = `from='a♥b@example.org/lap top/é' to='bindgate.example.org'`
	toAlice    = `from='bindgate.example.org' to='a♥b@example.org/lap top/é'`
	iqError    = `<iq type='error' id='x' ` + toAlice + `>`
	stanzasNS  = ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`
	commandsNS = ` xmlns='http://jabber.org/protocol/commands'`
	columns    = `<reported><field var='device' type='text-single' label='Device'></field><field var='platform' type='text-single' label='Platform'></field>` +
		`<field var='state' type='text-single' label='State'></field><field var='since' type='text-single' label='Signed in since'></field>` +
		`<field var='active' type='text-single' label='Last active'></field><field var='here' type='text-single' label='This device'></field></reported>`
	outcomes = `<x xmlns='jabber:x:data' type='result'><title>Outcome</title><reported><field var='device' type='text-single' label='Device'></field><field var='outcome' type='text-single' label='Outcome'></field></reported>`
)

// named is how an error names its command.
func named(node, session string) string {
	if session != "" {
		session = " sessionid='" + session + "'"
	}
	return `<command` + commandsNS + ` node='urn:bindgate:1#` + node + `'` + session + `/>`
}

func row(pairs ...string) string {
	out := "<item>"
	for i := 0; i < len(pairs); i += 2 {
		out += "<field var='" + pairs[i] + "'><value>" + pairs[i+1] + "</value></field>"
	}
	return out + "</item>"
}

func execute(node, more string) string {
	return `<iq type='set' id='x' ` + fromAlice + `><command` + commandsNS + ` node='urn:bindgate:1#` + node + `' ` + more + `/></iq>`
}

func TestOwnersDisco(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices()}
		o.own.Langs = []string{"tlh", "zh-TW"}
		_, p := upFor(t, o)
		for _, tt := range []struct{ ask, want, told string }{
			{`<query xmlns='http://jabber.org/protocol/disco#info'/>`, `<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='component' type='generic' name='Your devices'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/commands'/></query></iq>`, ""},
			{`<query xmlns='http://jabber.org/protocol/disco#items'/>`, `<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><query xmlns='http://jabber.org/protocol/disco#items'></query></iq>`, ""},
			{`<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>`, `<iq type='result' id='x' ` + toAlice + ` xml:lang='zh'><query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'><item jid='bindgate.example.org' node='urn:bindgate:1#devices' name='我的设备'/><item jid='bindgate.example.org' node='urn:bindgate:1#sign-out' name='下线一台设备'/><item jid='bindgate.example.org' node='urn:bindgate:1#sign-out-others' name='下线所有其他设备'/></query></iq>`, "own a♥b@example.org lap top/é"},
			{`<query xmlns='http://jabber.org/protocol/disco#info' node='urn:bindgate:1#devices'/>`, `<iq type='result' id='x' ` + toAlice + ` xml:lang='zh'><query xmlns='http://jabber.org/protocol/disco#info' node='urn:bindgate:1#devices'><identity category='automation' type='command-node' name='我的设备'/><feature var='http://jabber.org/protocol/commands'/><feature var='jabber:x:data'/></query></iq>`, "own a♥b@example.org lap top/é"},
			{`<query xmlns='http://jabber.org/protocol/disco#info' node='urn:bindgate:1'/>`, iqError + `<error type='cancel'><item-not-found` + stanzasNS + `/></error></iq>`, ""},
			{`<query xmlns='http://jabber.org/protocol/disco#items' node='&lt;'/>`, iqError + `<error type='cancel'><item-not-found` + stanzasNS + `/></error></iq>`, ""},
		} {
			p.send(`<iq type='get' id='x' ` + fromAlice + `>` + tt.ask + `</iq>`)
			p.expect(tt.want)
			if got := o.told(); got != tt.told {
				t.Errorf("%s: the owner was asked %q, want %q", tt.ask, got, tt.told)
			}
		}
		o.err = errors.New("away")
		p.send(`<iq type='get' id='x' ` + fromAlice + ` xml:lang='ja-JP'><query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/commands'/></iq>`)
		p.expect(`<iq type='result' id='x' ` + toAlice + ` xml:lang='ja'><query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/commands'><identity category='automation' type='command-list' name='ログイン中の端末'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/commands'/></query></iq>`)
	})
}

func TestOwnersDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p := upFor(t, &fakeOwner{own: someDevices()})
		p.send(execute("devices", ""))
		ticket := p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#devices' sessionid='T' status='completed'>` +
			`<x xmlns='jabber:x:data' type='result'><title>My devices</title><instructions>The devices of your account.</instructions>` + columns +
			row("device", "laptop", "platform", "desktop", "state", "signed in", "since", "2026-11-23 08:00 UTC", "active", "just now", "here", "yes") +
			row("device", "This device: “&lt;x&gt;” &amp;", "platform", "", "state", "signed in, asleep", "since", "2026-11-23 08:00 UTC", "active", "3 h ago", "here", "") +
			row("device", "old phone", "platform", "ios", "state", "not signed in", "since", "", "active", "2 d ago", "here", "") +
			row("device", "unnamed", "platform", "", "state", "not signed in", "since", "", "active", "", "here", "") + `</x></command></iq>`)
		// It is over: no step follows.
		p.send(execute("devices", "sessionid='"+ticket+"' action='cancel'"))
		p.expectCommand(iqError + named("devices", "T") + `<error type='modify'><bad-request` + stanzasNS + `/><bad-sessionid` + commandsNS + `/></error></iq>`)
	})
}

const signOutForm = `<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='executing'><actions execute='complete'><complete/></actions>` +
	`<x xmlns='jabber:x:data' type='form'><title>Sign out a device</title><instructions>Choose the device to be signed out.</instructions>` +
	`<field var='FORM_TYPE' type='hidden'><value>urn:bindgate:1#sign-out</value></field><field var='device' type='list-single' label='Device'><required/>` +
	`<option label='This device: “laptop” (desktop), since 2026-11-23 08:00 UTC'><value>ses_1</value></option>` +
	`<option label='“This device: &apos;&lt;x&gt;&apos; &amp;”, since 2026-11-23 08:00 UTC'><value>ses_2</value></option></field></x></command></iq>`

// choose is the second step of sign-out.
func choose(ticket, action, form string) string {
	return `<iq type='set' id='x' ` + fromAlice + `><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='` + ticket + `' action='` + action + `'>` + form + `</command></iq>`
}

func submit(values string) string {
	return `<x xmlns='jabber:x:data' type='submit'><field var='device'>` + values + `</field></x>`
}

func TestOwnersSignOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices(), report: gate.KickReport{Results: []gate.KickOutcome{{Generation: 2, Resource: "r", Outcome: gate.OutcomeKicked}}}}
		_, p := upFor(t, o)
		p.send(execute("sign-out", "action='execute'"))
		ticket := p.expectCommand(signOutForm)
		o.told()

		p.send(choose(ticket, "execute", submit("<value>ses_2</value>")))
		p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='completed'>` + outcomes +
			row("device", "This device: “&lt;x&gt;” &amp;", "outcome", "signed out") + `</x><note type='info'>Signed out.</note></command></iq>`)
		if got, want := o.told(), "own a♥b@example.org lap top/é; kick a♥b@example.org by owner: {Sessions:[2] Devices:[] Platform: Except:0 All:false}, signed out by the account's owner, 2s"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}

		// Who asks is answered before it goes.
		p.send(choose(ticket, "complete", submit("<value>ses_1</value>")))
		p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='completed'><note type='info'>This device is being signed out.</note></command></iq>`)
		synctest.Wait()
		if got, want := o.told(), "own a♥b@example.org lap top/é; kick a♥b@example.org by owner: {Sessions:[1] Devices:[] Platform: Except:0 All:false}, signed out by the account's owner, 0s"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}

		const canceled = `<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='canceled'></command></iq>`
		p.send(choose(ticket, "cancel", ""))
		p.expectCommand(canceled)
		p.send(choose(ticket, "complete", `<x xmlns='jabber:x:data' type='cancel'/>`))
		p.expectCommand(canceled)

		if got := o.told(); got != "" {
			t.Errorf("a canceled command did something: %s", got)
		}
		o.report.Results[0].Outcome = gate.OutcomePending
		p.send(choose(ticket, "complete", submit("<value>ses_2</value>")))
		p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='completed'>` + outcomes +
			row("device", "This device: “&lt;x&gt;” &amp;", "outcome", "will be signed out as soon as the server can be reached") + `</x><note type='warn'>Not all of them are signed out yet.</note></command></iq>`)

		for range ticketLife / (5 * time.Second) {
			time.Sleep(5 * time.Second)
			p.send(" ") // the server is there
		}
		p.send(choose(ticket, "complete", submit("<value>ses_2</value>")))
		p.expectCommand(iqError + named("sign-out", "T") + `<error type='cancel'><not-allowed` + stanzasNS + `/><session-expired` + commandsNS + `/></error></iq>`)
	})
}

func TestOwnersSignOutOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices(), report: gate.KickReport{Results: []gate.KickOutcome{
			{Generation: 2, Resource: "r", Outcome: gate.OutcomeKicked}, {Generation: 9, Resource: "<new>", Outcome: gate.OutcomeStillPresent}, {Generation: 10, Resource: "z", Outcome: gate.OutcomeGone},
		}}}
		_, p := upFor(t, o)
		p.send(execute("sign-out-others", ""))
		ticket := p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out-others' sessionid='T' status='executing'><actions execute='complete'><complete/></actions>` +
			`<x xmlns='jabber:x:data' type='form'><title>Sign out all other devices</title><instructions>These devices will be signed out. This one stays.</instructions>` +
			`<field var='FORM_TYPE' type='hidden'><value>urn:bindgate:1#sign-out-others</value></field>` +
			`<field type='fixed'><value>“This device: &apos;&lt;x&gt;&apos; &amp;”, since 2026-11-23 08:00 UTC</value></field></x></command></iq>`)
		o.told()
		p.send(execute("sign-out-others", "action='complete' sessionid='"+ticket+"'"))
		p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out-others' sessionid='T' status='completed'>` + outcomes +
			row("device", "This device: “&lt;x&gt;” &amp;", "outcome", "signed out") + row("device", "&lt;new&gt;", "outcome", "still signed in: the server did not end it") +
			row("device", "z", "outcome", "was not signed in any more") + `</x><note type='warn'>Not all of them are signed out yet.</note></command></iq>`)
		if got, want := o.told(), "own a♥b@example.org lap top/é; kick a♥b@example.org by owner: {Sessions:[] Devices:[] Platform: Except:1 All:false}, signed out by the account's owner, 2s"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}

		o.own.Devices = o.own.Devices[:1]
		for _, more := range []string{"", "action='complete' sessionid='" + ticket + "'"} {
			p.send(execute("sign-out-others", more))
			p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out-others' sessionid='T' status='completed'><note type='info'>No other device is signed in.</note></command></iq>`)
		}
		// Where the asking session is not known, nobody can be told from it.
		o.own.Devices = someDevices().Devices[1:]
		for _, more := range []string{"", "action='complete' sessionid='" + ticket + "'"} {
			p.send(execute("sign-out-others", more))
			session := ""
			if more != "" {
				session = "T"
			}
			p.expectCommand(iqError + named("sign-out-others", session) + `<error type='wait'><unexpected-request` + stanzasNS + `/><text` + stanzasNS + ` xml:lang='en'>This session is not known yet. Please try again in a moment.</text></error></iq>`)
		}
		o.own = gate.OwnDevices{}
		p.send(execute("sign-out", ""))
		p.expectCommand(`<iq type='result' id='x' ` + toAlice + ` xml:lang='en'><command` + commandsNS + ` node='urn:bindgate:1#sign-out' sessionid='T' status='completed'><note type='info'>No device is signed in.</note></command></iq>`)
		if got := o.told(); strings.Contains(got, "kick") {
			t.Error(got)
		}
		o.err = errors.New("away")
		p.send(strings.Replace(execute("devices", ""), "<iq ", "<iq xml:lang='ja' ", 1))
		p.expect(iqError + named("devices", "") + `<error type='wait'><internal-server-error` + stanzasNS + `/><text` + stanzasNS + ` xml:lang='ja'>現在この操作はできません。しばらくしてからもう一度お試しください。</text></error></iq>`)
	})
}

// What is wrong with a command is said, and nobody goes.
func TestOwnersWrongCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOwner{own: someDevices()}
		_, p := upFor(t, o)
		p.send(execute("sign-out", ""))
		ticket := p.expectCommand(signOutForm)
		modify := func(about, condition, text string) string {
			s := iqError + about + `<error type='modify'><bad-request` + stanzasNS + `/>`
			if text != "" {
				s += `<text` + stanzasNS + ` xml:lang='en'>` + text + `</text>`
			}
			if condition != "" {
				s += `<` + condition + commandsNS + `/>`
			}
			return s + `</error></iq>`
		}
		const (
			choice  = "Choose one of the devices in the form."
			unknown = "That is not a signed-in device of your account. Please start again."
		)
		forged := ticket[:len(ticket)-2] + "AA"
		for _, tt := range []struct{ name, send, want string }{
			{"unknown node", execute("explode", ""), iqError + named("explode", "") + `<error type='cancel'><item-not-found` + stanzasNS + `/></error></iq>`},
			{"no node", strings.Replace(execute("devices", ""), "node=", "knot=", 1), iqError + `<error type='cancel'><item-not-found` + stanzasNS + `/></error></iq>`},
			{"unknown action", execute("devices", "action='♥'"), modify(named("devices", ""), "malformed-action", "")},
			{"no session", execute("sign-out", "action='complete'"), modify(named("sign-out", ""), "bad-sessionid", "")},
			{"no session to cancel", execute("sign-out", "action='cancel'"), modify(named("sign-out", ""), "bad-sessionid", "")},
			{"forged session", choose(forged, "complete", submit("<value>ses_2</value>")), modify(named("sign-out", "T"), "bad-sessionid", "")},
			{"long session", choose(strings.Repeat("A", 9000), "complete", submit("<value>ses_2</value>")), modify("", "bad-sessionid", "")},
			{"another's session", strings.Replace(choose(ticket, "complete", submit("<value>ses_2</value>")), "lap top/é", "lap top", 1), strings.Replace(modify(named("sign-out", "T"), "bad-sessionid", ""), "lap top/é", "lap top", 1)},
			{"another command's session", strings.Replace(choose(ticket, "complete", ""), "#sign-out", "#sign-out-others", 1), modify(named("sign-out-others", "T"), "bad-sessionid", "")},
			{"next", choose(ticket, "next", submit("<value>ses_2</value>")), modify(named("sign-out", "T"), "bad-action", "")},
			{"prev", choose(ticket, "prev", ""), modify(named("sign-out", "T"), "bad-action", "")},
			{"no form", choose(ticket, "complete", ""), modify(named("sign-out", "T"), "bad-payload", choice)},
			{"a form that is none", choose(ticket, "complete", `<x xmlns='jabber:x:data' type='form'/>`), modify(named("sign-out", "T"), "bad-payload", `a form of type &quot;form&quot; is none that is sent in`)},
			{"two forms", choose(ticket, "complete", submit("<value>ses_2</value>")+submit("<value>ses_2</value>")), modify(named("sign-out", "T"), "bad-payload", "more than one form")},
			{"no value", choose(ticket, "complete", submit("")), modify(named("sign-out", "T"), "bad-payload", choice)},
			{"two values", choose(ticket, "complete", submit("<value>ses_1</value><value>ses_2</value>")), modify(named("sign-out", "T"), "bad-payload", choice)},
			{"another account's", choose(ticket, "complete", submit("<value>ses_77</value>")), modify(named("sign-out", "T"), "bad-payload", unknown)},
			{"one that is not signed in", choose(ticket, "complete", submit("<value>dev_3</value>")), modify(named("sign-out", "T"), "bad-payload", unknown)},
			{"nothing", choose(ticket, "complete", submit("<value/>")), modify(named("sign-out", "T"), "bad-payload", unknown)},
			{"a get", strings.Replace(execute("devices", ""), "'set'", "'get'", 1), iqError + `<error type='cancel'><service-unavailable` + stanzasNS + `/></error></iq>`},
			{"another element", strings.Replace(execute("devices", ""), "<command", "<commands", 1), iqError + `<error type='cancel'><service-unavailable` + stanzasNS + `/></error></iq>`},
			{"two elements", strings.Replace(execute("devices", ""), "</iq>", "<a/></iq>", 1), modify("", "", "a request holds one element")},
			{"not well-formed", strings.Replace(execute("devices", ""), "</iq>", "<a:b:c/></iq>", 1), modify("", "", "not well-formed: XML syntax error on line 1: expected element name after &lt;")},
			{"huge", strings.Replace(execute("devices", ""), "</iq>", strings.Repeat("<a/>", 5000)+"</iq>", 1), iqError + `<error type='modify'><policy-violation` + stanzasNS + `/><text` + stanzasNS + ` xml:lang='en'>stanza larger than 16384 bytes</text></error></iq>`},
			{"deep", strings.Replace(execute("devices", ""), "</iq>", strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40)+"</iq>", 1), iqError + `<error type='modify'><policy-violation` + stanzasNS + `/><text` + stanzasNS + ` xml:lang='en'>stanza nested deeper than 32 elements</text></error></iq>`},
		} {
			time.Sleep(time.Second) // none is turned away
			p.send(tt.send)
			if got := anyTicket.ReplaceAllString(p.recv(), "sessionid='T'"); got != tt.want {
				t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
			}
		}
		if got := o.told(); strings.Contains(got, "kick") {
			t.Error(got)
		}
	})
}
