package e2e

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

type shownProtection struct {
	Cooldowns []struct {
		DeviceID        *string `json:"device_id"`
		Resource        string
		Reason          string
		WinnerSessionID *string `json:"winner_session_id"`
		Attempts        int
		RetryAfter      int `json:"retry_after_seconds"`
	}
	Freezes []struct {
		Resource   string
		RetryAfter int `json:"retry_after_seconds"`
	}
}

func (w *world) protection(api *rest, user string) (p shownProtection) {
	w.t.Helper()
	api.do("GET", "/v1/accounts/"+w.jid(user)+"/protection", "", &p, 200)
	return p
}

type shownLoops struct {
	Items []struct{ Account, Resource string }
}

// Two devices that displace each other three times freeze the one that is in; the loop is told of, shown, and ends with the winner's session.
func TestLoop(t *testing.T) { servers.OneOrEach(t, testLoop) }

func testLoop(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_sessions": 1, "takeover_cooldown_seconds": 0, "ghost_after_seconds": 1}`)
	var in *xmppclient.Client
	for _, resource := range []string{"one", "two", "one", "two"} {
		in = w.login("leo", resource)
		w.recorded("leo", resource+"=active")
	}
	out := w.dial("leo", xmppclient.Options{})
	d := w.denied(out, "one")
	w.wantDenied(d, "frozen", "")
	if d.Denied.RetryAfter < 200 || d.Denied.RetryAfter > 300 || !strings.Contains(d.Text, "300") && !strings.Contains(d.Text, "29") {
		t.Errorf("denial: %s", d.Raw)
	}
	w.stays(in)
	p := w.protection(api, "leo")
	if len(p.Freezes) != 1 || p.Freezes[0].Resource != "one" || p.Freezes[0].RetryAfter < 200 {
		t.Errorf("protection: %+v", p)
	}
	var loops shownLoops
	api.do("GET", "/v1/loops", "", &loops, 200)
	if len(loops.Items) != 1 || loops.Items[0].Account != w.jid("leo") || loops.Items[0].Resource != "one" {
		t.Errorf("loops: %+v", loops)
	}
	in.Close()
	w.recorded("leo", "")
	w.bindIn(out, "one")
	api.do("GET", "/v1/loops", "", &loops, 200)
	if len(loops.Items) != 0 || len(w.protection(api, "leo").Freezes) != 0 {
		t.Errorf("loops: %+v", loops)
	}
	if n := w.tellings("leo", "loop.opened"); n != 1 {
		t.Errorf("%d times loop.opened", n)
	}
	if n := w.tellings("leo", "loop.closed"); n != 1 {
		t.Errorf("%d times loop.closed", n)
	}

	// Let go by hand.
	for _, resource := range []string{"one", "two", "one", "two"} {
		in = w.login("lea", resource)
		w.recorded("lea", resource+"=active")
	}
	w.wantDenied(w.denied(w.dial("lea", xmppclient.Options{}), "one"), "frozen", "")
	api.do("DELETE", "/v1/accounts/"+w.jid("lea")+"/protection", "", nil, 204)
	one := w.login("lea", "one")
	w.takenOver(in)
	w.stays(one)
	if n := w.tellings("lea", "loop.closed"); n != 1 {
		t.Errorf("%d times loop.closed", n)
	}
}

