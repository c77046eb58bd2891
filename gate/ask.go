package gate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// bindGrace is how long after an ask's deadline a bind may still be reported before it is given up.
const bindGrace = 5 * time.Second

const (
	probeSessions = 50 // as many as one probe may name
	// Who had less time to answer a probe is not known to be silent: a fifth of the ask's deadline, within these bounds.
	leastProbe, enoughProbe = 300 * time.Millisecond, time.Second
	// probeReserve is what is left of the deadline for the decision behind a probe, at most; a fifth of what is left otherwise.
	probeReserve = 250 * time.Millisecond
)

// LeastTimeout is how long a server has to wait for answers at least, for its sessions to be probed: under it there is no time for leastProbe. Dead sessions
// count as alive then, but for who may be their own client.
const LeastTimeout = 500 * time.Millisecond

// maxProbes is how often one login may ask the server to probe before it is decided without knowing.
const maxProbes = 2

// Ask queues a server's question. It never blocks; answer is called exactly once.
func (g *Gate) Ask(a Ask, answer func(Answer)) {
	g.stats.Asks.Add(1)
	g.noteSeq(a.Source, a.Epoch, a.Seq, false)
	k := &asking{Ask: a, gate: g, connection: g.connection(a.Link)}
	k.reply = func(x Answer) {
		g.asks.remove(k)
		took := time.Since(a.Received)
		g.cfg.Answered(x.Outcome, took)
		g.tallies.answered(a.Domain, x.Outcome, took)
		answer(x)
	}
	g.asks.add(k)
	g.ask(k)
}

// undecided are the asks that have no answer yet, so that one which the server does without can be let go.
type undecided struct {
	mu   sync.Mutex
	open map[askKey]*asking
}

type askKey struct {
	Source
	id string
}

func (u *undecided) add(a *asking) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[askKey{a.Source, a.ID}] = a
}

func (u *undecided) remove(a *asking) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if key := (askKey{a.Source, a.ID}); u.open[key] == a {
		delete(u.open, key)
	}
}

// drop lets an ask go: nobody waits for its answer.
func (u *undecided) drop(src Source, id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a := u.open[askKey{src, id}]; a != nil {
		a.gone.Store(true)
	}
}

// asking is an ask on its way through its rounds.
type asking struct {
	Ask
	gate     *Gate
	reply    func(Answer)
	verdicts map[probed]rules.Verdict // from the rounds before
	probes   int
	named    bool // the devices of all live sessions are to be loaded, for their names

	connection int         // that it came over; with its end the server goes on without us
	gone       atomic.Bool // the server went on without us
}

func (g *Gate) ask(a *asking) {
	jid := a.User + "@" + a.Domain
	want := store.Want{Key: store.KeyOf(jid), JID: jid, Create: true, AskID: a.ID, Devices: deviceIDs(a.ClientID, a.Resource), Known: a.named}
	for _, l := range a.Sessions {
		want.SIDs = append(want.SIDs, l.SID)
	}
	g.do(&op{want: want, fence: g.fence(a.Link), apply: a.apply, failed: func(err error) {
		g.stats.Undecided.Add(1)
		if ok, unsaid := g.undecidedLog.pass(time.Now()); ok && !errors.Is(err, ErrStopped) {
			g.log.Warn("a login could not be decided, the server's failure policy decides", "account", jid, "error", err, "others_since", unsaid)
		}
		a.reply(Answer{AskID: a.ID, Outcome: Undecided})
	}})
}

func (a *asking) apply(r *store.Record) func() {
	g := a.gate
	late := func() {
		g.stats.Late.Add(1)
		a.reply(Answer{AskID: a.ID, Outcome: Undecided})
	}
	if time.Since(a.Received) >= a.Deadline || a.gone.Load() || g.connection(a.Link) != a.connection {
		r.Discard()
		return late
	}
	if r.Answered != nil {
		answer := a.again(r)
		r.Discard()
		if answer.Outcome == Deny && r.Answered.Code == string(rules.CodeChoose) && !a.named {
			return a.askNamed
		}
		return func() { a.reply(answer) }
	}
	old := r.Live(a.SID)
	if old != nil && old.State != rules.Binding { // the failure policy let it in
		r.Discard()
		return late
	}
	adopted := heal(r, view{Source: a.Source, epoch: a.Epoch, seq: a.Seq, sessions: a.Sessions, more: a.More, old: time.Since(a.Received)})
	if old = r.Live(a.SID); old != nil { // the same stream asks again: its earlier bind did not come to be
		end(r, old, "abandoned")
	}
	rule := rules.Merge(r.Levels...)
	s := a.session(r)
	u := identify(r, s, a.Chosen)
	c := g.claimOf(r, s, a.Takeover, &rule)
	d, c := g.decide(r, s, u, c, rule, a.verdicts, unprobed(a.probes >= maxProbes))
	if d.Outcome == rules.Need {
		them := allProbed(r, d.Probe)
		r.Discard()
		return func() { a.probe(them, time.Duration(rule.GhostAfterSeconds)*time.Second) }
	}
	if d.Code == rules.CodeChoose && !a.named {
		r.Discard()
		return a.askNamed
	}
	answer := Answer{AskID: a.ID, Outcome: Allow}
	if d.Outcome == rules.Denied && !d.Shadow {
		answer = Answer{AskID: a.ID, Outcome: Deny, Denial: denial(r, rule, string(d.Code), d.Condition, a.Lang, d.RetryAfter)}
		answer.Denial.Token = c.wrong
		answer.Denial.Hold = deny(r, s, d, a.ID)
		if d.Code == rules.CodeChoose {
			answer.Denial.Choices = g.choices(r, s, d.InTheWay)
		}
		if d.Cloned {
			u.cloned(r, s)
		}
	} else {
		r.Admit(s)
		admit(r, s, u, c, d, time.Time{})
		keep(r, s, d, a.ID)
		answer.Kicks = kicks(r, rule, s.SID, s.Resource)
	}
	return func() {
		if answer.Outcome == Allow {
			g.stats.Allowed.Add(1)
		} else {
			g.stats.Denied.Add(1)
		}
		a.reply(answer)
		if adopted {
			g.judge(a.Link, r.JID)
		}
	}
}

