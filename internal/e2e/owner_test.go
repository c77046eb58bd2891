package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

const (
	nsCommands = "http://jabber.org/protocol/commands"
	nodes      = "urn:bindgate:1#"
)

// owner is a slixmpp client that does what it is told.
func (w *world) owner(jid, lang string) *slix {
	w.t.Helper()
	s := w.runSlixmpp("testdata/slixmpp_owner.py", jid, lang, w.server.ComponentJID())
	s.wants("bound", "jid", jid)
	return s
}

// does has the client do something; pairs are names and values.
func (s *slix) does(what string, pairs ...string) {
	s.t.Helper()
	task := map[string]string{"do": what}
	for i := 0; i < len(pairs); i += 2 {
		task[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(task)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.in.Write(append(b, '\n')); err != nil {
		s.t.Fatal(err)
	}
}

// texts renders a list of the client's JSON.
func texts(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

var aTime = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`)

// A client that others wrote (slixmpp) discovers the commands and looks after its account's devices.
func TestOwnerWithSlixmpp(t *testing.T) { servers.OneOrEach(t, testOwnerWithSlixmpp) }

func testOwnerWithSlixmpp(t *testing.T, on *servers.Kind) {
	needsSlixmpp(t)
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	api.do("POST", "/v1/accounts/"+w.jid("ann")+"/devices", `{"resource":"android-1","name":"Ann's <Pixel>","platform":"android"}`, nil, 201)
	// Another account has devices of the same names, which stay.
	other := w.login("bob", "phone")
	w.recorded("bob", "phone=active")
	w.login("ann", "old").Close()
	phone := w.loginWith("ann", "android-1", xmppclient.Options{Lang: "ja"})
	tablet := w.login("ann", "☎ <tab&let>")
	w.recorded("ann", "android-1=active ☎ <tab&let>=active")
	me := w.owner(w.jid("ann")+"/laptop", "en")
	w.recorded("ann", "android-1=active laptop=active ☎ <tab&let>=active")

	if items, err := other.IQ(w.ctx(), w.server.Domain(), "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", ""); err != nil || !strings.Contains(items.Raw, w.server.ComponentJID()) {
		t.Errorf("the server's items: %+v, %v", items, err)
	}
	me.does("discover")
	found := me.wants("commands")
	for name, want := range map[string]string{
		"identities": `[["component","generic"]]`,
		"features":   `["http://jabber.org/protocol/commands","http://jabber.org/protocol/disco#info","http://jabber.org/protocol/disco#items"]`,
		"nodes":      `["urn:bindgate:1#devices","urn:bindgate:1#sign-out","urn:bindgate:1#sign-out-others"]`,
		"names":      `["My devices","Sign out a device","Sign out all other devices"]`,
		"jids":       `["` + w.server.ComponentJID() + `"]`,
		"kinds":      `[["automation","command-node"],["automation","command-node"],["automation","command-node"]]`,
	} {
		if got := texts(found[name]); name != "names" && got != want || name == "names" && len(found[name].([]any)) != 3 {
			t.Errorf("discovered %s: %s, want %s", name, got, want)
		}
	}

	me.does("run", "node", nodes+"devices")
	list := me.wants("step", "status", "completed", "type", "result", "title", "My devices")
	if got, want := texts(list["columns"]), `["Device","Platform","State","Signed in since","Last active","This device"]`; got != want {
		t.Errorf("columns: %s, want %s", got, want)
	}
	var rows []string
	for _, row := range list["rows"].([]any) {
		rows = append(rows, aTime.ReplaceAllString(fmt.Sprint(row), "T"))
	}
	if d := cmp.Diff([]string{"[laptop desktop signed in T just now yes]", "[☎ <tab&let>  signed in T just now ]", "[Ann's <Pixel> android signed in T just now ]", "[old  not signed in  just now ]"}, rows); d != "" {
		t.Errorf("my devices (-want +got):\n%s", d)
	}
	if address.MatchString(list["raw"].(string)) {
		t.Errorf("it tells an address: %s", list["raw"])
	}

	me.does("run", "node", nodes+"sign-out")
	choice := me.wants("step", "status", "executing", "type", "form", "title", "Sign out a device")
	if got, want := aTime.ReplaceAllString(fmt.Sprint(choice["options"]), "T"), "[This device: “laptop” (desktop), since T “☎ <tab&let>”, since T “Ann's <Pixel>” (android), since T]"; got != want || texts(choice["actions"]) != `["complete"]` {
		t.Errorf("options: %s, want %s; actions %s", got, want, texts(choice["actions"]))
	}
	me.does("complete", "choose", "Pixel")
	done := me.wants("step", "status", "completed", "type", "result")
	if texts(done["rows"]) != `[["Ann's \u003cPixel\u003e","signed out"]]` || texts(done["notes"]) != `[["info","Signed out."]]` {
		t.Errorf("signed out: %s", done["raw"])
	}
	wantError(t, w.evicted(phone), "kick", "ja")
	w.recorded("ann", "laptop=active ☎ <tab&let>=active")
	var by, reason string
	if err := w.store.Pool().QueryRow(t.Context(), `select requested_by, reason from kicks where account = $1`, store.KeyOf(w.jid("ann"))).Scan(&by, &reason); err != nil || by != "owner" || reason != "signed out by the account's owner" {
		t.Errorf("on record: by %q for %q, %v", by, reason, err)
	}

	// What belongs to another account is nothing here.
	me.does("run", "node", nodes+"sign-out")
	me.wants("step", "status", "executing")
	me.does("complete", "value", w.ids("bob")["phone"])
	if e := me.wants("error", "condition", "bad-request", "type", "modify"); texts(e["command"]) != `["bad-payload"]` || e["text"] == "" {
		t.Errorf("another's session: %s", e["raw"])
	}
	me.does("run", "node", nodes+"sign-out")
	me.wants("step", "status", "executing")
	me.does("cancel")
	me.wants("step", "status", "canceled")

	me.does("run", "node", nodes+"sign-out-others")
	confirm := me.wants("step", "status", "executing", "type", "form", "title", "Sign out all other devices")
	if !strings.Contains(confirm["raw"].(string), "<tab&let>") || strings.Contains(confirm["raw"].(string), "laptop") {
		t.Errorf("who would go: %s", confirm["raw"])
	}
	w.stays(tablet)
	me.does("complete")
	done = me.wants("step", "status", "completed", "type", "result")
	if texts(done["rows"]) != `[["☎ \u003ctab\u0026let\u003e","signed out"]]` {
		t.Errorf("signed out: %s", done["raw"])
	}
	wantError(t, w.evicted(tablet), "kick", "en")
	w.recorded("ann", "laptop=active")
	me.does("run", "node", nodes+"sign-out-others")
	if e := me.wants("step", "status", "completed"); texts(e["notes"]) != `[["info","No other device is signed in."]]` {
		t.Errorf("nobody is left: %s", e["raw"])
	}

	// The last one signs itself out, and reads the answer before its stream ends.
	me.does("run", "node", nodes+"sign-out")
	me.wants("step", "status", "executing")
	me.does("complete", "choose", "This device")
	if e := me.wants("step", "status", "completed"); texts(e["notes"]) != `[["info","This device is being signed out."]]` {
		t.Errorf("itself: %s", e["raw"])
	}
	if e := me.wants("stream_error", "condition", "conflict"); e["ended"].(map[string]any)["code"] != "kick" {
		t.Errorf("its end: %s", e["raw"])
	}
	me.wants("disconnected")
	w.recorded("ann", "")
	w.stays(other)
}

// run begins a command and returns its session id and the answer.
func (w *world) run(c *xmppclient.Client, node, lang string) (id string, answer *xmppclient.Stanza) {
	w.t.Helper()
	answer, err := c.IQ(w.ctx(), w.server.ComponentJID(), "set", "<command xmlns='"+nsCommands+"' node='"+nodes+node+"' action='execute'/>", lang)
	if err != nil {
		w.t.Fatalf("%s of %s: %v", node, c.JID(), err)
	}
	return answer.Child(nsCommands, "command").Attr("sessionid"), answer
}

// Names of all sorts, in the language of the stanza, of the stream, or of the account.
func TestOwnerWithOddNames(t *testing.T) { servers.OneOrEach(t, testOwnerWithOddNames) }

func testOwnerWithOddNames(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	since := shared.link().Since
	t.Run("users", func(t *testing.T) {
		for i, user := range []string{"a♥b", "שלום", `a\40b\26c`, strings.Repeat("é", 300)} {
			t.Run(fmt.Sprintf("%.20s", user), func(t *testing.T) {
				t.Parallel()
				w := shared.in(t)
				me := w.loginWith(user, "هاتف", xmppclient.Options{Transport: transports[i%2], Lang: "zh-CN"})
				want := []string{"هاتف=active"}
				others := []*xmppclient.Client{}
				for _, resource := range []string{`<'"&>]]>`, "\u05d8\u05dc", strings.Repeat("<", 1023), strings.Repeat("♥", 341), "This device: ”"} {
					others = append(others, w.login(user, resource))
					want = append(want, others[len(others)-1].Resource()+"=active")
				}
				slices.Sort(want)
				w.recorded(user, strings.Join(want, " "))
				for lang, title := range map[string]string{"": "我的设备", "ja-JP": "自分の端末", "tlh": "我的设备"} {
					_, list := w.run(me, "devices", lang)
					if x := list.Child(nsCommands, "command").Child("jabber:x:data", "x"); x.Child("jabber:x:data", "title").Text != title || strings.Count(list.Raw, "<item>") != 6 {
						t.Errorf("in %q: %s", lang, list.Raw)
					}
				}
				id, form := w.run(me, "sign-out-others", "en")
				if strings.Count(form.Raw, "fixed") != 5 {
					t.Errorf("form: %s", form.Raw)
				}
				done, err := me.IQ(w.ctx(), w.server.ComponentJID(), "set", "<command xmlns='"+nsCommands+"' node='"+nodes+"sign-out-others' sessionid='"+id+"' action='complete'/>", "en")
				if err != nil || strings.Count(done.Raw, ">signed out<") != 5 {
					t.Fatalf("done: %+v, %v", done, err)
				}
				for _, o := range others {
					wantError(t, w.evicted(o), "kick", "en")
				}
				w.recorded(user, "هاتف=active")
				w.stays(me)
			})
		}
	})
	if l := shared.link(); l.State != "up" || !l.Since.Equal(since) {
		t.Errorf("the link: %s since %s, was up since %s", l.State, l.Since, since)
	}
}

