package e2e

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// sameLink fails if the component has been disconnected since.
func (w *world) sameLink(before string) {
	w.t.Helper()
	if strings.Contains(w.server.Log(), "component disconnected: "+w.server.ComponentJID()) {
		w.t.Fatalf("the link was lost after %.100s", before)
	}
}

// Whatever the server takes for a user or a resource is governed by the rules and stands in the record as the server has it.
func TestOddNames(t *testing.T) { servers.Each(t, testOddNames) }

func testOddNames(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	since := w.link().Since
	api := w.rest()
	resources := []string{
		"phone", `<'"&>]]>`, "a/b@c d", "☎♥", "هاتف محمول", "\u05d8\u05dc\u05e4\u05d5\u05df",
		strings.Repeat("é", 511) + "x", strings.Repeat("<", 1023), strings.Repeat("♥", 341), "&amp;#0;", "null", "'; drop table sessions; --", `\u0000`, "%s%n{device}",
	}
	users := []struct{ login, server string }{
		{"a♥b", "a♥b"},
		{"UPPER", "upper"},
		{"straße", "strasse"},
		{"Ünï.cødé", "ünï.cødé"},
		{`a\40b\26c`, `a\40b\26c`},
		{"שלום", "שלום"},
		{strings.Repeat("é", 300), strings.Repeat("é", 300)},
		{"o-%s$1{x}", "o-%s$1{x}"},
	}
	t.Run("users", func(t *testing.T) {
		for _, user := range users {
			t.Run(fmt.Sprintf("%.20s", user.login), func(t *testing.T) {
				t.Parallel()
				w := w.in(t)
				var last *xmppclient.Client
				for i, resource := range resources {
					next := w.dial(user.login, xmppclient.Options{Transport: transports[i%3]})
					if _, err := next.Bind(w.ctx(), resource); err != nil {
						t.Fatalf("bind %q: %v", resource, err)
					}
					if last != nil {
						wantError(t, w.evicted(last), "takeover", "en")
					}
					w.recorded(user.server, next.Resource()+"=active")
					name := user.server
					if !on.Able(servers.PreparedName) {
						name = user.login
					}
					if next.JID() != w.jid(name)+"/"+next.Resource() || next.Resource() != resource {
						t.Errorf("%q: bound to %q", resource, next.JID())
					}
					last = next
				}
				w.stays(last)
				// Over REST: as the user types it, and as the server has it.
				for _, name := range []string{user.login, user.server} {
					var shown shownSessions
					api.in(t).do("GET", "/v1/accounts/"+url.PathEscape(name+"@"+strings.ToUpper(w.server.Domain()))+"/sessions?state=active", "", &shown, 200)
					if len(shown.Items) != 1 || shown.Items[0].Account != w.jid(user.server) || shown.Items[0].Resource != last.Resource() {
						t.Errorf("%s: %+v", name, shown)
					}
				}
				var kick shownKick
				api.in(t).do("POST", "/v1/accounts/"+url.PathEscape(w.jid(user.login))+"/kick", `{"all": true}`, &kick, 200)
				if kick.outcomes() != last.Resource()+"=kicked" {
					t.Errorf("kick: %+v", kick)
				}
				wantError(t, w.evicted(last), "kick", "en")
				w.recorded(user.server, "")
			})
		}
	})
	for _, resource := range []string{strings.Repeat("x", 1024), strings.Repeat("x", 100_000), "\u2028", " \t ", "😀👩\u200d👧"} {
		c := w.dial("long", xmppclient.Options{})
		if r, err := c.Bind(w.ctx(), resource); err == nil { // the server makes one of its own
			w.recorded("long", r.Resource+"=active")
		} else if e := (*xmppclient.StanzaError)(nil); !errors.As(err, &e) {
			t.Errorf("%.20q: %v", resource, err)
		}
	}
	w.sameLink("odd resources")
	if l := w.link(); l.State != "up" || !l.Since.Equal(since) {
		t.Errorf("the link: %s since %s, was up since %s", l.State, l.Since, since)
	}
}

