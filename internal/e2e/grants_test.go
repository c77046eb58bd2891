package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

type shownGrant struct {
	ID, Token string
	ExpiresAt string `json:"expires_at"`
}

func (r *rest) grant(jid, body string) shownGrant {
	r.t.Helper()
	var g shownGrant
	r.do("POST", "/v1/accounts/"+jid+"/grants", body, &g, 201)
	return g
}

// with binds a resource with a token; a refusal is returned.
func (w *world) with(c *xmppclient.Client, resource, token string) *xmppclient.StanzaError {
	w.t.Helper()
	_, err := c.BindWith(w.ctx(), xmppclient.BindOptions{Resource: resource, Takeover: token})
	var denied *xmppclient.StanzaError
	switch {
	case errors.As(err, &denied):
		return denied
	case err != nil:
		w.t.Fatalf("bind %s with a token: %v\n%s", resource, err, tail(w.server.Log(), 20))
	}
	return nil
}

func (w *world) wantDenied(e *xmppclient.StanzaError, code, token string) {
	w.t.Helper()
	switch {
	case e == nil:
		w.t.Errorf("it was let in, want a denial: %s", code)
	case e.Denied == nil || e.Denied.Code != code || e.Denied.Token != token:
		w.t.Errorf("denial: %s, want code %s, token %q", e.Raw, code, token)
	}
}

// A displaced device gets in at once with a grant, once; every other token is told what is wrong with it.
func TestGrant(t *testing.T) { servers.OneOrEach(t, testGrant) }

func testGrant(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_sessions": 1}`)
	first := w.login("gus", "phone")
	second := w.login("gus", "phone")
	w.takenOver(first)
	w.recorded("gus", "phone=active")

	back := w.dial("gus", xmppclient.Options{})
	w.wantDenied(w.denied(back, "phone"), "cooldown", "")
	w.wantDenied(w.with(back, "phone", "grt_nonsense"), "cooldown", "unknown")
	other := api.grant(w.jid("someone"), `{}`)
	w.wantDenied(w.with(back, "phone", other.Token), "cooldown", "unknown")
	bound := api.grant(w.jid("gus"), `{"resource":"tablet"}`)
	w.wantDenied(w.with(back, "phone", bound.Token), "cooldown", "not_yours")
	short := api.grant(w.jid("gus"), `{"ttl_seconds":1}`)
	w.until("the grant has expired", func() string {
		var over bool
		if err := w.store.Pool().QueryRow(t.Context(), "select clock_timestamp() > $1::timestamptz", short.ExpiresAt).Scan(&over); err != nil || !over {
			return fmt.Sprint(err)
		}
		return ""
	})
	w.wantDenied(w.with(back, "phone", short.Token), "cooldown", "expired")

	g := api.grant(w.jid("gus"), `{"ttl_seconds":60}`)
	if e := w.with(back, "phone", g.Token); e != nil {
		t.Fatalf("with a grant: %s", e.Raw)
	}
	w.takenOver(second)
	w.recorded("gus", "phone=active")
	w.stays(back)
	next := w.dial("gus", xmppclient.Options{})
	w.wantDenied(w.with(next, "phone", g.Token), "cooldown", "used")

	// The one for a resource needs no token; the first that needs it uses it up.
	tablet := w.login("gus", "tablet")
	w.takenOver(back)
	laptop := w.login("gus", "laptop")
	w.takenOver(tablet)
	w.recorded("gus", "laptop=active")
	tablet = w.login("gus", "tablet")
	w.takenOver(laptop)
	w.recorded("gus", "tablet=active")
	w.stays(tablet)
	last := w.decisions(api, "gus").Items[0]
	if last.Resource != "tablet" || !strings.Contains(strings.Join(last.Explanation, "\n"), "has a grant") {
		t.Errorf("%+v", last)
	}
}

func (w *world) decisions(api *rest, user string) (d shownDecisions) {
	w.t.Helper()
	api.do("GET", "/v1/accounts/"+w.jid(user)+"/decisions", "", &d, 200)
	return d
}

// A grant that a login was let in by and that never bound is free again; one that bound is not.
func TestGrantOfALoginThatNeverBinds(t *testing.T) {
	servers.OneOrEach(t, testGrantOfALoginThatNeverBinds)
}

