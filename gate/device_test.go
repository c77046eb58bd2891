package gate_test

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

func (b *bench) register(r gate.Registration) int64 {
	b.t.Helper()
	id, _, err := b.gate.RegisterDevice(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) block(account string, device int64, on bool) gate.KickReport {
	b.t.Helper()
	report, err := b.gate.ChangeDevice(b.t.Context(), gate.DeviceChange{Account: account, Device: device, By: store.Actor{Subject: "test"}, Blocked: &on}, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

// blocked wants the denial of a blocked device.
func (b *bench) blocked(a gate.Answer) {
	b.t.Helper()
	if d := a.Denial; a.Outcome != gate.Deny || d.Code != "blocked" || d.Condition != "not-allowed" || d.Type != "cancel" || d.Text == "" || d.RetryAfter != 0 {
		b.t.Errorf("%+v", a)
	}
}

// A registered device keeps what operators say of it over its logins, and its reconnect is no takeover.
func TestRegisteredDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1, "on_excess": "deny", "same_resource": "deny"}`)
	name, platform := "Ann's phone", "fridge"
	b.register(gate.Registration{Account: "ann@example.org", Resource: "phone", Name: &name, Platform: &platform})
	b.login("ann", "s1", "phone")
	const row = `select count(*) from devices where name = 'Ann''s phone' and platform = 'fridge' and identity = 'certain' and registered and client is not distinct from `
	if b.count(row+"null and first_seen_at > now() - interval '1 minute'") != 1 || b.count("select count(*) from sessions where platform = 'fridge' and identity = 'certain' and device is not null") != 1 {
		t.Error("the login does not know its device")
	}
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "phone", ID: "q2", Chosen: true, More: true, Peer: gate.Peer{Client: "Gajim"}})
	if a.Outcome != gate.Allow || len(a.Kicks) != 1 || a.Kicks[0].Device != name || a.Kicks[0].Platform != platform {
		t.Fatalf("its reconnect: %+v", a)
	}
	if b.count("select count(*) from decisions where code = 'own_reconnect'") != 1 || b.count(row+"'Gajim'") != 1 {
		t.Error("the reconnect is no own one, or the device lost what was said of it")
	}
}

// A bind that bindgate only hears of is recognized too.
func TestRegisteredDeviceThatWasLetIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	platform := "fridge"
	b.register(gate.Registration{Account: "ann@example.org", Resource: "phone", Platform: &platform})
	b.register(gate.Registration{Account: "ann@example.org", UserAgentID: "id", Platform: &platform})
	if a := b.ask("ann", "s3", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"}, gate.Listed{SID: "s2", Resource: "x", State: "active", Peer: gate.Peer{ClientID: "id"}}); a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.becomes("select case when count(*) = 2 then 1 else 0 end from sessions where sid in ('s1', 's2') and platform = 'fridge' and identity = 'certain' and device is not null and decided_at is not null")
}

// A probable device that was not seen for 90 days is another one now, whatever is still on record.
func TestProbableDeviceIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	if _, err := b.store.Pool().Exec(t.Context(), "update devices set name = 'old', first_seen_at = now() - interval '200 days', last_seen_at = now() - interval '91 days'"); err != nil {
		t.Fatal(err)
	}
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "")
	if b.count("select count(*) from devices where last_seen_at > now() - interval '1 minute'") != 1 {
		t.Error("the end of its session is no sight of it")
	}
	if _, err := b.store.Pool().Exec(t.Context(), "update devices set last_seen_at = now() - interval '91 days'"); err != nil {
		t.Fatal(err)
	}
	b.login("ann", "s2", "phone")
	if b.count("select count(*) from devices where name is null and first_seen_at > now() - interval '1 minute' and last_seen_at = first_seen_at") != 1 {
		t.Error("the old one is still on record")
	}
}

// Nobody gets in on a blocked resource: not while its session is still there, not with a name of the server's making, not with another id.
func TestBlockedDeviceIsDenied(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "tablet")
	device := store.DeviceOf("resource", "phone")
	if r := b.block("ann@example.org", device, true); len(r.Results) != 1 || r.Results[0].Outcome != gate.OutcomePending {
		t.Fatalf("%+v", r)
	}
	b.eventually("ann", "s1=evicting:blocked s2=active")
	for i, a := range []gate.Ask{
		{Resource: "phone", Chosen: true}, {Resource: "phone"}, {Resource: "phone", Chosen: true, Peer: gate.Peer{ClientID: "id"}},
	} {
		a.User, a.More = "ann", true
		a.SID = "n" + string(rune('1'+i))
		a.ID = "q" + a.SID
		b.blocked(b.send(a))
	}
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
	b.blocked(b.ask("ann", "n4", "phone"))
	if b.count("select count(*) from session_history where end_reason = 'blocked'") != 1 {
		t.Error("its session did not end as blocked")
	}
	deadline := time.Now().Add(10 * time.Second)
	for b.count("select count(*) from events where type in ('kick.requested', 'kick.verified')") != 2 {
		if time.Now().After(deadline) {
			t.Fatal("the block is not told and proven as kicks are")
		}
	}
	if a := b.ask("ann", "n5", "desk"); a.Outcome != gate.Allow {
		t.Errorf("another device: %+v", a)
	}
	b.rule(`{"enforce": false}`)
	if a := b.ask("ann", "n6", "phone"); a.Outcome != gate.Allow || b.count("select count(*) from decisions where code = 'blocked' and outcome = 'deny' and shadow") != 1 {
		t.Errorf("not enforced: %+v", a)
	}
	b.rule(`{}`)
	b.block("ann@example.org", device, false)
	if a := b.ask("ann", "n7", "phone"); a.Outcome != gate.Allow {
		t.Errorf("unblocked: %+v", a)
	}
}

func TestBlockedUserAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	device := b.register(gate.Registration{Account: "ann@example.org", UserAgentID: "id"})
	b.block("ann@example.org", device, true)
	b.blocked(b.send(gate.Ask{User: "ann", SID: "s1", Resource: "any", ID: "q1", More: true, Peer: gate.Peer{ClientID: "id"}}))
	if a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "any", ID: "q2", More: true, Peer: gate.Peer{ClientID: "other"}}); a.Outcome != gate.Allow {
		t.Errorf("another one: %+v", a)
	}
	if err := b.gate.ForgetDevice(t.Context(), "ann@example.org", device, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if a := b.send(gate.Ask{User: "ann", SID: "s3", Resource: "more", ID: "q3", More: true, Peer: gate.Peer{ClientID: "id"}}); a.Outcome != gate.Allow {
		t.Errorf("forgotten: %+v", a)
	}
}

// What the failure policy let in goes as soon as bindgate knows of it, however it learns.
func TestBlockedDeviceThatWasLetIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	for _, user := range []string{"ann", "bob", "cat"} {
		b.block(user+"@example.org", b.register(gate.Registration{Account: user + "@example.org", Resource: "phone"}), true)
	}
	b.event(gate.EventBind, "ann", "s1", "phone")
	b.eventually("ann", "s1=evicting:blocked")
	if a := b.ask("bob", "s3", "tablet", gate.Listed{SID: "s2", Resource: "phone", State: "active"}); a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.eventually("bob", "s2=evicting:blocked s3=binding")
	e := b.made(gate.EventBind, "cat", "s4", "tablet")
	b.gate.Event(e)
	b.eventually("cat", "s4=active")
}
