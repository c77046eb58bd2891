package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// vault is a world whose server, a Prosody, stores credentials: tokens of the real mod_tokenauth, which open a login there, and of a stand-in for
// mod_sasl2_fast.
type vault struct {
	*world
	prosody *prosody.Server
}

func newVault(t testing.TB, on *servers.Kind, modules ...string) *vault {
	t.Helper()
	v := dormantVault(t, on, modules...)
	v.start()
	return v
}

func dormantVault(t testing.TB, on *servers.Kind, modules ...string) *vault {
	t.Helper()
	v := &vault{}
	kind := servers.Prosody(on, prosody.Config{
		PluginPath: "../../xmppbridge/prosody/testdata/plugins", Modules: modules,
		Host: `authentication = "kit"; storage = { default = "memory"; bindgate = "internal"; auth_tokens = "internal"; fast_tokens = "internal" }`,
	}, &v.prosody)
	v.world = dormant(t, kind, servers.Options{})
	return v
}

// token makes one of mod_tokenauth.
func (w *vault) token(user string) string {
	w.t.Helper()
	return w.key(fmt.Sprintf(`local jid, mod = %q, prosody.hosts.localhost.modules.tokenauth
		if mod.create_jid_token then return (mod.create_jid_token(jid, jid, nil, 3600)) end
		return (mod.create_token(jid, mod.create_grant(jid, jid, 3600), "prosody:registered", 3600))`, w.jid(user)))
}

// fastToken makes one that opens a login with this user-agent id.
func (w *vault) fastToken(user, agent string) string {
	w.t.Helper()
	return w.key(fmt.Sprintf(`return prosody.hosts.localhost.modules.sasl2_fast.give(%q, %q, "cur", 3600)`, user, agent)) + "#" + agent
}