func testGrantOfALoginThatNeverBinds(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Late: true})
	api := w.rest()
	w.rule(`{"require_grant": true}`)
	g := api.grant(w.jid("nell"), `{"ttl_seconds":300}`)
	// Another module of the server refuses this resource after our allow.
	if e := w.with(w.dial("nell", xmppclient.Options{}), "refused", g.Token); e == nil || e.Denied != nil {
		t.Fatalf("the other module was to refuse it: %+v", e)
	}
	w.recorded("nell", "")
	again := w.dial("nell", xmppclient.Options{})
	if e := w.with(again, "tablet", g.Token); e != nil {
		t.Fatalf("the grant is not free again: %s", e.Raw)
	}
	third := w.dial("nell", xmppclient.Options{})
	w.wantDenied(w.with(third, "laptop", g.Token), "grant_required", "used")
}

// A login that bindgate did not decide in time has its grant when it is decided.
func TestGrantOfALoginThatIsDecidedLate(t *testing.T) {
	servers.OneOrEach(t, testGrantOfALoginThatIsDecidedLate)
}

func testGrantOfALoginThatIsDecidedLate(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Timeout: 1500 * time.Millisecond})
	api := w.rest()
	w.rule(`{"require_grant": true}`)
	g := api.grant(w.jid("pam"), `{"ttl_seconds":300}`)
	release := w.lock("pam")
	c := w.dial("pam", xmppclient.Options{})
	if e := w.with(c, "phone", g.Token); e != nil {
		t.Fatalf("the failure policy was to let it in: %s", e.Raw)
	}
	release()
	w.recorded("pam", "phone=active")
	w.agreed(1) // and judged
	w.stays(c)
	w.wantDecided("pam", "phone allow/ok 1 []")
	w.wantDenied(w.with(w.dial("pam", xmppclient.Options{}), "tablet", g.Token), "grant_required", "used")
}

// A new device needs a grant; one that was admitted, one that is registered, and one that comes to its own dead session's place do not.
func TestRequireGrant(t *testing.T) { servers.OneOrEach(t, testRequireGrant) }

func testRequireGrant(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"require_grant": true, "ghost_after_seconds": 1}`)
	phone := w.dial("rita", xmppclient.Options{})
	d := w.denied(phone, "phone")
	w.wantDenied(d, "grant_required", "")
	if d.Condition != "resource-constraint" || d.Type != "wait" || d.Text == "" {
		t.Errorf("denial: %s", d.Raw)
	}
	w.wantDenied(w.denied(phone, "phone"), "grant_required", "") // a denial makes no device known
	if n := len(w.devices(api, "rita")); n != 0 {
		t.Errorf("%d devices", n)
	}
	w.wantDenied(w.denied(w.dial("rita", xmppclient.Options{}), ""), "grant_required", "")
	if e := w.with(phone, "phone", api.grant(w.jid("rita"), `{}`).Token); e != nil {
		t.Fatalf("with a grant: %s", e.Raw)
	}
	w.recorded("rita", "phone=active")
	w.wantDenied(w.denied(w.dial("rita", xmppclient.Options{}), "phone"), "grant_required", "") // somebody else with that name
	phone.Freeze()
	back := w.login("rita", "phone")
	back.Close()
	w.recorded("rita", "")
	w.login("rita", "phone").Close()

	api.do("POST", "/v1/accounts/"+w.jid("rita")+"/devices", `{"resource":"tv","name":"TV"}`, nil, 201)
	w.stays(w.login("rita", "tv"))
}

// A new device that was let in stays in when its client has told what it is and the account is decided again.
func TestGrantedAndDecidedAgain(t *testing.T) { servers.OneOrEach(t, testGrantedAndDecidedAgain) }

func testGrantedAndDecidedAgain(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"require_grant": true}`)
	c := w.dial("sue", xmppclient.Options{Software: "Acme", OS: "Android 14"})
	if e := w.with(c, "x9", api.grant(w.jid("sue"), `{}`).Token); e != nil {
		t.Fatalf("with a grant: %s", e.Raw)
	}
	spare := api.grant(w.jid("sue"), `{"resource":"x9"}`)
	w.until("decided again", func() string {
		if got := w.decided("sue"); len(got) < 2 {
			return strings.Join(got, "\n")
		}
		return ""
	})
	w.wantDecided("sue", "x9 allow/ok 1 []", "x9 allow/ok 1 []")
	w.stays(c)
	w.recorded("sue", "x9=active")
	c.Close()
	w.recorded("sue", "")
	if e := w.with(w.dial("sue", xmppclient.Options{}), "x9", spare.Token); e != nil {
		t.Errorf("the grant that was not needed was used up: %s", e.Raw)
	}
}
