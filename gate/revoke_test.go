package gate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// vault is a server that keeps credentials. It writes down, in order, what it was asked for.
type vault struct {
	absent
	mu     sync.Mutex
	deaf   int // so many revocations get no answer
	answer gate.Revocation
	said   []string
}

func (v *vault) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said = append(v.said, fmt.Sprintf(format, args...))
}

func (v *vault) all() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.said, ", ")
}

func (v *vault) Revoke(_ context.Context, _ gate.Source, user string, devices []string, others bool) (gate.Revocation, error) {
	v.say("revoke %s %v %t", user, devices, others)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.deaf > 0 {
		v.deaf--
		return gate.Revocation{}, errAbsent
	}
	return v.answer, nil
}

func (v *vault) Kick(_ context.Context, _ gate.Source, k gate.Kick) (gate.KickResult, error) {
	v.say("kick %s", k.SID)
	return gate.KickDone, nil
}

func (v *vault) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said = nil
}

func (v *vault) waits(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); v.all() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server was asked: %s\nwant: %s", v.all(), want)
		}
	}
}

func (b *bench) revoke(user string, by gate.KickSelect, wait time.Duration) gate.KickReport {
	b.t.Helper()
	report, err := b.gate.Kick(b.t.Context(), gate.KickRequest{Account: user + "@" + theDomain, By: store.Actor{Subject: "test"}, Select: by, Revoke: true}, wait)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

func (b *bench) greet(abilities ...string) {
	b.gate.Hello(gate.Hello{Source: b.source(), Epoch: "e1", Seq: b.seq, Mode: gate.ModeEnforce, Abilities: abilities})
}

// loginBy logs in with a SASL2 user-agent id.
func (b *bench) loginBy(user, sid, resource, agent string) {
	b.t.Helper()
	b.send(gate.Ask{User: user, SID: sid, Resource: resource, ID: "ask-" + sid, More: true, Peer: gate.Peer{ClientID: agent}})
	e := b.made(gate.EventBind, user, sid, resource)
	e.ClientID = agent
	b.gate.Event(e)
	b.becomes("select count(*) from sessions where state = 'active' and sid = '" + sid + "'")
}

// Credentials are revoked before the sessions end; what the kick selects decides which.
func TestRevocationComesBeforeTheKick(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := &vault{answer: gate.Revocation{Revoked: map[string]int{"fast": 2, "tokenauth": 0}, Epoch: "e1", More: true}}
	b.owns(server)
	b.greet("kick", "revoke")
	b.loginBy("ann", "s1", "phone", "agent-1")
	b.loginBy("ann", "s2", "tablet", "agent-2")
	b.login("ann", "s3", "web")
	two, seen := store.DeviceOf("user_agent_id", "agent-2"), map[string]bool{}
	revoked := gate.Credentials{Outcome: gate.OutcomeRevoked, Revoked: map[string]int{"fast": 2}}
	someLeft := revoked
	someLeft.Reason = "Some of the selected sessions are of no device with a SASL2 user-agent id (XEP-0388): what is theirs cannot be told apart and is left."
	for _, tt := range []struct {
		by   gate.KickSelect
		asks string // first the server is asked this
		want gate.Credentials
	}{
		{gate.KickSelect{Devices: []int64{two}}, "revoke ann [agent-2] false", revoked},
		{gate.KickSelect{Sessions: []int64{1, 3}}, "revoke ann [agent-1] false", someLeft},
		{gate.KickSelect{Except: 1}, "revoke ann [agent-1] true", revoked},
		{gate.KickSelect{Except: 3}, "revoke ann [] true", revoked},
		{gate.KickSelect{All: true}, "revoke ann [] false", revoked},
	} {
		server.forget()
		got := b.revoke("ann", tt.by, 300*time.Millisecond)
		if d := cmp.Diff(tt.want, got.Credentials); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.by, d)
		}
		asked := slices.DeleteFunc(strings.Split(server.all(), ", "), func(s string) bool { return seen[s] })
		if asked[0] != tt.asks {
			t.Errorf("%+v: the server was asked %q, want %s first", tt.by, asked, tt.asks)
		}
		for _, r := range got.Results { // kicked again and again from now on
			seen[fmt.Sprint("kick s", r.Generation)] = true
		}
	}
	none := b.revoke("ann", gate.KickSelect{Sessions: []int64{3}}, 0)
	if c := none.Credentials; c.Outcome != gate.OutcomeUnable || !strings.Contains(c.Reason, "None of the selected sessions") {
		t.Errorf("%+v", c)
	}
	if n := b.count("select count(*) from revocations where next_at is null and outcome = 'revoked'"); n != 5 {
		t.Errorf("%d revocations on record, want 5", n)
	}
	// Without the wish nothing is said.
	plain, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "ann@" + theDomain, Select: gate.KickSelect{All: true}}, 0)
	if err != nil || plain.Credentials.Outcome != "" {
		t.Errorf("%+v, %v", plain, err)
	}
}

