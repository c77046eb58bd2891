package xmppbridge

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/gate"
)

// parse reads one element and hands it on.
func parse[T any](t *testing.T, in string, f func(*element) (T, error)) (T, string) {
	t.Helper()
	e, err := parseElement([]byte(in))
	if err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	v, err := f(e)
	if err != nil {
		return v, err.Error()
	}
	return v, ""
}

func TestParseAsk(t *testing.T) {
	t.Parallel()
	received := time.Now()
	src := gate.Source{Link: "main", Domain: "example.org", Node: "n1"}
	ask := func(attrs string, children ...string) string {
		return "<ask xmlns='urn:bindgate:1' " + attrs + ">" + strings.Join(children, "") + "</ask>"
	}
	const least = "ask_id='q1' deadline_ms='5000' user='alice' sid='S2' resource='phone' epoch='E1' seq='41'"
	base := gate.Ask{Source: src, ID: "q1", Received: received, Deadline: 5 * time.Second, User: "alice", SID: "S2", Resource: "phone", Epoch: "E1", Seq: 41}
	with := func(change func(*gate.Ask)) gate.Ask {
		a := base
		change(&a)
		return a
	}
	long := strings.Repeat("x", 1023)
	session := func(sid string) string {
		return "<session sid='" + sid + "' resource='r' state='active'/>"
	}
	fifty := strings.Repeat(session("S"), 50)
	tests := []struct {
		name, in string
		want     gate.Ask
		err      string
	}{
		{"least", ask(least), base, ""},
		{
			"everything", ask(least+" chosen='1' ip='192.0.2.7' secure='1' tls='TLSv1.3' transport='tcp' client_id='d4' client='Conversations' lang='ja' takeover='tok' more='1' node='n2' new='x'",
				"<session sid='S1' resource='laptop' state='hibernating' age_seconds='3600' idle_seconds='12' ip='192.0.2.9' secure='0' transport='websocket' client_id='e' client='c' lang='en'/>", "<other/>", "<session xmlns='urn:other'/>"),
			with(func(a *gate.Ask) {
				a.Node, a.Chosen, a.Takeover, a.More = "n2", true, "tok", true
				a.Peer = gate.Peer{IP: "192.0.2.7", Secure: true, Transport: "tcp", ClientID: "d4", Client: "Conversations", Lang: "ja"}
				a.Sessions = []gate.Listed{{SID: "S1", Resource: "laptop", State: "hibernating", Age: time.Hour, Idle: 12 * time.Second, Peer: gate.Peer{IP: "192.0.2.9", Transport: "websocket", ClientID: "e", Client: "c", Lang: "en"}}}
			}), "",
		},
		{"names are kept as sent", ask(strings.Replace(strings.Replace(least, "alice", "a♥b", 1), "phone", "Straße &amp;&#9;☃", 1)), with(func(a *gate.Ask) { a.User, a.Resource = "a♥b", "Straße &\t☃" }), ""},
		{"1,023 bytes", ask(strings.Replace(least, "phone", long, 1)), with(func(a *gate.Ask) { a.Resource = long }), ""},
		{"1,024 bytes", ask(strings.Replace(least, "phone", long+"y", 1)), gate.Ask{}, `ask: attribute "resource" has 1024 bytes, more than 1023`},
		{"what a client says about itself is cut or left out", ask(least + " client='" + strings.Repeat("é", 200) + "' client_id='" + long + "y' takeover='" + long + "y' lang='" + long + "'"), with(func(a *gate.Ask) { a.Client = strings.Repeat("é", 127) }), ""},
		{"50 sessions", ask(least, fifty), with(func(a *gate.Ask) {
			for range 50 {
				a.Sessions = append(a.Sessions, gate.Listed{SID: "S", Resource: "r", State: "active"})
			}
		}), ""},
		{"51 sessions", ask(least, fifty, session("S")), with(func(a *gate.Ask) {
			a.More = true
			for range 50 {
				a.Sessions = append(a.Sessions, gate.Listed{SID: "S", Resource: "r", State: "active"})
			}
		}), ""},
		{"no ask_id", ask(strings.Replace(least, "ask_id", "id", 1)), gate.Ask{}, `ask: attribute "ask_id" is missing`},
		{"a long ask_id", ask(strings.Replace(least, "q1", strings.Repeat("q", 129), 1)), gate.Ask{}, `ask: attribute "ask_id" has 129 bytes, more than 128`},
		{"no user", ask(strings.Replace(least, "alice", "", 1)), gate.Ask{}, `ask: attribute "user" is missing`},
		{"a user that is another account", ask(strings.Replace(least, "alice", "a@b", 1)), gate.Ask{}, `ask: attribute "user" is "a@b"; a localpart has no '@' and no '/'`},
		{"no resource", ask(strings.Replace(least, "phone", "", 1)), gate.Ask{}, `ask: attribute "resource" is missing`},
		{"a sid of other letters", ask(strings.Replace(least, "S2", "S 2", 1)), gate.Ask{}, `ask: attribute "sid" is "S 2"; only A-Z, a-z, 0-9, '_' and '-' are allowed`},
		{"a long sid", ask(strings.Replace(least, "S2", strings.Repeat("s", 65), 1)), gate.Ask{}, `ask: attribute "sid" has 65 bytes, more than 64`},
		{"no time", ask(strings.Replace(least, "5000", "0", 1)), gate.Ask{}, `ask: attribute "deadline_ms" is "0", not a whole number from 1 to 3600000`},
		{"a time that overflows", ask(strings.Replace(least, "5000", "99999999999999999999", 1)), gate.Ask{}, `ask: attribute "deadline_ms" is "99999999999999999999", not a whole number from 1 to 3600000`},
		{"seq that is none", ask(strings.Replace(least, "41", "4.1", 1)), gate.Ask{}, `ask: attribute "seq" is "4.1", not a whole number from 0 to 9223372036854775807`},
		{"a boolean that is none", ask(least + " chosen='true'"), gate.Ask{}, `ask: attribute "chosen" is "true", not 0 or 1`},
		{"a session without a sid", ask(least, session("S1"), session("")), gate.Ask{}, `ask: session 2: attribute "sid" is missing`},
		{"a session in no state", ask(least, "<session sid='S' resource='r' state='dead'/>"), gate.Ask{}, `ask: session 1: attribute "state" is "dead", not one of active, hibernating`},
		{"a session of a thousand years", ask(least, "<session sid='S' resource='r' state='active' age_seconds='99999999999'/>"), gate.Ask{}, `ask: session 1: attribute "age_seconds" is "99999999999", not a whole number from 0 to 3162240000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, tt.in, func(e *element) (gate.Ask, error) { return parseAsk(e, src, received) })
			if err != tt.err {
				t.Fatalf("error\n got %s\nwant %s", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseEvent(t *testing.T) {
	t.Parallel()
	src := gate.Source{Link: "main", Domain: "example.org"}
	tests := []struct {
		attrs string
		want  gate.Event
		err   string
	}{
		{
			"kind='bind' epoch='E1' seq='42' user='alice' sid='S2' ask_id='q8' resource='phone' state='active' ip='192.0.2.7' secure='1' transport='bosh' client_id='d4' client='c' lang='ja' made='1' reason='' age_seconds='1' idle_seconds='2' takeover='tok'",
			gate.Event{
				Source: src, Kind: gate.EventBind, Epoch: "E1", Seq: 42, User: "alice", SID: "S2", AskID: "q8", Resource: "phone", Takeover: "tok", Age: time.Second, Idle: 2 * time.Second,
				Peer: gate.Peer{IP: "192.0.2.7", Secure: true, Transport: "bosh", ClientID: "d4", Client: "c", Lang: "ja", Made: true},
			},
			"",
		},
		{
			"kind='bind' epoch='E1' seq='42' user='a' sid='S2' resource='r' takeover='" + strings.Repeat("t", 1024) + "'",
			gate.Event{Source: src, Kind: gate.EventBind, Epoch: "E1", Seq: 42, User: "a", SID: "S2", Resource: "r"}, "",
		},
		{"kind='unbind' epoch='E1' seq='43' sid='S2' reason='kick'", gate.Event{Source: src, Kind: gate.EventUnbind, Epoch: "E1", Seq: 43, SID: "S2", Reason: "kick"}, ""},
		{"kind='hibernate' epoch='E1' seq='43' user='a' sid='S2' resource='r'", gate.Event{Source: src, Kind: gate.EventHibernate, Epoch: "E1", Seq: 43, User: "a", SID: "S2", Resource: "r"}, ""},
		{"kind='resume' epoch='E1' seq='43' sid='S2' ip='::1'", gate.Event{Source: src, Kind: gate.EventResume, Epoch: "E1", Seq: 43, SID: "S2", Peer: gate.Peer{IP: "::1"}}, ""},
		{"kind='gone' epoch='E1' seq='43' sid='S2' ask_id='q1'", gate.Event{Source: src, Kind: gate.EventGone, Epoch: "E1", Seq: 43, SID: "S2", AskID: "q1"}, ""},
		{"epoch='E1' seq='1' sid='S2'", gate.Event{}, `event: attribute "kind" is missing`},
		{"kind='sneeze' epoch='E1' seq='1' sid='S2'", gate.Event{}, `event: attribute "kind" is "sneeze", not one of bind, unbind, hibernate, resume, gone`},
		{"kind='bind' epoch='E1' seq='1' sid='S2' resource='r'", gate.Event{}, `event: attribute "user" is missing`},
		{"kind='bind' epoch='E1' seq='1' sid='S2' user='a'", gate.Event{}, `event: attribute "resource" is missing`},
		{"kind='gone' epoch='E1' seq='0' sid='S2'", gate.Event{}, `event: attribute "seq" is "0", not a whole number from 1 to 9223372036854775807`},
		{"kind='gone' seq='1' sid='S2'", gate.Event{}, `event: attribute "epoch" is missing`},
		{"kind='gone' epoch='E1' seq='1'", gate.Event{}, `event: attribute "sid" is missing`},
	}
	for _, tt := range tests {
		got, err := parse(t, "<event xmlns='urn:bindgate:1' "+tt.attrs+"/>", func(e *element) (gate.Event, error) { return parseEvent(e, src) })
		if err != tt.err {
			t.Errorf("%s: error\n got %s\nwant %s", tt.attrs, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" && err == "" {
			t.Errorf("%s: -want +got\n%s", tt.attrs, diff)
		}
	}
}

func TestParseHello(t *testing.T) {
	t.Parallel()
	src := gate.Source{Link: "main", Domain: "example.org"}
	tests := []struct {
		attrs string
		want  gate.Hello
		err   string
	}{
		{
			"version='1' module='0.1.0' server='Prosody' server_version='0.12.3' node='n1' epoch='Zk3' seq='7' sessions='1500' mode='enforce' on_failure='deny' timeout_ms='5000' abilities='ask kick  probe'",
			gate.Hello{
				Source: gate.Source{Link: "main", Domain: "example.org", Node: "n1"}, Version: "1", Module: "0.1.0", Server: "Prosody", ServerVersion: "0.12.3", Epoch: "Zk3", Seq: 7,
				Sessions: 1500, Mode: "enforce", OnFailure: "deny", Timeout: 5 * time.Second, Abilities: []string{"ask", "kick", "probe"},
			},
			"",
		},
		{"version='1.2' epoch='Zk3' seq='0'", gate.Hello{Source: src, Version: "1.2", Epoch: "Zk3", Abilities: []string{}}, ""},
		{"version='2' seq='x' mode='y' abilities='fly'", gate.Hello{Source: src, Version: "2", Abilities: []string{"fly"}}, ""},
		{"epoch='Zk3' seq='0'", gate.Hello{}, `hello: attribute "version" is missing`},
		{"version='1' seq='0'", gate.Hello{}, `hello: attribute "epoch" is missing`},
		{"version='1' epoch='Zk3'", gate.Hello{}, `hello: attribute "seq" is missing`},
		{"version='1' epoch='Zk3' seq='0' mode='wild'", gate.Hello{}, `hello: attribute "mode" is "wild", not one of enforce, observe, off`},
		{"version='1' epoch='Zk3' seq='0' sessions='-1'", gate.Hello{}, fmt.Sprintf(`hello: attribute "sessions" is "-1", not a whole number from 0 to %d`, math.MaxInt32)},
	}
	for _, tt := range tests {
		got, err := parse(t, "<hello xmlns='urn:bindgate:1' "+tt.attrs+"/>", func(e *element) (gate.Hello, error) { return parseHello(e, src) })
		if err != tt.err {
			t.Errorf("%s: error\n got %s\nwant %s", tt.attrs, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" && err == "" {
			t.Errorf("%s: -want +got\n%s", tt.attrs, diff)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                    "",
		"plain ünï♥ 🎉":                        "plain ünï♥ 🎉",
		`<a href="x">'&amp;'</a>`:             "&lt;a href=&quot;x&quot;&gt;&apos;&amp;amp;&apos;&lt;/a&gt;",
		"a\tb\nc\rd":                          "a&#9;b&#10;c&#13;d",
		"\x00\x1f\xff\xc3(\uFFFE\uFFFF\uFFFD": "\uFFFD\uFFFD\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD",
		"\xed\xa0\x80":                        "\uFFFD\uFFFD\uFFFD",
	} {
		got := string(appendEscaped(nil, in))
		if got != want {
			t.Errorf("appendEscaped(%q)\n got %q\nwant %q", in, got, want)
		}
		if err := wellFormed("<a b='" + got + "'>" + got + "</a>"); err != nil {
			t.Errorf("%q is not well-formed: %v", got, err)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][3]string{
		"example.org":              {"", "example.org", ""},
		"a@example.org":            {"a", "example.org", ""},
		"a@example.org/r/s@t":      {"a", "example.org", "r/s@t"},
		"example.org/a@b":          {"", "example.org", "a@b"},
		"":                         {},
		"@/":                       {"", "", ""},
		"a♥b@example.org/\xff\x00": {"a♥b", "example.org", "\xff\x00"},
	} {
		local, domain, resource := address(in)
		if got := [3]string{local, domain, resource}; got != want {
			t.Errorf("address(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseElementText(t *testing.T) {
	t.Parallel()
	e, err := parseElement([]byte("<a>" + strings.Repeat("x<b/>", 100_000) + "</a>"))
	if err != nil || len(e.text) != maxText || len(e.children) != 100_000 {
		t.Errorf("text of %d bytes, %d children, %v", len(e.text), len(e.children), err)
	}
	for _, bad := range []string{"", "<a>", "</a>", "<a></b>", strings.Repeat("<a>", 40)} {
		if _, err := parseElement([]byte(bad)); err == nil {
			t.Errorf("%.20q: no error", bad)
		}
	}
}
