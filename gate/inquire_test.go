package gate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// talker is a server whose clients tell what they are, by resource.
type talker struct {
	absent
	asked chan string
	tells map[string]gate.Software
}

func (l *talker) Software(ctx context.Context, _ gate.Source, user, resource string) (gate.Software, error) {
	select {
	case l.asked <- user + "/" + resource:
	case <-ctx.Done():
		return gate.Software{}, ctx.Err()
	}
	s, ok := l.tells[resource]
	if !ok {
		return s, errAbsent
	}
	return s, nil
}

func (b *bench) becomes(sql string) {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); b.count(sql) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within 10 s: %s", sql)
		}
	}
}

// A client of an unknown platform is asked; what it tells is remembered, and the account is judged again with it as the newcomer.
func TestPlatformIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &talker{asked: make(chan string, 10), tells: map[string]gate.Software{"b7": {Name: "Acme", OS: "Android 14"}, "c9": {Name: "<&'", Type: "phone"}}}
	b.owns(l)
	b.rule(`{"max_per_platform": {"android": 1}}`)
	b.login("ann", "s1", "android-1")
	b.login("ann", "s2", "b7")
	if got := <-l.asked; got != "ann/b7" { // not the first, which is known
		t.Errorf("asked: %s", got)
	}
	b.eventually("ann", "s1=evicting:takeover s2=active")
	b.becomes(`select count(*) from sessions where sid = 's2' and platform = 'android' and client = 'Acme (Android 14)' and decided_at is not null`)
	b.becomes(`select count(*) from devices where resource = 'b7' and client = 'Acme (Android 14)'`)
	if b.count("select count(*) from decisions where code = 'takeover' and platform = 'android' and evicted = '{1}'") != 1 {
		t.Error("it was not judged again")
	}
	// At the device's next login it is known at once.
	b.event(gate.EventUnbind, "ann", "s2", "b7")
	b.event(gate.EventUnbind, "ann", "s1", "android-1")
	b.eventually("ann", "")
	b.login("ann", "s3", "b7")
	if b.count(`select count(*) from sessions where sid = 's3' and platform = 'android' and client = 'Acme (Android 14)'`) != 1 {
		t.Error("it was not remembered")
	}
	b.login("ann", "s4", "c9") // tells nothing of use
	if got := <-l.asked; got != "ann/c9" {
		t.Errorf("asked: %s", got)
	}
	b.becomes(`select count(*) from sessions where sid = 's4' and platform = 'unknown' and client = '<&'' client/phone'`)
	b.login("ann", "s5", "d1") // says nothing
	if got := <-l.asked; got != "ann/d1" {
		t.Errorf("asked: %s", got)
	}
	b.eventually("ann", "s3=active s4=active s5=active")
}

// Who logged in while a client was asked was judged by what that one seemed to be, and is judged again behind it.
func TestWhoCameMeanwhileIsJudgedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &talker{asked: make(chan string), tells: map[string]gate.Software{"b7": {Name: "Acme", OS: "Android 14"}}}
	b.owns(l)
	b.rule(`{"max_per_platform": {"android": 1}}`)
	b.login("ann", "s1", "b7")
	b.login("ann", "s2", "android-2") // while s1's client is being asked: the talker waits for us
	if got := <-l.asked; got != "ann/b7" {
		t.Errorf("asked: %s", got)
	}
	b.eventually("ann", "s1=evicting:takeover s2=active")
}

// No more clients are asked than the bounds say.
func TestInquiriesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &talker{asked: make(chan string)} // nobody listens: each is waited for
	b.owns(l)
	for i := range 300 {
		sid := "s" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		b.event(gate.EventBind, "u"+sid, sid, "r")
	}
	stats := b.gate.Stats()
	for deadline := time.Now().Add(10 * time.Second); stats.Inquiries.Load()+stats.InquiriesLeftOut.Load() < 300; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("asked %d, left out %d of 300", stats.Inquiries.Load(), stats.InquiriesLeftOut.Load())
		}
	}
	if stats.InquiriesLeftOut.Load() < 300-256 {
		t.Errorf("asked %d, left out %d", stats.Inquiries.Load(), stats.InquiriesLeftOut.Load())
	}
}

// A client is asked also if its platform is known, where something else hinges on what it tells; and that counts.
func TestAClientIsAskedForWhatHingesOnIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &talker{asked: make(chan string, 10), tells: map[string]gate.Software{"pc-1": {Name: "Foo", Type: "bot"}, "pc-2": {Name: "Bar"}, "pc-3": {Name: "Foo"}}}
	b.owns(l)
	if _, err := b.store.PutPlatforms(t.Context(), rules.Platforms{
		Matchers: rules.Matchers{{Platform: "bot", Identity: "client/bot"}, {Platform: "desktop", Resource: "pc-*"}}, Groups: map[string][]string{},
	}, store.Actor{}, func(*store.KeptRule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	b.login("ann", "s1", "pc-1")
	b.becomes(`select count(*) from sessions where sid = 's1' and platform = 'bot'`)
	b.login("ann", "s2", "pc-2")
	b.becomes(`select count(*) from sessions where sid = 's2' and client = 'Bar' and platform = 'desktop'`)
	b.rule(`{"condition":"session.client != 'Foo'"}`)
	b.login("ann", "s3", "pc-3")
	b.eventually("ann", "s1=active s2=active s3=evicting:rule")
	if n := b.count("select count(*) from decisions where resource = 'pc-3' and code = 'condition'"); n != 1 {
		t.Errorf("%d decisions", n)
	}
}

// What a rule asks of newcomers is not asked again of who is in, because somebody else never came.
func TestWhoIsInIsNotANewcomer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "old")
	b.login("ann", "s2", "new")
	b.rule(`{"max_sessions":2,"condition":"session.resource == 'third'","require_grant":true}`)
	token := b.grant(gate.GrantRequest{})
	if a := b.come("n", "third", token); a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
	judged := b.count("select count(*) from decisions")
	b.event(gate.EventGone, "ann", "n", "third")
	b.becomes(fmt.Sprintf("select (count(*) > %d)::int from decisions", judged))
	b.eventually("ann", "s1=active s2=active")
}
