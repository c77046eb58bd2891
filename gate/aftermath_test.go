package gate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

const ann = "ann@" + theDomain

// grant lets one login of ann take over and returns the token.
func (b *bench) grant(r gate.GrantRequest) string {
	b.t.Helper()
	r.Account, r.TTL, r.By = ann, time.Minute, store.Actor{Subject: "test"}
	g, err := b.gate.Grant(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return g.Token
}

// come asks for ann, for a client that named its resource.
func (b *bench) come(sid, resource, token string) gate.Answer {
	b.t.Helper()
	return b.send(gate.Ask{User: "ann", SID: sid, Resource: resource, ID: "ask-" + sid, Chosen: true, More: true, Takeover: token})
}

// openGrants says how many grants of ann nobody has used yet.
func (b *bench) openGrants() (n int) {
	b.t.Helper()
	if err := b.store.Look(b.t.Context(), store.Want{Key: store.KeyOf(ann), JID: ann}, func(r *store.Record) {
		for i := range r.Standing.Grants {
			if r.Standing.Grants[i].Open(r.Now) {
				n++
			}
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func denied(t *testing.T, a gate.Answer, code rules.Code) {
	t.Helper()
	if a.Outcome != gate.Deny || a.Denial.Code != string(code) {
		t.Fatalf("%+v, want a denial: %s", a, code)
	}
}

// Many sessions that nobody can tell apart go for one login: that is one turn, and no loop.
func TestManyOfNobodyInParticularGoAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 5 {
		sid := fmt.Sprint("s", i)
		b.send(gate.Ask{User: "ann", SID: sid, Resource: "made" + sid, ID: "ask-" + sid, More: true})
		b.event(gate.EventBind, "ann", sid, "made"+sid)
	}
	b.rule(`{"max_sessions":1}`)
	a := b.send(gate.Ask{User: "ann", SID: "n", Resource: "other", ID: "ask-n", More: true})
	if a.Outcome != gate.Allow || len(a.Kicks) != 5 {
		t.Fatalf("%+v", a)
	}
	if n := b.count("select count(*) from loops"); n != 0 {
		t.Errorf("%d loops", n)
	}
}

// A device that the failure policy let in and that is denied afterwards is as new as before.
func TestWhoWasDeniedAfterwardsIsNotKnown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"require_grant":true}`)
	e := b.made(gate.EventBind, "ann", "s1", "thief")
	e.ClientID, e.AskID = "agent-of-a-thief", ""
	b.gate.Event(e)
	b.eventually("ann", "s1=evicting:rule")
	b.event(gate.EventUnbind, "ann", "s1", "thief")
	b.eventually("ann", "")
	denied(t, b.by("agent-of-a-thief", "s2", "thief", ""), rules.CodeGrantRequired)
}

// A frozen winner that comes back by a bind which never completes is frozen in its place as before.
func TestAFreezeOutlivesAnAbandonedReturn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1,"takeover_cooldown_seconds":1}`)
	b.loop()
	allowed(t, b.by("agent b", "s9", "b", b.grant(gate.GrantRequest{})))
	if got := b.state("ann"); got != "s3=evicting:takeover s9=binding" {
		t.Fatal(got)
	}
	winner := func() (n int) {
		return b.count("select s.generation::int - l.winner::int from loops l join sessions s on s.account = l.account where s.evict_code is null")
	}
	if winner() != 0 {
		t.Error("the list of loops does not know who the winner is now")
	}
	b.event(gate.EventGone, "ann", "s9", "b")
	b.eventually("ann", "s3=active")
	if winner() != 0 {
		t.Error("the list of loops does not know who the winner is again")
	}
	denied(t, b.by("agent a", "s10", "a", ""), rules.CodeFrozen)
}

// A grant for a resource is not spent by a login that gets in without it, nor hidden by a token that is wrong.
func TestABoundGrantIsSparedAndFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1,"on_excess":"deny"}`)
	b.grant(gate.GrantRequest{Resource: "phone"})
	if a := b.come("s1", "phone", ""); a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.event(gate.EventBind, "ann", "s1", "phone")
	b.eventually("ann", "s1=active")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "")
	if n := b.openGrants(); n != 1 {
		t.Fatalf("%d grants are open after a login that needed none", n)
	}
	b.login("ann", "s2", "laptop")
	denied(t, b.come("s3", "tablet", ""), rules.CodeLimit)
	if a := b.come("s4", "phone", "grt_of-long-ago"); a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
	if n := b.openGrants(); n != 0 {
		t.Errorf("%d grants are open after the login that needed it", n)
	}
}

// A takeover token ends the session that it is for, and nobody whose protection the asker is subject to.
func TestAChoiceDoesNotPassAnothersProtection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1}`)
	b.login("ann", "s1", "loser")
	allowed(t, b.come("s2", "winner", ""))
	b.replaces("s2", "winner", "s1")
	b.rule(`{"max_sessions":2}`)
	b.login("ann", "s3", "third")
	b.rule(`{"max_sessions":1,"on_excess":"choose"}`)
	a := b.come("s4", "loser", "")
	denied(t, a, rules.CodeChoose)
	for _, c := range a.Denial.Choices {
		if c.Resource == "third" {
			denied(t, b.come("s5", "loser", c.Token), rules.CodeCooldown)
			return
		}
	}
	t.Fatalf("%+v", a.Denial.Choices)
}

