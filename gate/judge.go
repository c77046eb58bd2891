package gate

import (
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// judging decides about the sessions of an account that live on the server but were never admitted (fail-open, bindgate away), one
// after the other, oldest first, as if each logged in now. A denial becomes a kick.
type judging struct {
	gate     *Gate
	link     string
	jid      string
	verdicts map[probed]rules.Verdict
	probes   int
}

func (g *Gate) judge(link, jid string) {
	g.judgeAgain(&judging{gate: g, link: link, jid: jid})
}

func (g *Gate) judgeAgain(j *judging) {
	g.do(&op{want: store.Want{Key: store.KeyOf(j.jid), JID: j.jid, Known: true}, fence: g.fence(j.link), apply: j.apply})
}

func (j *judging) apply(r *store.Record) func() {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.Sessions, func(s *store.Session) bool { return s.DecidedAt.IsZero() && s.State != rules.Binding })
	if i < 0 {
		return nil
	}
	s := r.Sessions[i]
	if s.Eviction != nil { // it goes anyway
		giveBack(r, s)
		s.DecidedAt = r.Now
		r.Changed(s)
		return j.next
	}
	u, rule := recognize(r, s), rules.Merge(r.Levels...)
	c := j.gate.claimToJudge(r, s, &rule)
	d, c := j.gate.decide(r, s, u, c, rule, j.verdicts, unprobed(j.probes >= maxProbes || r.LinkMode == ModeOff))
	if d.Outcome == rules.Need {
		them := allProbed(r, d.Probe)
		r.Discard()
		return func() { j.probe(them, time.Duration(rule.GhostAfterSeconds)*time.Second) }
	}
	conclude(r, s, u, c, d, rule)
	login := tellOthers(r, s)
	if login != nil {
		login.judged = true
	}
	return func() {
		j.next()
		j.gate.notify(login)
	}
}

// conclude carries out what was decided about a session that lives already.
func conclude(r *store.Record, s *store.Session, u guest, c claim, d rules.Decision, rule rules.Effective) {
	s.DecidedAt = r.Now
	r.Changed(s)
	switch {
	case d.Outcome != rules.Denied:
		admit(r, s, u, c, d, r.Now)
		keep(r, s, d, s.AskID)
	case d.Shadow:
		giveBack(r, s)
		keep(r, s, d, s.AskID)
	default:
		giveBack(r, s)
		code := "rule"
		if d.Code == rules.CodeBlocked {
			code = "blocked"
		}
		if d.Cloned {
			u.cloned(r, s)
		}
		u.unlearn(r)
		denyLive(r, s, d)
		r.Evict(s, store.Eviction{Code: code, Text: deniedText(r, s, d, rule), NextAt: r.Now})
	}
}

// next goes on with the following session and has those kicked that have to go.
func (j *judging) next() {
	j.gate.stats.Judged.Add(1)
	j.gate.wake(j.link)
	j.gate.judge(j.link, j.jid)
}

func (j *judging) probe(them []probed, wait time.Duration) {
	g := j.gate
	user, domain, _ := strings.Cut(j.jid, "@")
	if g.connOf(j.link) == nil {
		return // nobody goes because nobody can be asked; the sweeper comes again
	}
	g.bg.run(func() {
		j.verdicts = g.probe(g.sourceOf(j.link, domain), user, them, wait, j.verdicts)
		j.probes++
		g.judgeAgain(j)
	})
}