// REST callers say straße for what the server calls strasse.
func TestRESTPreparesNames(t *testing.T) { servers.Each(t, testRESTPreparesNames) }

func testRESTPreparesNames(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	c := w.login("strasse", "phone")
	w.recorded("strasse", "phone=active")
	for _, name := range []string{w.jid("straße"), "STRAßE@" + strings.ToUpper(w.server.Domain()), w.jid("strasse"), w.jid("Strasse") + "/ignored"} {
		var shown shownSessions
		path := "/v1/accounts/" + url.PathEscape(name) + "/sessions"
		if strings.Contains(name, "/") {
			api.do("GET", path, "", nil, 422) // an account is a bare JID
			continue
		}
		api.do("GET", path, "", &shown, 200)
		if len(shown.Items) != 1 || shown.Items[0].Account != w.jid("strasse") {
			t.Errorf("%s: %+v", name, shown)
		}
		api.do("GET", "/v1/sessions?account="+url.QueryEscape(name), "", &shown, 200)
		if len(shown.Items) != 1 {
			t.Errorf("%s: %+v", name, shown)
		}
	}
	path := "/v1/accounts/" + url.PathEscape(w.jid("straße"))
	api.do("PUT", path+"/rule", `{"max_sessions": 1}`, nil, 200, 201)
	w.login("straße", "tablet") // the rule is that of the account the server has
	wantError(t, w.evicted(c), "takeover", "en")
	var verdict shownVerdict
	api.do("POST", path+"/verify", `{"resource": "tablet"}`, &verdict, 200)
	if !verdict.Current {
		t.Errorf("verify: %+v", verdict)
	}
	var kick shownKick
	api.do("POST", path+"/kick", `{"platform": "unknown"}`, &kick, 200)
	if kick.outcomes() != "tablet=kicked" {
		t.Errorf("kick: %+v", kick)
	}
	w.recorded("strasse", "")
}

// Users send the component and the server's module whatever they like: nobody else is affected, the link is the same, and the rules hold.
func TestOddStanzas(t *testing.T) { servers.Each(t, testOddStanzas) }