// An ask that is repeated is answered as before, with whoever is in the way by now, by name.
func TestARepeatedChoice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_per_platform":{"unknown":1},"on_excess":"choose"}`)
	device := b.register(gate.Registration{Account: ann, Resource: "phone", Name: new("Ann's phone"), Platform: new("ios")})
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "one")
	first := b.come("s3", "two", "tko_nonsense")
	denied(t, first, rules.CodeChoose)
	again := b.come("s3", "two", "tko_nonsense")
	denied(t, again, rules.CodeChoose)
	if n := len(again.Denial.Choices); n != 1 || again.Denial.Choices[0].Resource != "one" || again.Denial.Token != first.Denial.Token || first.Denial.Token != gate.TokenUnknown {
		t.Errorf("%+v, then %+v (the phone is %d)", first, again, device)
	}
	if n := b.count("select count(*) from decisions where outcome = 'deny'"); n != 1 {
		t.Errorf("%d denials", n)
	}
}

// Clients that take a new resource for each attempt are told apart until they are a crowd: then they are one, and are held.
func TestACrowdOfDenialsIsOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1,"on_excess":"deny"}`)
	b.login("ann", "s0", "phone")
	var longest time.Duration
	for i := range 60 {
		a := b.come(fmt.Sprint("r", i), fmt.Sprintf("random-%d", i), "")
		denied(t, a, rules.CodeLimit)
		longest = max(longest, a.Denial.Hold)
	}
	if rows, told := b.count("select count(*) from decisions where outcome = 'deny'"), b.count("select count(*) from event_batches where 'login.denied' = any(types)"); rows > 10 || told > 10 {
		t.Errorf("%d rows and %d events of 60 denials", rows, told)
	}
	if longest < 4*time.Second {
		t.Errorf("held for %v at most", longest)
	}
}

// What takeovers left behind is given up where it cannot be read: the account goes on.
func TestASpoiledStandingIsForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1}`)
	b.login("ann", "s1", "phone")
	if _, err := b.store.Pool().Exec(b.t.Context(), "update accounts set standing = '\\x7f01'"); err != nil {
		t.Fatal(err)
	}
	if a := b.come("s2", "tablet", ""); a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
	denied(t, b.come("s3", "phone", ""), rules.CodeCooldown)
}

// Releasing an account's protection forgives an id that several clients show, also while its device is not in.
func TestReleaseForgivesClones(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.register(gate.Registration{Account: ann, UserAgentID: "shown-by-two"})
	if _, err := b.store.Pool().Exec(t.Context(), "update devices set cloned = true where user_agent_id = 'shown-by-two'"); err != nil {
		t.Fatal(err)
	}
	if err := b.gate.Release(t.Context(), ann, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if n := b.count("select count(*) from devices where cloned"); n != 0 {
		t.Errorf("%d are still taken for clones", n)
	}
}

// Against a thief one call is enough: who is blocked keeps nobody out, whatever it did before.
func TestABlockReleasesTheOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1}`)
	b.login("ann", "s1", "own")
	allowed(t, b.come("s2", "stolen", ""))
	b.replaces("s2", "stolen", "s1")
	denied(t, b.come("s3", "own", ""), rules.CodeCooldown)
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: ann, Select: gate.KickSelect{All: true}, Block: true, Cooldown: time.Minute, By: store.Actor{Subject: "test"}}, 0); err != nil {
		t.Fatal(err)
	}
	if a := b.come("s4", "own", ""); a.Outcome != gate.Allow {
		t.Errorf("the owner: %+v", a)
	}
	denied(t, b.come("s5", "stolen", ""), rules.CodeBlocked)
}

// Only a device that is there can be given a grant.
func TestAGrantNeedsItsDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.gate.Grant(t.Context(), gate.GrantRequest{Account: ann, Device: 7, TTL: time.Minute}); err == nil || !strings.Contains(err.Error(), store.ErrNotFound.Error()) {
		t.Errorf("%v", err)
	}
	if n := b.count("select count(*) from accounts"); n != 0 {
		t.Errorf("%d accounts", n)
	}
}

// What would happen while the brake is pulled is what does happen: nobody is refused.
func TestEvaluateKnowsTheBrake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&steered{})
	b.hello(theDomain, gate.ModeEnforce, "mode")
	b.rule(`{"max_sessions":1,"on_excess":"deny"}`)
	b.login("ann", "s1", "phone")
	evaluate := func() gate.Evaluated {
		t.Helper()
		d, err := b.gate.Evaluate(t.Context(), gate.Evaluation{Account: ann, Resource: "tablet"})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := evaluate(); d.Outcome != rules.Denied || d.Shadow {
		t.Fatalf("enforced: %+v", d)
	}
	b.mode(gate.ModeObserve)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if d := evaluate(); d.Shadow {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the decision is not said to be without effect")
		}
	}
}

// A takeover token that is wrong does not hide a grant either, and evaluate says that it is wrong.
func TestAWrongTokenIsToldAndHidesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1,"on_excess":"deny"}`)
	b.login("ann", "s0", "laptop")
	first := b.come("s1", "tablet", "tko_nonsense")
	again := b.come("s1", "tablet", "tko_nonsense")
	denied(t, first, rules.CodeLimit)
	denied(t, again, rules.CodeLimit)
	if first.Denial.Token != gate.TokenUseless || again.Denial.Token != gate.TokenUseless {
		t.Errorf("%q, then %q", first.Denial.Token, again.Denial.Token)
	}
	b.grant(gate.GrantRequest{Resource: "phone"})
	var wrong gate.TokenError
	if _, err := b.gate.Evaluate(t.Context(), gate.Evaluation{Account: ann, Resource: "phone", Grant: "grt_nonsense"}); !errors.As(err, &wrong) || wrong != gate.TokenUnknown {
		t.Errorf("%v", err)
	}
	allowed(t, b.come("s2", "phone", "tko_nonsense"))
}

