package e2e

import (
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

type shownDevice struct {
	ID, Platform, Identity, Client string
	Name, Resource                 *string
	Registered, Blocked            bool
	LastSeenAt                     *string  `json:"last_seen_at"`
	SessionIDs                     []string `json:"session_ids"`
}

// devices returns an account's devices by resource.
func (w *world) devices(api *rest, user string) map[string]shownDevice {
	w.t.Helper()
	var list struct{ Items []shownDevice }
	api.do("GET", "/v1/accounts/"+w.jid(user)+"/devices", "", &list, 200)
	out := map[string]shownDevice{}
	for _, d := range list.Items {
		if d.Resource != nil {
			out[*d.Resource] = d
		}
	}
	return out
}

// An app backend registers a device before its first login, blocks it, and forgets it.
func TestDeviceOverREST(t *testing.T) { servers.OneOrEach(t, testDeviceOverREST) }

func testDeviceOverREST(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_sessions": 1}`)
	path := "/v1/accounts/" + w.jid("dev") + "/devices"
	var d shownDevice
	api.do("POST", path, `{"resource":"r-17","name":"山田の iPhone","platform":"ios"}`, &d, 201)
	if d.LastSeenAt != nil || d.Identity != "certain" {
		t.Errorf("before its first login: %+v", d)
	}
	first := w.loginWith("dev", "r-17", xmppclient.Options{Lang: "ja"})
	second := w.loginWith("dev", "r-17", xmppclient.Options{Transport: xmppclient.WebSocket}) // its own reconnect
	if e := w.evicted(first); e.Ended == nil || e.Ended.Device != "山田の iPhone" || e.Ended.Platform != "ios" {
		t.Errorf("told: %s", e.Raw)
	}
	w.recorded("dev", "r-17=active")
	w.wantDecided("dev", "r-17 allow/ok 1 []", "r-17 allow/own_reconnect 2 [1]")
	if d = w.devices(api, "dev")["r-17"]; d.LastSeenAt == nil || len(d.SessionIDs) != 1 || d.Platform != "ios" || !d.Registered || d.SessionIDs[0] != w.ids("dev")["r-17"] {
		t.Errorf("logged in: %+v", d)
	}

	// Blocked: its session has ended when the answer comes, and it does not come back; another one does.
	api.do("PATCH", path+"/"+d.ID, `{"blocked":true}`, &d, 200)
	if len(d.SessionIDs) != 0 || !d.Blocked {
		t.Errorf("blocked: %+v", d)
	}
	wantError(t, w.evicted(second), "blocked", "en")
	if on := w.onServer("dev"); on != "" {
		t.Errorf("on the server: %s", on)
	}
	third := w.dial("dev", xmppclient.Options{Lang: "zh"})
	if e := w.denied(third, "r-17"); e.Condition != "not-allowed" || e.Type != "cancel" || e.Denied == nil || e.Denied.Code != "blocked" || e.Lang != "zh" || e.Text == "" {
		t.Errorf("denial: %s", e.Raw)
	}
	w.bindIn(third, "tablet")
	w.recorded("dev", "tablet=active")

	// Kicked and blocked in one call.
	var kicked struct {
		shownKick
		Blocked []string `json:"blocked_device_ids"`
	}
	api.do("POST", "/v1/accounts/"+w.jid("dev")+"/kick", `{"all":true,"block_devices":true}`, &kicked, 200)
	wantError(t, w.evicted(third), "blocked", "zh")
	if kicked.outcomes() != "tablet=kicked" || len(kicked.Blocked) != 1 || !w.devices(api, "dev")["tablet"].Blocked {
		t.Errorf("%+v", kicked)
	}

	api.do("DELETE", path+"/"+d.ID, "", nil, 204)
	fourth := w.login("dev", "r-17")
	w.stays(fourth)
	w.recorded("dev", "r-17=active")
	if d = w.devices(api, "dev")["r-17"]; d.Registered || d.Blocked || d.Name != nil || d.Identity != "probable" {
		t.Errorf("forgotten and met again: %+v", d)
	}
}

// A blocked device that the failure policy let in goes when bindgate is back.
func TestBlockedWhileAway(t *testing.T) { servers.OneOrEach(t, testBlockedWhileAway) }

func testBlockedWhileAway(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	path := "/v1/accounts/" + w.jid("away") + "/devices"
	w.login("away", "phone").Close()
	w.recorded("away", "")
	api.do("PATCH", path+"/"+w.devices(api, "away")["phone"].ID, `{"blocked":true}`, nil, 200)
	w.mu.Lock()
	stop := w.running.stop
	w.mu.Unlock()
	stop()
	phone, other := w.login("away", "phone"), w.login("away", "other")
	w.start()
	wantError(t, w.evicted(phone), "blocked", "en")
	w.recorded("away", "other=active")
	w.stays(other)
}

// A client whose platform is unknown is asked what it is after its bind; the account is decided again with it as the newcomer, and it is remembered.
func TestPlatformBySoftware(t *testing.T) { servers.OneOrEach(t, testPlatformBySoftware) }

func testPlatformBySoftware(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_per_platform": {"android": 1}, "takeover_cooldown_seconds": 0}`)
	one := w.loginWith("soft", "a1", xmppclient.Options{Software: "Acme <&'> \u202eMessenger", OS: "Android 14"})
	w.until("the first is known", func() string {
		if d := w.devices(api, "soft")["a1"]; d.Platform != "android" || d.Client != "Acme <&'> Messenger (Android 14)" {
			return d.Platform + ", " + d.Client
		}
		return ""
	})
	two := w.loginWith("soft", "b2", xmppclient.Options{Software: "Conversations", Transport: xmppclient.WebSocket, Lang: "zh"})
	if e := w.evicted(one); e.Ended == nil || e.Ended.Code != "takeover" || e.Ended.Platform != "android" {
		t.Errorf("stream error: %s", e.Raw)
	}
	w.recorded("soft", "b2=active")
	w.stays(two)
	w.wantDecided("soft", "a1 allow/ok 1 []", "a1 allow/ok 1 []", "b2 allow/ok 2 []", "b2 allow/takeover 2 [1]")
	// The first device is known at its next bind, so it is decided once.
	three := w.login("soft", "a1")
	wantError(t, w.evicted(two), "takeover", "zh")
	w.stays(three)
	w.wantDecided("soft", "a1 allow/ok 1 []", "a1 allow/ok 1 []", "b2 allow/ok 2 []", "b2 allow/takeover 2 [1]", "a1 allow/takeover 3 [2]")
	// One that does not answer stays what it is, and is let be.
	silent := w.dial("soft", xmppclient.Options{})
	silent.Mute(true)
	w.bindIn(silent, "c3")
	w.recorded("soft", "a1=active c3=active")
	w.stays(silent)
}