func testOddStanzas(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1}`)
	since := shared.link().Since
	victim := shared.login("victim", "phone")
	shared.recorded("victim", "phone=active")
	of := shared.sessions("victim")[0]
	var epoch string
	var seq int64
	if err := shared.store.Pool().QueryRow(t.Context(), `select epoch, seq from sessions where sid = $1`, of.SID).Scan(&epoch, &seq); err != nil {
		t.Fatal(err)
	}
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	deep := 5000
	if !on.Able(servers.DeepStanzas) {
		deep = 500
	}
	const gate = "xmlns='urn:bindgate:1'"
	odd := []string{
		"<message to='%s'><body>hello</body></message>",
		"<message to='x♥y@%s/☃ ♥' type='♥'><a:b xmlns:a='urn:a' a:c='d' a:from='localhost'/></message>",
		"<message to='%s'><error xmlns='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error></message>",
		"<message to='%s' type='error' id='a'><error/></message>",
		"<message to='%s'><body>&#x10FFFF;&#xFFFD;&amp;&lt;]]&gt;</body></message>",
		"<message to='%s'>" + many(deep, "<a>") + many(deep, "</a>") + "</message>",
		"<message to='%s'>" + many(20000, "<a/>") + "</message>",
		"<message to='%s'><body>" + many(240_000, "x") + "</body></message>",
		"<message to='%s'><body x=\"" + many(240_000, "'") + "\"/></message>",
		"<presence to='%s'/>", "<presence to='%s' type='unavailable'/>", "<presence to='%s' type='subscribe'/>", "<presence to='%s' type='probe'/>", "<presence to='%s' type='error'/>",
		"<iq to='%s' type='result' id='a'/>", "<iq to='%s' type='error' id='a'/>",
		"<iq to='%s' type='get' id='&lt;&#9;&#10;&quot;'><a xmlns='urn:x'>" + many(50_000, "<b/>") + "</a></iq>",
		"<iq to='%s' type='set' id=\"" + many(100_000, "'") + "\"><a/></iq>",
		"<iq to='%s' type='get' id='v'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
		// The protocol itself, from someone who may not speak it.
		"<message to='%s' type='headline'><event " + gate + " kind='unbind' epoch='" + epoch + "' seq='" + fmt.Sprint(seq+1000) + "' user='victim' sid='" + of.SID + "' resource='phone' reason='logout'/></message>",
		"<iq to='%s' type='get' id='a'><ask " + gate + " ask_id='q1' deadline_ms='5000' user='victim' sid='S2' resource='tablet' epoch='" + epoch + "' seq='0'/></iq>",
		"<iq to='%s' type='set' id='a'><hello " + gate + " version='1' epoch='E1' seq='0' sessions='0' abilities='ask'/></iq>",
		"<iq to='%s' type='set' id='a'><kick " + gate + " user='victim' sid='" + of.SID + "' resource='phone' code='kick'/></iq>",
		// And to the module.
		"<iq to='" + shared.server.Domain() + "' type='set' id='a'><kick " + gate + " user='victim' sid='" + of.SID + "' resource='phone' code='kick'/></iq>",
		"<iq to='" + shared.server.Domain() + "' type='set' id='a'><mode " + gate + " value='off'/></iq>",
		"<iq to='" + shared.server.Domain() + "' type='get' id='a'><snapshot " + gate + " first='0' count='4096'/></iq>",
		"<iq to='" + shared.server.Domain() + "' type='result' id='a1'><allow " + gate + " ask_id='q1'><kick user='victim' sid='" + of.SID + "'/></allow></iq>",
		"<message to='" + shared.server.Domain() + "'><event " + gate + " kind='bind'/></message>",
	}
	t.Run("users", func(t *testing.T) {
		for _, user := range []string{"mallory", "m♥llory"} {
			for _, transport := range transports[:2] {
				t.Run(user+"/"+transport.String(), func(t *testing.T) {
					t.Parallel()
					w := shared.in(t)
					c := w.loginWith(user+"-"+transport.String(), "r ♥", xmppclient.Options{Transport: transport})
					governed := "gov-" + user + transport.String()
					last := w.login(governed, "r0")
					for i, text := range odd {
						if strings.Contains(text, "%s") {
							text = fmt.Sprintf(text, w.server.ComponentJID())
						}
						if err := c.SendRaw(text); err != nil {
							t.Fatalf("%.100s: %v", text, err)
						}
						// The next request is answered, so the component has had the one before.
						_, err := c.IQ(w.ctx(), w.server.ComponentJID(), "get", "<query xmlns='urn:x'/>", "")
						if e := (*xmppclient.StanzaError)(nil); !errors.As(err, &e) || e.Condition != "service-unavailable" {
							t.Fatalf("a request after %.100s: %v, want service-unavailable", text, err)
						}
						next := w.login(governed, fmt.Sprint("r", i+1))
						if e := w.evicted(last); e.Ended == nil || e.Ended.Code != "takeover" {
							t.Fatalf("after %.100s: %s", text, e.Raw)
						}
						last = next
						w.sameLink(text)
					}
				})
			}
		}
	})
	shared.stays(victim)
	if got := shared.sessions("victim"); len(got) != 1 || got[0] != of {
		t.Errorf("the victim on record: %+v, was %+v", got, of)
	}
	if l := shared.link(); l.State != "up" || !l.Since.Equal(since) || len(l.Domains) != 1 || l.Domains[0].Mode != "enforce" {
		t.Errorf("the link: %+v, was up since %s", l, since)
	}
}