// tellings counts the events of a kind of an account.
func (w *world) tellings(user, kind string) (n int) {
	w.t.Helper()
	if err := w.store.Pool().QueryRow(w.t.Context(), "select count(*) from event_batches b, unnest(b.types, b.accounts) e(type, account) where e.type = $1 and e.account = $2",
		kind, w.jid(user)).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// Repeats of a denial are one row with a count, and one event; the rest of the story is in the protection.
func TestRepeatedDenialsAreOneRow(t *testing.T) { servers.OneOrEach(t, testRepeatedDenialsAreOneRow) }

func testRepeatedDenialsAreOneRow(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_sessions": 1}`)
	w.login("rep", "one")
	two := w.login("rep", "two")
	w.recorded("rep", "two=active")
	for range 5 {
		d := w.denied(w.dial("rep", xmppclient.Options{}), "one")
		w.wantDenied(d, "cooldown", "")
		if d.Denied.RetryAfter != 30 {
			t.Errorf("denial: %s", d.Raw)
		}
	}
	w.wantDecided("rep", "one allow/ok 1 []", "two allow/takeover 2 [1]", "one deny/cooldown 0 []")
	var shown struct {
		Items []struct {
			Code    string
			Repeats int
			LastAt  *string `json:"last_at"`
			Retry   *int    `json:"retry_after_seconds"`
		}
	}
	api.do("GET", "/v1/accounts/"+w.jid("rep")+"/decisions", "", &shown, 200)
	if d := shown.Items[0]; d.Code != "cooldown" || d.Repeats != 4 || d.LastAt == nil || d.Retry == nil || *d.Retry != 30 {
		t.Errorf("%+v", d)
	}
	if n := w.tellings("rep", "login.denied"); n != 1 {
		t.Errorf("%d times login.denied", n)
	}
	p := w.protection(api, "rep")
	if len(p.Cooldowns) != 1 || p.Cooldowns[0].Attempts != 5 || p.Cooldowns[0].Resource != "one" || p.Cooldowns[0].WinnerSessionID == nil || p.Cooldowns[0].DeviceID == nil {
		t.Errorf("protection: %+v", p)
	}
	w.stays(two)

	// A third device is no part of it, and who was displaced by the second waits for the third now.
	three := w.login("rep", "three")
	w.takenOver(two)
	w.wantDenied(w.denied(w.dial("rep", xmppclient.Options{}), "one"), "cooldown", "")
	w.wantDenied(w.denied(w.dial("rep", xmppclient.Options{}), "two"), "cooldown", "")
	w.stays(three)

	// The winner goes: anyone may come.
	three.Close()
	w.recorded("rep", "")
	w.login("rep", "one")
}

// A kick starts no protection of its own; with cooldown_seconds the kicked wait. Kick, block and release are one call.
func TestKickThatMakesWait(t *testing.T) { servers.OneOrEach(t, testKickThatMakesWait) }

func testKickThatMakesWait(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{"max_sessions": 1}`)
	kick := func(user, body string) { api.do("POST", "/v1/accounts/"+w.jid(user)+"/kick", body, nil, 200) }
	one := w.login("kay", "one")
	w.recorded("kay", "one=active")
	kick("kay", `{"all":true}`)
	w.kicked(one)
	one = w.login("kay", "one")
	w.recorded("kay", "one=active")
	kick("kay", `{"all":true,"cooldown_seconds":60}`)
	w.kicked(one)
	d := w.denied(w.dial("kay", xmppclient.Options{}), "one")
	w.wantDenied(d, "cooldown", "")
	if d.Denied.RetryAfter < 50 || d.Denied.RetryAfter > 60 {
		t.Errorf("denial: %s", d.Raw)
	}
	w.login("kay", "other").Close()
	if p := w.protection(api, "kay"); len(p.Cooldowns) != 1 || p.Cooldowns[0].Reason != "kick" || p.Cooldowns[0].Resource != "one" {
		t.Errorf("protection: %+v", p)
	}
	api.do("DELETE", "/v1/accounts/"+w.jid("kay")+"/protection", "", nil, 204)
	w.login("kay", "one")

	// A thief took over: the owner is displaced, and kept out.
	owner := w.login("tom", "mine")
	thief := w.login("tom", "thief")
	w.takenOver(owner)
	w.recorded("tom", "thief=active")
	w.wantDenied(w.denied(w.dial("tom", xmppclient.Options{}), "mine"), "cooldown", "")
	kick("tom", `{"all":true,"block_devices":true}`)
	w.evicted(thief)
	back := w.login("tom", "mine")
	if d := w.denied(w.dial("tom", xmppclient.Options{}), "thief"); d.Denied == nil || d.Denied.Code != "blocked" {
		t.Errorf("denial: %s", d.Raw)
	}
	w.stays(back)
}

// One login that many sessions of one party go for is one turn, not a loop.
func TestOneLoginIsOneTurn(t *testing.T) { servers.OneOrEach(t, testOneLoginIsOneTurn) }

func testOneLoginIsOneTurn(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	w.rule(`{}`)
	var old []*xmppclient.Client
	for range 5 {
		old = append(old, w.login("may", ""))
	}
	w.until("five are in", func() string {
		if n := len(w.sessions("may")); n != 5 {
			return "not yet"
		}
		return ""
	})
	w.rule(`{"max_sessions": 1}`)
	in := w.login("may", "")
	for _, c := range old {
		w.takenOver(c)
	}
	w.stays(in)
	if p := w.protection(api, "may"); len(p.Freezes) != 0 || w.tellings("may", "loop.opened") != 0 {
		t.Errorf("protection: %+v", p)
	}
}

// Who came in by a grant past a kick's wait stays in when the account is decided again.
func TestGrantPastAKicksWait(t *testing.T) { servers.OneOrEach(t, testGrantPastAKicksWait) }

func testGrantPastAKicksWait(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	one := w.login("ken", "x9")
	w.recorded("ken", "x9=active")
	api.do("POST", "/v1/accounts/"+w.jid("ken")+"/kick", `{"all":true,"cooldown_seconds":60}`, nil, 200)
	w.kicked(one)
	back := w.dial("ken", xmppclient.Options{Software: "Acme", OS: "Android 14"})
	if e := w.with(back, "x9", api.grant(w.jid("ken"), `{}`).Token); e != nil {
		t.Fatalf("with a grant: %s", e.Raw)
	}
	w.until("decided again", func() string {
		if n := len(w.decided("ken")); n < 3 {
			return "not yet"
		}
		return ""
	})
	w.recorded("ken", "x9=active")
	w.stays(back)
}