// A device that is registered by its resource is known by it, whatever id its client shows.
func TestARegisteredResourceIsTheDevice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"require_grant":true}`)
	device := b.register(gate.Registration{Account: ann, Resource: "phone", Platform: new("ios")})
	allowed(t, b.by("some agent", "s1", "phone", ""))
	b.replaces("s1", "phone")
	if n := b.count(fmt.Sprintf("select count(*) from sessions where device = %d and identity = 'certain' and platform = 'ios'", device)); n != 1 {
		t.Errorf("it is another device: %s", b.state("ann"))
	}
	// An id that is registered itself goes first; a session that lives already becomes the device when that is registered.
	other := b.register(gate.Registration{Account: ann, UserAgentID: "known agent"})
	b.rule(`{}`)
	allowed(t, b.by("known agent", "s2", "phone", ""))
	b.replaces("s2", "phone", "s1")
	if n := b.count(fmt.Sprintf("select count(*) from sessions where device = %d", other)); n != 1 {
		t.Error("the registered id does not go first")
	}
	allowed(t, b.by("third agent", "s3", "tablet", ""))
	b.event(gate.EventBind, "ann", "s3", "tablet")
	b.eventually("ann", "s2=active s3=active")
	tablet := b.register(gate.Registration{Account: ann, Resource: "tablet"})
	if n := b.count(fmt.Sprintf("select count(*) from sessions where sid = 's3' and device = %d", tablet)); n != 1 {
		t.Error("the live session is not the device's")
	}
}

// A client that loses its network now and then is in no loop with itself.
func TestADeadClientFightsNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&prober{})
	b.hello(theDomain, gate.ModeEnforce, "probe")
	b.rule(`{"takeover_cooldown_seconds":0,"ghost_after_seconds":1}`)
	b.login("ann", "s0", "phone")
	last := "s0"
	for i := range 4 {
		sid := fmt.Sprint("n", i)
		allowed(t, b.come(sid, "phone", ""))
		b.replaces(sid, "phone", last)
		last = sid
	}
	if n := b.count("select count(*) from loops"); n != 0 {
		t.Errorf("%d loops", n)
	}
	if n := b.count("select count(*) from event_batches where 'takeover' = any(types)"); n > 1 {
		t.Errorf("%d takeovers; after the first it is known to come back", n)
	}
}

// A live session that is denied afterwards has a decision of its own, beside the one that let it in.
func TestWhoIsDeniedAfterwardsHasADecision(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&talker{asked: make(chan string, 10), tells: map[string]gate.Software{"zzz": {Name: "Gajim"}}})
	b.rule(`{"max_per_platform":{"desktop":1},"on_excess":"deny"}`)
	b.login("ann", "s0", "laptop")
	denied(t, b.come("s1", "desktop", ""), rules.CodeLimit)
	b.login("ann", "s2", "zzz")
	b.eventually("ann", "s0=active s2=evicting:rule")
	if n := b.count("select count(*) from decisions where resource = 'zzz' and outcome = 'deny' and generation is not null"); n != 1 {
		t.Errorf("%d decisions say why it goes", n)
	}
}

// A block takes the loop with it that the blocked device won.
func TestABlockEndsTheLoop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1,"takeover_cooldown_seconds":0}`)
	b.loop()
	var winner int64
	if err := b.store.Pool().QueryRow(t.Context(), "select device from sessions").Scan(&winner); err != nil {
		t.Fatal(err)
	}
	b.block(ann, winner, true)
	if n := b.count("select count(*) from loops"); n != 0 {
		t.Errorf("%d loops", n)
	}
}
