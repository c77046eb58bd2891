package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// prober answers probes, of 50 sessions at most, as bindgate may ask.
type prober struct {
	absent
	mu    sync.Mutex
	waits []time.Duration
	slow  time.Duration // the first answer fails after it
}

func (p *prober) Probe(_ context.Context, _ gate.Source, _ string, sids []string, wait time.Duration) (map[string]gate.Verdict, error) {
	p.mu.Lock()
	p.waits = append(p.waits, wait)
	first := len(p.waits) == 1
	p.mu.Unlock()
	if first && p.slow > 0 {
		time.Sleep(p.slow)
		return nil, errors.New("busy")
	}
	if len(sids) == 0 || len(sids) > 50 {
		return nil, fmt.Errorf("probe of %d", len(sids))
	}
	out := map[string]gate.Verdict{}
	for _, sid := range sids {
		out[sid] = gate.VerdictSilent
	}
	return out, nil
}

// An account with many dead sessions is probed in pieces.
func TestProbeOfManySessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(1, theLink)
	if _, err := b.store.Pool().Exec(t.Context(), `insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
		select s.account, 'x' || n, n, s.link, 'r' || n, s.state, s.identity, s.platform, '', true, 'tcp', '', '', '', '', now(), now(), now() from sessions s, generate_series(2, 120) n`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Pool().Exec(t.Context(), "update accounts set generation = 120"); err != nil {
		t.Fatal(err)
	}
	b.owns(&prober{})
	b.rule(`{"max_sessions": 120, "on_excess": "deny", "ghost_after_seconds": 1}`)
	if a := b.ask("u1", "new", "phone2"); a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("%+v", a)
	}
}

// What the deadline leaves no time for proves nothing.
func TestProbeWithoutTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := &prober{slow: 1700 * time.Millisecond}
	b.owns(p)
	b.login("ann", "s1", "phone")
	b.rule(`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}`)
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "q", Deadline: 2 * time.Second, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	if a.Outcome != gate.Deny {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=active")
}

// A short deadline leaves time for a short probe.
func TestProbeInAShortTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := &prober{}
	b.owns(p)
	b.login("ann", "s1", "phone")
	b.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "tablet", ID: "q", Deadline: time.Second, Sessions: []gate.Listed{{SID: "s1", Resource: "phone", State: "active"}}})
	if a.Outcome != gate.Allow || len(p.waits) != 1 || p.waits[0] < 300*time.Millisecond || p.waits[0] > 800*time.Millisecond {
		t.Fatalf("%+v after probes of %s", a, p.waits)
	}
}

// An owner whose session cannot be asked for a sign of life is not taken for its own rival; somebody else's session keeps its place.
func TestReturnToASessionThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&prober{})
	b.gate.Hello(gate.Hello{Source: b.source(), Epoch: "e1", Seq: b.seq, Abilities: []string{"ask", "kick"}})
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "phone") // takes it over: from now on all on this resource look like the displaced
	b.event(gate.EventUnbind, "ann", "s1", "phone")
	b.eventually("ann", "s2=active")
	if a := b.ask("ann", "s3", "phone", gate.Listed{SID: "s2", Resource: "phone", State: "active"}); a.Outcome != gate.Allow || len(a.Kicks) != 1 {
		t.Fatalf("the same resource: %+v", a)
	}
	if n := b.count(`select count(*) from decisions where resource = 'phone' and array_to_string(explanation, ' ') like '%could not be asked for a sign of life%first come, first served%'`); n != 1 {
		t.Errorf("%d explanations say so", n)
	}
	b.event(gate.EventBind, "ann", "s3", "phone")
	b.event(gate.EventUnbind, "ann", "s2", "phone")
	b.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	if a := b.ask("ann", "s4", "tablet", gate.Listed{SID: "s3", Resource: "phone", State: "active"}); a.Outcome != gate.Deny || a.Denial.Code != "limit" {
		t.Fatalf("another device: %+v", a)
	}
}

