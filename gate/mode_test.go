package gate_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// steered is a server whose modules take modes; the first try fails.
type steered struct {
	absent
	mu     sync.Mutex
	told   []string // "domain mode"
	kicked []string // sids
}

func (s *steered) SetMode(_ context.Context, src gate.Source, mode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, src.Domain+" "+mode)
	if len(s.told) == 1 {
		return errors.New("no answer")
	}
	return nil
}

func (s *steered) Kick(_ context.Context, _ gate.Source, k gate.Kick) (gate.KickResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicked = append(s.kicked, k.SID)
	return gate.KickDone, nil
}

// all are the sids that were kicked.
func (s *steered) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kicked)
}

func (b *bench) mode(mode string) (applied bool) {
	b.t.Helper()
	status, applied, err := b.gate.SetMode(b.t.Context(), gate.ModeRequest{Link: theLink, Mode: mode, By: store.Actor{Subject: "test"}}, time.Second)
	if err != nil || status.Name != theLink || status.Mode != mode {
		b.t.Fatalf("%+v, %v", status, err)
	}
	return applied
}

func (b *bench) hello(domain, mode string, abilities ...string) {
	b.gate.Hello(gate.Hello{Source: gate.Source{Link: theLink, Domain: domain}, Epoch: "e1", Seq: b.seq, Mode: mode, Abilities: abilities})
}

// A mode is told to every module that has another, again if that failed, and a module that says hello in another is told too.
func TestModulesAreTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := &steered{}
	b.owns(server)
	if b.mode(gate.ModeObserve) {
		t.Error("applied with no module there")
	}
	b.hello("example.org", gate.ModeEnforce, "mode")
	b.hello("example.net", gate.ModeObserve, "mode")
	told := func(want ...string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			server.mu.Lock()
			got := slices.Clone(server.told)
			server.mu.Unlock()
			slices.Sort(got)
			if slices.Equal(got, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("told %q, want %q", got, want)
			}
		}
	}
	told("example.org observe", "example.org observe")
	if !b.mode(gate.ModeOff) {
		t.Error("not applied")
	}
	told("example.net off", "example.org observe", "example.org observe", "example.org off")
	b.hello("example.net", gate.ModeEnforce, "mode") // its file was lost
	told("example.net off", "example.net off", "example.org observe", "example.org observe", "example.org off")
	b.hello("old.example", gate.ModeEnforce)
	if b.mode(gate.ModeObserve) {
		t.Error("applied by a module that cannot")
	}
	if _, _, err := b.gate.SetMode(t.Context(), gate.ModeRequest{Link: "none", Mode: gate.ModeOff}, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a link that is not there: %v", err)
	}
}

// What rules wanted and is not done yet is taken back when the brake is pulled; what an operator wants is done.
func TestBrakeTakesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "tablet")
	b.login("bob", "t1", "phone")
	if _, err := b.gate.Kick(t.Context(), gate.KickRequest{Account: "bob@" + theDomain, By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0); err != nil {
		t.Fatal(err)
	}
	b.eventually("ann", "s1=evicting:takeover s2=active")
	if _, err := b.store.Pool().Exec(t.Context(), "insert into links (name, mode) values ($1, 'observe')", theLink); err != nil {
		t.Fatal(err)
	}
	server := &steered{}
	b.owns(server)
	b.eventually("ann", "s1=active s2=active")
	b.eventually("bob", "t1=evicting:kick")
	for deadline := time.Now().Add(10 * time.Second); len(server.all()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the operator's kick was not sent")
		}
	}
	if slices.Contains(server.all(), "s1") {
		t.Errorf("kicked: %q", server.all())
	}

	// An answer names the operator's kicks only, and nobody else has to go for the newcomer.
	b.login("bob", "t2", "tablet")
	if a := b.ask("bob", "t3", "web"); a.Outcome != gate.Allow || len(a.Kicks) != 1 || a.Kicks[0].SID != "t1" {
		t.Errorf("%+v", a)
	}
	b.eventually("bob", "t1=evicting:kick t2=active t3=binding")
	// Nor is anybody taken back who is to go by a new rule's word when the brake is released.
	b.mode(gate.ModeEnforce)
	b.ask("ann", "s3", "web")
	b.eventually("ann", "s1=evicting:takeover s2=evicting:takeover s3=binding")
}

// Binds that were never asked are decided as shadows under the brake, and not again when it is released; but a block holds then.
func TestUnaskedBindsUnderTheBrake(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	b.owns(&steered{})
	device := b.register(gate.Registration{Account: "ann@" + theDomain, Resource: "stolen"})
	b.block("ann@"+theDomain, device, true)
	b.mode(gate.ModeOff)
	b.login("ann", "s1", "phone")
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.event(gate.EventBind, "ann", "s3", "stolen")
	if a := b.ask("ann", "s4", "web"); a.Outcome != gate.Allow {
		t.Errorf("%+v", a)
	}
	b.event(gate.EventBind, "ann", "s4", "web")
	b.becomes("select 1 from decisions having count(*) filter (where shadow) = 4 and count(*) = 4")
	b.eventually("ann", "s1=active s2=active s3=active s4=active")
	if n := b.count("select count(*) from decisions where outcome = 'deny'"); n != 3 {
		t.Errorf("%d shadow denials, want 3", n)
	}
	b.mode(gate.ModeEnforce)
	b.eventually("ann", "s1=active s2=active s3=evicting:blocked s4=active")
	if n := b.count("select count(*) from decisions where not shadow"); n != 1 {
		t.Errorf("%d decisions under enforce, want the block's alone", n)
	}
}
