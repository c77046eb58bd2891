package e2e

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// isNotice fits a message about a new login.
func isNotice(s *xmppclient.Stanza) bool {
	return s.Name.Local == "message" && s.Child("urn:bindgate:1", "login") != nil
}

// noticed waits for a client's next notice.
func (w *world) noticed(c *xmppclient.Client) *xmppclient.Stanza {
	w.t.Helper()
	s, err := c.Expect(w.ctx(), isNotice)
	if err != nil {
		w.t.Fatalf("%s is told nothing: %v", c.JID(), err)
	}
	return s
}

// unnoticed fails if a client was told something. What the component sent before a later answer of its own has come with it.
func (w *world) unnoticed(c *xmppclient.Client, of string) {
	w.t.Helper()
	told := make(chan *xmppclient.Stanza, 1)
	_, err := c.Expect(w.ctx(), func(s *xmppclient.Stanza) bool {
		if isNotice(s) {
			told <- s
			return true
		}
		return s.Name.Local == "message" && strings.Contains(s.Raw, "mark "+of)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case s := <-told:
		w.t.Errorf("%s was told of %s: %s", c.JID(), of, s.Raw)
	default:
	}
}

// mark has a client read a message that comes behind all that was on its way to it.
func (w *world) mark(c *xmppclient.Client, of string) {
	w.t.Helper()
	if err := c.SendRaw("<message to='" + xmppclient.Escape(c.JID()) + "'><body>mark " + of + "</body></message>"); err != nil {
		w.t.Fatal(err)
	}
}

func TestNotifyDevices(t *testing.T) { servers.OneOrEach(t, testNotifyDevices) }

func testNotifyDevices(t *testing.T, on *servers.Kind) {
	needsSlixmpp(t)
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	api.do("POST", "/v1/accounts/"+w.jid("ann")+"/devices", `{"resource":"android-1","name":"Ann's <Pixel>"}`, nil, 201)
	laptop := w.loginWith("ann", "laptop ♥", xmppclient.Options{Lang: "ja"})
	w.login("ann", "silent").Close()
	w.recorded("ann", "laptop ♥=active")

	// The rule is off by default.
	sent := func() int64 { return w.running.gate.Stats().Notices.Load() }
	api.do("PUT", "/v1/accounts/"+w.jid("ann")+"/rule", `{"notify_devices": true, "text": {"new_login": {"en": "Hello from {device} on {platform}"}}}`, nil, 200, 201)
	if n := sent(); n != 0 {
		t.Errorf("%d notices without the rule", n)
	}
	slix := w.owner(w.jid("ann")+"/bot-tablet", "en")
	if s := w.noticed(laptop); s.Attr("type") != "headline" || s.Attr("from") != w.server.ComponentJID() || s.Attr("to") != laptop.JID() {
		t.Errorf("notice: %s", s.Raw)
	}
	phone := w.loginWith("ann", "android-1", xmppclient.Options{Transport: xmppclient.WebSocket})
	s := w.noticed(laptop)
	login, body := s.Child("urn:bindgate:1", "login"), s.Child("jabber:client", "body")
	if login.Attr("device") != "Ann's <Pixel>" || login.Attr("platform") != "android" || login.Attr("at") == "" || body.Lang() != "ja" ||
		!strings.HasPrefix(body.Text, "別の端末「Ann's <Pixel>」（android）でこのアカウントへのログインがありました") || address.MatchString(s.Raw) {
		t.Errorf("notice: %s", s.Raw)
	}
	told := slix.wants("message", "type", "headline", "sender", w.server.ComponentJID(), "lang", "en", "body", "Hello from Ann's <Pixel> on android")
	if l := told["login"].(map[string]any); l["device"] != "Ann's <Pixel>" || l["platform"] != "android" || l["at"] == "" {
		t.Errorf("slixmpp read %s", told["raw"])
	}

	// The phone comes back; it is a device known for certain.
	again := w.login("ann", "android-1")
	w.evicted(phone)
	w.recorded("ann", "android-1=active bot-tablet=active laptop ♥=active")
	w.wantDecided("ann", "laptop ♥ allow/ok 1 []", "silent allow/ok 2 []", "bot-tablet allow/ok 3 []", "android-1 allow/ok 4 []", "android-1 allow/own_reconnect 5 [4]")

	// Who goes for the newcomer reads its stream error alone; who stays reads the notice, and of no other login before it.
	api.do("PUT", "/v1/accounts/"+w.jid("ann")+"/rule", `{"notify_devices": true, "max_sessions": 3}`, nil, 200)
	next := w.login("ann", "next")
	wantError(t, w.evicted(laptop), "takeover", "ja")
	slix.wants("message", "type", "headline")
	if s := w.noticed(again); s.Child("urn:bindgate:1", "login").Attr("platform") != "unknown" || s.Child("jabber:client", "body").Lang() != "en" {
		t.Errorf("notice: %s", s.Raw)
	}
	if _, err := laptop.Expect(t.Context(), isNotice); err == nil {
		t.Error("who had to go was told of the login")
	}
	for _, c := range []*xmppclient.Client{again, next} {
		w.mark(c, "the end")
		w.unnoticed(c, "the end")
	}
	if n := sent(); n != 5 {
		t.Errorf("%d notices, want 5", n)
	}
}

// What logged in while bindgate was away is told of when it is back.
func TestNotifyDevicesOfLoginsMeanwhile(t *testing.T) {
	servers.OneOrEach(t, testNotifyDevicesOfLoginsMeanwhile)
}

func testNotifyDevicesOfLoginsMeanwhile(t *testing.T, on *servers.Kind) {
	w := newWorld(t, servers.Any, servers.Options{})
	w.rule(`{"notify_devices": true}`)
	laptop := w.loginWith("ann", "laptop", xmppclient.Options{Lang: "zh"})
	w.recorded("ann", "laptop=active")
	w.mu.Lock()
	stop := w.running.stop
	w.mu.Unlock()
	stop()
	w.login("ann", "android-1")
	w.start()
	if s := w.noticed(laptop); !strings.Contains(s.Raw, "android") || s.Child("jabber:client", "body").Lang() != "zh" {
		t.Errorf("notice: %s", s.Raw)
	}
}