// A server that does not answer is asked again; the sessions wait for two attempts and no longer.
func TestRevocationIsAskedForUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := &vault{deaf: 2, answer: gate.Revocation{Unable: map[string]string{"tokenauth": "broken"}}}
	b.login("ann", "s1", "phone")
	if c := b.revoke("ann", gate.KickSelect{All: true}, 0).Credentials; c.Outcome != gate.OutcomePending {
		t.Errorf("with the link down: %+v", c)
	}
	b.owns(server)
	server.waits(t, "revoke ann [] false, revoke ann [] false, kick s1")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "")
	if _, err := b.store.Pool().Exec(t.Context(), "update revocations set next_at = now()"); err != nil { // it would be a while
		t.Fatal(err)
	}
	server.waits(t, "revoke ann [] false, revoke ann [] false, kick s1, revoke ann [] false")
	b.becomes("select count(*) from revocations where next_at is null and outcome = 'unable' and reason = 'tokenauth: broken.' and attempts = 3")
}

// Who came in between the request and the revocation goes too, also who is not on record yet; who comes later stays.
func TestSessionsBeforeTheRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.loginBy("bob", "t1", "phone", "agent-1")
	b.revoke("ann", gate.KickSelect{All: true}, 0)
	b.revoke("bob", gate.KickSelect{Sessions: []int64{1}}, 0)
	b.login("ann", "s2", "tablet")
	b.loginBy("bob", "t2", "again", "agent-1")
	b.loginBy("bob", "t3", "tablet", "agent-2")
	b.login("bob", "t4", "web")
	server := &vault{answer: gate.Revocation{Revoked: map[string]int{"fast": 1}, Epoch: "e1", Seq: b.seq + 1, More: true, Sessions: []gate.Listed{{SID: "x9", Resource: "unseen", State: "active"}}}}
	b.owns(server)
	b.greet("kick", "revoke")
	b.eventually("ann", "s1=evicting:kick s2=evicting:kick x9=evicting:kick")
	b.eventually("bob", "t1=evicting:kick t2=evicting:kick t3=active t4=active x9=active")
	b.becomes("select 1 from sessions where evict_kick is not null having count(distinct evict_kick) = 2 and count(*) = 5")
	b.login("ann", "s3", "later")
	b.eventually("ann", "s1=evicting:kick s2=evicting:kick x9=evicting:kick s3=active")
}

// What a server cannot do is said.
func TestRevocationThatCannotBe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := &vault{answer: gate.Revocation{Epoch: "e1", More: true}}
	b.owns(server)
	b.login("ann", "s1", "phone")
	b.greet("kick")
	if c := b.revoke("ann", gate.KickSelect{All: true}, 300*time.Millisecond).Credentials; c.Outcome != gate.OutcomeUnable || c.Reason != "The server's module is too old to revoke credentials." {
		t.Errorf("%+v", c)
	}
	b.greet("kick", "revoke")
	for _, tt := range []struct {
		answer gate.Revocation
		want   gate.Credentials
	}{
		{gate.Revocation{}, gate.Credentials{Outcome: gate.OutcomeNothing, Reason: "The server has no module that stores login credentials."}},
		{gate.Revocation{Revoked: map[string]int{"fast": 0}}, gate.Credentials{Outcome: gate.OutcomeNothing, Reason: "No credentials were stored."}},
		{gate.Revocation{Revoked: map[string]int{"fast": 0}, Unable: map[string]string{"tokenauth": "broken."}}, gate.Credentials{Outcome: gate.OutcomeUnable, Reason: "tokenauth: broken."}},
		{gate.Revocation{Revoked: map[string]int{"fast": 3}, Unable: map[string]string{"tokenauth": "broken"}}, gate.Credentials{Outcome: gate.OutcomeRevoked, Revoked: map[string]int{"fast": 3}, Reason: "tokenauth: broken."}},
	} {
		server.mu.Lock()
		server.answer = tt.answer
		server.answer.Epoch, server.answer.More = "e1", true
		server.mu.Unlock()
		got := b.revoke("ann", gate.KickSelect{All: true}, 300*time.Millisecond).Credentials
		if len(got.Revoked) == 0 {
			got.Revoked = nil
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.answer, d)
		}
	}
}