// What a module's hello shows to be wrong is a problem that operators are told of: it does not wait long enough for a probe, knows a part of its server's sessions, or
// has another database's bindgate too.
func TestProblemsOfHello(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&prober{})
	problem := func() string {
		links, err := b.gate.Links(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			for _, d := range l.Domains {
				return d.Problem
			}
		}
		return "no hello"
	}
	for _, tt := range []struct {
		hello gate.Hello
		want  string
	}{
		{gate.Hello{Timeout: 300 * time.Millisecond}, "bindgate_timeout is 0.3 s"},
		{gate.Hello{Refused: "it speaks version 2", Nodes: 3}, "it speaks version 2; until then its logins are decided by its failure policy"},
		{gate.Hello{Timeout: gate.LeastTimeout, Nodes: 1}, ""},
		{gate.Hello{Nodes: 3}, "one of 3 nodes of a cluster"},
		{gate.Hello{Nodes: 3, Rival: gate.Rival{Database: "0123456789abcdef", Link: "main"}}, "another bindgate, with another database (0123456789abcdef), was on the component"},
		{gate.Hello{Rival: gate.Rival{Link: "other"}}, "another bindgate on this database was on the component"},
		{gate.Hello{}, ""},
	} {
		tt.hello.Source, tt.hello.Epoch, tt.hello.Abilities = b.source(), "e1", []string{"ask", "kick"}
		b.gate.Hello(tt.hello)
		deadline := time.Now().Add(15 * time.Second)
		for got := problem(); tt.want == "" && got != "" || !strings.Contains(got, tt.want); got = problem() {
			if time.Now().After(deadline) {
				t.Fatalf("%+v: %q, want %q", tt.hello, got, tt.want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// Nobody is kicked for a limit because nobody could be asked: a login without us is judged when the server is there.
func TestNothingIsJudgedWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&prober{})
	b.login("ann", "s1", "phone")
	b.rule(`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}`)
	b.gate.Disconnected(theLink, errAbsent)
	b.event(gate.EventBind, "ann", "s2", "tablet")
	b.eventually("ann", "s1=active s2=active")
	time.Sleep(100 * time.Millisecond)
	b.eventually("ann", "s1=active s2=active")
	b.gate.Connected(theLink, &prober{})
	b.eventually("ann", "s1=evicting:takeover s2=active")
}

// An answer has room for so many kicks; the others are asked for when the bind is seen.
func TestAnswerOfManyKicks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(1, theLink)
	if _, err := b.store.Pool().Exec(t.Context(), `insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
		select s.account, 'x' || n, n, s.link, repeat('r', 1000) || n, s.state, s.identity, s.platform, '', true, 'tcp', '', '', '', '', now(), now(), now() from sessions s, generate_series(2, 1000) n`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Pool().Exec(t.Context(), "update accounts set generation = 1000"); err != nil {
		t.Fatal(err)
	}
	b.rule(`{"max_sessions": 1}`)
	a := b.ask("u1", "new", "phone")
	size := 0
	for _, k := range a.Kicks {
		size += len(k.Resource) + len(k.Text) + len(k.User) + 200
	}
	if a.Outcome != gate.Allow || size > 200<<10 || len(a.Kicks) == 0 || a.Kicks[0].Resource != "phone" {
		t.Fatalf("%s, %d kicks, about %d bytes", a.Outcome, len(a.Kicks), size)
	}
	b.event(gate.EventBind, "u1", "new", "phone")
	deadline := time.Now().Add(10 * time.Second)
	for b.count("select count(*) from sessions where evict_next is not null") < 999 {
		if time.Now().After(deadline) {
			t.Fatal("those that were not in the answer are not asked for")
		}
	}
}

// returning is a server whose probed client comes back on a new connection meanwhile.
type returning struct {
	prober
	b *bench
}

func (p *returning) Probe(ctx context.Context, src gate.Source, user string, sids []string, wait time.Duration) (map[string]gate.Verdict, error) {
	found, err := p.prober.Probe(ctx, src, user, sids, wait)
	if len(p.waits) == 1 {
		p.b.event(gate.EventHibernate, user, sids[0], "phone") //nolint:contextcheck // a report has no context
		p.b.event(gate.EventResume, user, sids[0], "phone")    //nolint:contextcheck // likewise
		return found, err
	}
	for sid := range found {
		found[sid] = gate.VerdictAlive
	}
	return found, err
}

// Who came back while it was probed is no ghost.
func TestResumedWhileProbed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.owns(&returning{b: b})
	b.login("ann", "s1", "phone")
	b.rule(`{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}`)
	if a := b.ask("ann", "s2", "tablet", gate.Listed{SID: "s1", Resource: "phone", State: "active"}); a.Outcome != gate.Deny {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s1=active")
}