func (w *vault) key(lua string) string {
	w.t.Helper()
	out, err := w.prosody.Eval(w.t.Context(), lua)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// opens reports whether a password or token opens a login.
func (w *world) opens(user, password string) bool {
	w.t.Helper()
	c, err := w.tryDial(user, xmppclient.Options{Password: password})
	if err == nil {
		c.Cut()
		return true
	}
	if !errors.Is(err, xmppclient.ErrNotAuthorized) {
		w.t.Fatal(err)
	}
	return false
}

func (w *world) loginBy(user, resource, password string) *xmppclient.Client {
	w.t.Helper()
	return w.loginWith(user, resource, xmppclient.Options{Password: password})
}

// shownCredentials is what a kick says of them.
type shownCredentials struct {
	shownKick
	Credentials *struct {
		Outcome string
		Revoked []struct {
			Kind  string
			Count int
		}
		Reason *string
	}
}

// String is "outcome kind=count …".
func (s shownCredentials) String() string {
	if s.Credentials == nil {
		return "none"
	}
	out := []string{s.Credentials.Outcome}
	for _, r := range s.Credentials.Revoked {
		out = append(out, fmt.Sprintf("%s=%d", r.Kind, r.Count))
	}
	return strings.Join(out, " ")
}

func (w *world) revoke(user, body string, statuses ...int) shownCredentials {
	w.t.Helper()
	var got shownCredentials
	w.rest().do("POST", "/v1/accounts/"+w.jid(user)+"/kick", body, &got, statuses...)
	return got
}

const kickAndRevoke = `{"all": true, "revoke_credentials": true}`

// A client that comes back by its token the moment it is kicked finds it void.
func TestKickVoidsTheWayBack(t *testing.T) { servers.EachProsody(t, testKickVoidsTheWayBack) }

func testKickVoidsTheWayBack(t *testing.T, on *servers.Kind) {
	w := newVault(t, on, "tokenauth")
	for _, user := range []string{"ann", "bob"} {
		token := w.token(user)
		if !w.opens(user, token) {
			t.Fatal("the token opens nothing to begin with")
		}
		first, second := w.loginBy(user, "phone", token), w.loginBy(user, "laptop", token)
		back := make(chan error, 2)
		for _, c := range []*xmppclient.Client{first, second} {
			go func() {
				<-c.Closed()
				cl, err := w.tryDial(user, xmppclient.Options{Password: token})
				if err == nil {
					cl.Cut()
				}
				back <- err
			}()
		}
		w.recorded(user, "laptop=active phone=active")
		got := w.revoke(user, kickAndRevoke, http.StatusOK)
		if got.String() != "revoked tokenauth=1" || got.outcomes() != "laptop=kicked phone=kicked" || got.Credentials.Reason != nil {
			t.Errorf("%s: %s, %+v", user, got, got)
		}
		for range 2 {
			if err := <-back; !errors.Is(err, xmppclient.ErrNotAuthorized) {
				t.Errorf("%s came back: %v", user, err)
			}
		}
		w.recorded(user, "")
	}
	// The password is not the server's to take away, and a kick without the wish leaves tokens alone.
	token := w.token("ann")
	pw := w.loginBy("ann", "phone", "pw")
	if got := w.revoke("ann", `{"all": true, "revoke_credentials": false}`, http.StatusOK); got.String() != "none" {
		t.Error(got)
	}
	w.evicted(pw)
	if !w.opens("ann", token) {
		t.Error("a kick alone revoked a token")
	}
	// Nobody need be logged in.
	w.recorded("ann", "")
	if got := w.revoke("ann", kickAndRevoke, http.StatusOK); got.String() != "revoked tokenauth=1" || got.outcomes() != "" || w.opens("ann", token) {
		t.Errorf("%s, %s", got, got.outcomes())
	}
	if got := w.revoke("ann", kickAndRevoke, http.StatusOK); got.String() != "nothing" || got.Credentials.Reason == nil {
		t.Error(got)
	}
}

// What is accepted while the link is down is done when it is back, by whoever serves it then, and takes along who came by the token meanwhile.
func TestRevocationWithTheLinkDown(t *testing.T) {
	servers.EachProsody(t, testRevocationWithTheLinkDown)
}

func testRevocationWithTheLinkDown(t *testing.T, on *servers.Kind) {
	w := dormantVault(t, on, "tokenauth")
	p := w.proxied()
	b := w.start()
	token := w.token("ann")
	phone := w.loginBy("ann", "phone", token)
	w.recorded("ann", "phone=active")
	p.shut()
	w.until("the link is down", func() string {
		if s := w.link().State; s != "down" {
			return s
		}
		return ""
	})
	if got := w.revoke("ann", kickAndRevoke, http.StatusAccepted); got.String() != "pending" || got.outcomes() != "phone=pending" {
		t.Errorf("%s, %s", got, got.outcomes())
	}
	meanwhile := w.loginBy("ann", "meanwhile", token)
	b.stop()
	w.mu.Lock()
	w.running = w.launch("second")
	w.mu.Unlock()
	w.stays(phone)
	p.open()
	for _, c := range []*xmppclient.Client{phone, meanwhile} {
		if e := w.evicted(c); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "kick" {
			t.Errorf("%s: %s", c.JID(), e.Raw)
		}
	}
	if w.opens("ann", token) {
		t.Error("the token still opens a login")
	}
	w.recorded("ann", "")
	after := w.loginBy("ann", "phone", "pw")
	w.agreed(1)
	w.stays(after)
}

// FAST tokens go by device, mod_tokenauth's do not.
func TestRevocationByDevice(t *testing.T) { servers.EachProsody(t, testRevocationByDevice) }

func testRevocationByDevice(t *testing.T, on *servers.Kind) {
	w := newVault(t, on, "tokenauth", "sasl2_fast")
	const phone, laptop, tablet = "agent-phone", "agent-laptop", "agent-tablet"
	keys := map[string]string{phone: w.fastToken("ann", phone), laptop: w.fastToken("ann", laptop), tablet: w.fastToken("ann", tablet), "token": w.token("ann")}
	open := func() string {
		var out []string
		for name, key := range keys {
			if w.opens("ann", key) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	onPhone, onLaptop, web := w.loginBy("ann", "p", keys[phone]), w.loginBy("ann", "l", keys[laptop]), w.loginBy("ann", "w", keys["token"])
	w.recorded("ann", "l=active p=active w=active")
	if got := open(); got != "agent-laptop agent-phone agent-tablet token" {
		t.Fatal(got)
	}
	device := store.DeviceID(store.KeyOf(w.jid("ann")), store.DeviceOf("user_agent_id", phone))
	got := w.revoke("ann", `{"device_ids": ["`+device+`"], "revoke_credentials": true}`, http.StatusOK)
	if got.String() != "revoked fast=1" || got.outcomes() != "p=kicked" || got.Credentials.Reason == nil || !strings.Contains(*got.Credentials.Reason, "tokenauth: its tokens name no device") {
		t.Errorf("%s, %s, %+v", got, got.outcomes(), got.Credentials)
	}
	w.evicted(onPhone)
	if d := cmp.Diff("agent-laptop agent-tablet token", open()); d != "" {
		t.Error(d)
	}
	got = w.revoke("ann", `{"session_ids": ["`+w.ids("ann")["w"]+`"], "revoke_credentials": true}`, http.StatusOK)
	if got.String() != "unable" || got.outcomes() != "w=kicked" {
		t.Errorf("%s, %s", got, got.outcomes())
	}
	w.evicted(web)
	// All devices but the one in the user's hands, also those that are not logged in.
	got = w.revoke("ann", `{"except_session_id": "`+w.ids("ann")["l"]+`", "revoke_credentials": true}`, http.StatusOK)
	if got.String() != "revoked fast=1" || got.outcomes() != "" {
		t.Errorf("%s, %s", got, got.outcomes())
	}
	if d := cmp.Diff("agent-laptop token", open()); d != "" {
		t.Error(d)
	}
	w.stays(onLaptop)
	got = w.revoke("ann", kickAndRevoke, http.StatusOK)
	if got.String() != "revoked fast=1 tokenauth=1" || got.outcomes() != "l=kicked" || open() != "" {
		t.Errorf("%s, %s, open: %s", got, got.outcomes(), open())
	}
}

// A server that stores nothing says so, under any mode of its link.
func TestRevocationOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	c := w.login("ann", "phone")
	w.recorded("ann", "phone=active")
	w.mode(gate.ModeOff)
	got := w.revoke("ann", kickAndRevoke, http.StatusOK)
	if got.String() != "nothing" || got.outcomes() != "phone=kicked" || got.Credentials.Reason == nil {
		t.Errorf("%s, %+v", got, got)
	}
	w.evicted(c)
}