// The account's language, where neither stanza nor stream has one that bindgate speaks.
func TestOwnerInAccountsLanguage(t *testing.T) { servers.OneOrEach(t, testOwnerInAccountsLanguage) }

func testOwnerInAccountsLanguage(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	me := w.loginWith("lee", "desk", xmppclient.Options{Lang: "tlh"})
	w.recorded("lee", "desk=active")
	if _, err := w.store.Pool().Exec(t.Context(), `update accounts set lang = 'zh-TW' where jid = $1`, w.jid("lee")); err != nil {
		t.Fatal(err)
	}
	if _, list := w.run(me, "devices", ""); !strings.Contains(list.Raw, "我的设备") || list.Lang() != "zh" {
		t.Errorf("my devices: %s", list.Raw)
	}
}

// Hostile requests: the link is the same, asks are answered, and nobody goes.
func TestOwnerHostile(t *testing.T) { servers.OneOrEach(t, testOwnerHostile) }

func testOwnerHostile(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	since := w.link().Since
	victim := w.login("victim", "phone")
	mine := w.login("mallory", "other")
	c := w.loginWith("mallory", "r <♥>", xmppclient.Options{})
	w.recorded("mallory", "other=active r <♥>=active")
	w.recorded("victim", "phone=active")
	theirs := w.ids("victim")["phone"]
	id, _ := w.run(c, "sign-out", "")
	others, _ := w.run(c, "sign-out-others", "")
	second := w.loginWith("mallory", "second", xmppclient.Options{})
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	command := func(more, inner string) string {
		return "<command xmlns='" + nsCommands + "' " + more + ">" + inner + "</command>"
	}
	submit := func(value string) string {
		return "<x xmlns='jabber:x:data' type='submit'><field var='device'><value>" + value + "</value></field></x>"
	}
	out := "node='" + nodes + "sign-out' sessionid='" + id + "' "
	for _, tt := range []struct{ payload, condition string }{
		{command("node='"+nodes+"nothing'", ""), "item-not-found"},
		{command("node='"+many(3000, "&lt;")+"'", ""), "item-not-found"},
		{command("node='"+nodes+"devices' action='"+many(3000, "♥")+"'", ""), "bad-request"},
		{command("node='"+nodes+"devices' action='prev'", ""), "bad-request"},
		{command("node='"+nodes+"sign-out' sessionid='"+many(38, "A")+"' action='complete'", submit(theirs)), "bad-request"},
		{command(out+"action='complete'", submit(theirs)), "bad-request"},
		{command(out+"action='complete'", submit(strings.Replace(theirs, "ses_", "dev_", 1))), "bad-request"},
		{command(out+"action='complete'", submit("&lt;/value&gt;")), "bad-request"},
		{command(out+"action='complete'", submit(theirs)+submit(w.ids("mallory")["other"])), "bad-request"},
		{command(out+"action='complete'", "<x xmlns='jabber:x:data' type='result'/>"), "bad-request"},
		{command(out+"action='complete'", "<x xmlns='jabber:x:data'/>"), "bad-request"},
		{command(out+"action='complete'", many(200, "<x xmlns='jabber:x:data' type='submit'/>")), "bad-request"},
		{command(out+"action='next'", submit(w.ids("mallory")["other"])), "bad-request"},
		{command(strings.Replace(out, "sign-out", "sign-out-others", 1)+"action='complete'", ""), "bad-request"},
		{command("node='"+nodes+"devices'", many(20_000, "<a/>")), "policy-violation"},
		{command("node='"+nodes+"devices'", many(100, "<a>")+many(100, "</a>")), "policy-violation"},
		{command("node='"+nodes+"devices'", many(200_000, "x")), "policy-violation"},
		{"<command xmlns='" + nsCommands + "'/><command xmlns='" + nsCommands + "'/>", "bad-request"},
		{"<query xmlns='http://jabber.org/protocol/disco#info'/>", "service-unavailable"}, // it is no set
		{"<query xmlns='http://jabber.org/protocol/muc#owner'/>", "service-unavailable"},
	} {
		w.until("an answer to "+fmt.Sprintf("%.150s", tt.payload), func() string {
			_, err := c.IQ(w.ctx(), w.server.ComponentJID(), "set", tt.payload, "")
			e := (*xmppclient.StanzaError)(nil)
			switch {
			case !errors.As(err, &e):
				t.Fatalf("%.150s: %v, want %s", tt.payload, err, tt.condition)
			case e.Condition == "resource-constraint" && e.Type == "wait":
				return "turned away"
			case e.Condition != tt.condition:
				t.Fatalf("%.150s: %s, want %s", tt.payload, e.Raw, tt.condition)
			}
			return ""
		})
		w.sameLink(tt.payload)
	}
	// A session id is of one session: the same account's other one cannot use it.
	for _, payload := range []string{command("node='"+nodes+"sign-out-others' sessionid='"+others+"' action='complete'", ""), command(out+"action='complete'", submit(w.ids("mallory")["other"]))} {
		w.until("an answer", func() string {
			_, err := second.IQ(w.ctx(), w.server.ComponentJID(), "set", payload, "")
			e := (*xmppclient.StanzaError)(nil)
			switch {
			case errors.As(err, &e) && e.Condition == "resource-constraint" && e.Type == "wait":
				return "turned away"
			case e == nil || e.Condition != "bad-request" || !strings.Contains(e.Raw, "<bad-sessionid"):
				t.Errorf("another session's id: %v", err)
			}
			return ""
		})
	}
	// A flood of one account: it is turned away, others are served and log in.
	for range 500 {
		if err := c.SendRaw("<iq to='" + w.server.ComponentJID() + "' type='set' id='flood'>" + command("node='"+nodes+"devices'", "") + "</iq>"); err != nil {
			t.Fatal(err)
		}
	}
	w.login("later", "phone")
	w.recorded("later", "phone=active")
	if _, list := w.run(victim, "devices", ""); strings.Count(list.Raw, "<item>") != 1 {
		t.Errorf("the victim's devices: %s", list.Raw)
	}
	if _, err := c.Expect(w.ctx(), func(s *xmppclient.Stanza) bool { return strings.Contains(s.Raw, "resource-constraint") }); err != nil {
		t.Errorf("nothing was turned away: %v", err)
	}
	w.stays(victim)
	w.stays(mine)
	w.stays(c)
	w.recorded("mallory", "other=active r <♥>=active second=active")
	if n := len(w.kicks("mallory")) + len(w.kicks("victim")); n != 0 {
		t.Errorf("%d kicks on record", n)
	}
	if l := w.link(); l.State != "up" || !l.Since.Equal(since) {
		t.Errorf("the link: %s since %s, was up since %s", l.State, l.Since, since)
	}
}

// kicks returns who asked for the kicks of an account.
func (w *world) kicks(user string) (by []string) {
	w.t.Helper()
	if err := w.store.Pool().QueryRow(w.t.Context(), `select coalesce(array_agg(requested_by), '{}') from kicks where account = $1`, store.KeyOf(w.jid(user))).Scan(&by); err != nil {
		w.t.Fatal(err)
	}
	return by
}
