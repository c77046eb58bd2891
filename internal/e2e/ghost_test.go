package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// A phone that died without a word does not lock its owner out: the new login is in within ghost_after_seconds + 1.
func TestDeadPhoneUnderDeny(t *testing.T) { servers.Each(t, testDeadPhoneUnderDeny) }

func testDeadPhoneUnderDeny(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	for name, c := range map[string]struct {
		rule  string
		ghost time.Duration
		die   func(*xmppclient.Client)
	}{
		"frozen":             {`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}`, time.Second, (*xmppclient.Client).Freeze},
		"silent":             {`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}`, time.Second, func(c *xmppclient.Client) { c.Mute(true) }},
		"frozen for 2 s":     {`{"max_sessions": 1, "on_excess": "deny"}`, 2 * time.Second, (*xmppclient.Client).Freeze},
		"frozen, platform":   {`{"max_per_platform": {"unknown": 1}, "on_excess": "deny", "ghost_after_seconds": 1}`, time.Second, (*xmppclient.Client).Freeze},
		"frozen, cut at 1 s": {`{"max_sessions": 1, "on_excess": "deny"}`, 2 * time.Second, func(c *xmppclient.Client) { c.Freeze(); time.AfterFunc(time.Second, c.Cut) }},
	} {
		for _, transport := range transports {
			for _, sm := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/sm %t", name, transport, sm), func(t *testing.T) {
					t.Parallel()
					w := shared.in(t)
					w.within(c.ghost+time.Second, func(try int) time.Duration {
						user := fmt.Sprintf("%s-%s-%t-%d", strings.NewReplacer(" ", "", ",", "").Replace(name), transport, sm, try)
						w.ruleOf(user, c.rule)
						phone := w.loginWith(user, "phone", xmppclient.Options{Transport: transport, SM: sm})
						w.recorded(user, "phone=active")
						next := w.dial(user, xmppclient.Options{})
						c.die(phone)
						took := w.bindIn(next, "new")
						w.recorded(user, "new=active")
						if on := w.onServer(user); on != "new" {
							t.Errorf("on the server: %s", on)
						}
						w.stays(next)
						return took
					})
				})
			}
		}
	}
}

// The taken resource of a dead phone is free just so.
func TestDeadPhoneUnderDenyOfItsResource(t *testing.T) {
	servers.Each(t, testDeadPhoneUnderDenyOfItsResource)
}

func testDeadPhoneUnderDenyOfItsResource(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"same_resource": "deny", "ghost_after_seconds": 1}`)
	w.within(2*time.Second, func(try int) time.Duration {
		user := fmt.Sprintf("ned%d", try)
		phone := w.login(user, "phone")
		phone.Freeze()
		next := w.dial(user, xmppclient.Options{})
		took := w.bindIn(next, "phone")
		w.recorded(user, "phone=active")
		w.stays(next)
		if got := w.sessions(user); got[0].Generation != 2 {
			t.Errorf("who is left: %+v", got)
		}
		third := w.dial(user, xmppclient.Options{})
		if d := w.denied(third, "phone"); d.Condition != "conflict" || d.Denied == nil || d.Denied.Code != "same_resource" {
			t.Errorf("denial: %s", d.Raw)
		}
		w.stays(next)
		return took
	})
}

// A client that answers the probe keeps its place, on every transport, with stream management and without.
func TestLivePhoneUnderDeny(t *testing.T) { servers.Each(t, testLivePhoneUnderDeny) }

func testLivePhoneUnderDeny(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 4}`)
	for _, transport := range transports {
		for _, sm := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sm %t", transport, sm), func(t *testing.T) {
				t.Parallel()
				w := shared.in(t)
				user := fmt.Sprintf("live-%s-%t", transport, sm)
				phone := w.loginWith(user, "phone", xmppclient.Options{Transport: transport, SM: sm})
				w.recorded(user, "phone=active")
				next := w.dial(user, xmppclient.Options{})
				d := w.denied(next, "new")
				if d.Condition != "resource-constraint" || d.Type != "wait" || d.Denied == nil || d.Denied.Code != "limit" {
					t.Errorf("denial: %s", d.Raw)
				}
				w.stays(phone)
				w.recorded(user, "phone=active")
				w.wantDecided(user, "phone allow/ok 1 []", "new deny/limit 0 []")
				phone.Close()         // with stream management over BOSH it hibernates
				w.bindIn(next, "new") // the denied stream is as good as new
				w.recorded(user, "new=active")
			})
		}
	}
}

// Of several in the way only the dead one goes.
func TestOneOfTwoIsDead(t *testing.T) { servers.Each(t, testOneOfTwoIsDead) }

func testOneOfTwoIsDead(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 2, "on_excess": "deny", "ghost_after_seconds": 1}`)
	w.within(2*time.Second, func(try int) time.Duration {
		user := fmt.Sprintf("oda%d", try)
		alive := w.login(user, "alive") // the oldest: age is not what makes one go
		dead := w.login(user, "dead")
		dead.Freeze()
		next := w.dial(user, xmppclient.Options{})
		took := w.bindIn(next, "new")
		w.recorded(user, "alive=active new=active")
		w.stays(alive)
		w.stays(next)
		w.wantDecided(user, "alive allow/ok 1 []", "dead allow/ok 2 []", "new allow/takeover 3 [2]")
		fourth := w.dial(user, xmppclient.Options{})
		if d := w.denied(fourth, "fourth"); d.Denied == nil || d.Denied.Code != "limit" {
			t.Errorf("denial: %s", d.Raw)
		}
		return took
	})
}

// A hibernating session holds no place and costs no probe.
func TestHibernatingUnderDeny(t *testing.T) { servers.Each(t, testHibernatingUnderDeny) }

func testHibernatingUnderDeny(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	for i, rule := range []string{`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 4}`, `{"same_resource": "deny", "ghost_after_seconds": 4}`} {
		w.rule(rule)
		for _, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
			w.within(time.Second, func(try int) time.Duration {
				user := fmt.Sprintf("asleep%d-%s-%d", i, transport, try)
				phone := w.loginWith(user, "phone", xmppclient.Options{Transport: transport, SM: true})
				w.recorded(user, "phone=active")
				phone.Cut()
				w.recorded(user, "phone=hibernating")
				resource := []string{"new", "phone"}[i]
				next := w.dial(user, xmppclient.Options{})
				took := w.bindIn(next, resource)
				w.recorded(user, resource+"=active")
				w.stays(next)
				w.refused(phone, user, transport)
				return took
			})
		}
	}
	if n := w.running.gate.Stats().Probes.Load(); n != 0 {
		t.Errorf("%d probes", n)
	}
}