// again rebuilds the answer that this ask already got.
func (a *asking) again(r *store.Record) Answer {
	rule, d := rules.Merge(r.Levels...), r.Answered
	if d.Outcome != string(rules.Denied) || d.Shadow || braked(r) {
		return Answer{AskID: a.ID, Outcome: Allow, Kicks: kicks(r, rule, a.SID, a.Resource)}
	}
	answer := Answer{AskID: a.ID, Outcome: Deny, Denial: denial(r, rule, d.Code, d.Condition, a.Lang, d.RetryAfter)}
	s := a.session(r)
	u := identify(r, s, a.Chosen)
	c := a.gate.claimOf(r, s, a.Takeover, &rule)
	answer.Denial.Token = c.wrong
	if d.Code == string(rules.CodeChoose) { // who is in the way is not kept, and may be others by now
		now, _ := a.gate.decide(r, s, u, c, rule, nil, rules.Alive)
		answer.Denial.Choices = a.gate.choices(r, s, now.InTheWay)
	}
	return answer
}

// askNamed asks again, with the names of all live sessions' devices.
func (a *asking) askNamed() {
	a.named = true
	a.gate.ask(a)
}

// session is what the ask wants to become.
func (a *asking) session(r *store.Record) *store.Session {
	return &store.Session{
		SID: a.SID, Link: a.Link, Resource: a.Resource, State: rules.Binding, IP: a.IP, Secure: a.Secure, Transport: a.Transport, ClientID: a.ClientID, Client: a.Client,
		Lang: a.Lang, Chosen: a.Chosen, AskID: a.ID, DecidedAt: r.Now, BindDeadline: r.Now.Add(a.Deadline - time.Since(a.Received) + bindGrace), StartedAt: r.Now, LastSeenAt: r.Now,
	}
}

// probe asks the server whether the sessions' clients still answer, and then asks again. Nothing is held meanwhile.
func (a *asking) probe(them []probed, wait time.Duration) {
	g := a.gate
	wait = min(wait, probeTime(a.Deadline, time.Since(a.Received)))
	if wait == 0 {
		a.probes = maxProbes
		g.ask(a)
		return
	}
	if !g.bg.run(func() {
		a.verdicts = g.probe(a.Source, a.User, them, wait, a.verdicts)
		a.probes++
		g.ask(a)
	}) {
		g.ask(a) // the queue is closed: this answers it
	}
}

// probeTime is how long an ask's sessions may take to answer when some of its deadline is gone; 0: there is no time to ask them.
func probeTime(deadline, gone time.Duration) time.Duration {
	left := deadline - gone
	wait := left - min(left/5, probeReserve)
	if wait < min(max(deadline/5, leastProbe), enoughProbe) {
		return 0
	}
	return wait
}

// unprobed is the verdict on sessions that were not probed.
func unprobed(final bool) rules.Verdict {
	if final {
		return rules.Unasked
	}
	return rules.Unprobed
}

// probe returns the verdicts of the sessions together with those of earlier rounds. What could not be asked has none.
func (g *Gate) probe(src Source, user string, them []probed, wait time.Duration, before map[probed]rules.Verdict) map[probed]rules.Verdict {
	out := map[probed]rules.Verdict{}
	for p, v := range before {
		out[p] = v
	}
	g.stats.Probes.Add(1)
	conn := g.connOf(src.Link)
	if conn == nil || !g.able(src, "probe") {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait+time.Second)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for some := range slices.Chunk(them, probeSessions) {
		all.Go(func() {
			sids := make([]string, len(some))
			for i, p := range some {
				sids[i] = p.sid
			}
			found, err := conn.Probe(ctx, src, user, sids, wait)
			if err != nil {
				g.log.Info("a probe got no answer", "link", src.Link, "sessions", len(some), "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range some {
				switch found[p.sid] {
				case VerdictAlive:
					out[p] = rules.Alive
				case VerdictSilent, VerdictGone:
					out[p] = rules.Silent
				case VerdictHibernating:
					out[p] = rules.Asleep
				}
			}
		})
	}
	all.Wait()
	return out
}
