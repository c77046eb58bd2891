package rules

import (
	"slices"
	"time"
)

// Party is who logs in, as far as it can be told: a device, or else the resource that its client chose. The caller numbers them; NoParty stands for all
// whose resource the server made and who show no id: they cannot be told from each other.
type Party int64

// NoParty is who shows nothing that could tell it from others.
const NoParty Party = 0

// What ends the wait of a displaced device, and what breaks a loop.
const (
	silenceFactor = 10        // times the longest gap between its own attempts: any timer keeps itself out, also one that backs off sixfold
	maxSilence    = time.Hour // that a gap can ask for
	loopTurns     = 3         // displacements between two parties
	loopWindow    = 10 * time.Minute
	freeze        = 5 * time.Minute
	maxDisplaced  = 32 // entries of an account; the oldest go first, those of open loops last
)

// Displacement is what is known of a party that had to go for another one.
type Displacement struct {
	Party       Party
	Device      int64  // of the party; 0: it is known by its resource alone
	Resource    string // that it had last
	Winner      int64  // generation of the session that stands for who displaced it; 0: it is back
	WinnerParty Party
	// Own: a certain device replaced its own session. That is no takeover; it is kept to find out ids that two clients share.
	Own         bool
	At          time.Time
	SilentSince time.Time // it has not tried since
	LongestGap  time.Duration
	Attempts    int         // that were denied
	Turns       []time.Time // of the two against each other, the latest last
	FrozenUntil time.Time

	// Unbound is the generation of the admission that made this what it is, while that is not bound yet; 0: it is. Before is what it was before; nil: it was not.
	Unbound int64
	Before  *Displacement
}

// attempted is what d is after an attempt that is denied now; its client hears of that when held is over.
func (d Displacement) attempted(now time.Time, held time.Duration) Displacement {
	d.LongestGap = max(d.LongestGap, now.Sub(d.SilentSince))
	d.SilentSince = now.Add(held)
	d.Attempts++
	return d
}

// wait is how long the party still has to be silent before it may displace anyone; 0 or less: it may.
func (d *Displacement) wait(rule *Effective, now time.Time) time.Duration {
	if rule.TakeoverCooldownSeconds == 0 {
		return 0
	}
	silence := max(seconds(rule.TakeoverCooldownSeconds), min(silenceFactor*d.LongestGap, maxSilence))
	left := d.SilentSince.Add(silence).Sub(now)
	if most := rule.TakeoverCooldownMaxSeconds; most != nil {
		left = min(left, d.At.Add(seconds(*most)).Sub(now))
	}
	return left
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// Wait is a party that has to wait because a kick wanted it so.
type Wait struct {
	Party    Party
	Device   int64
	Resource string
	Until    time.Time
}

// Protection is what an account's takeovers leave behind. The zero value is that of an account without any. Its methods change it in place.
type Protection struct {
	Displaced []Displacement
	Waits     []Wait
}

// Combatant is a session that took part in a takeover.
type Combatant struct {
	Party      Party
	Device     int64
	Resource   string
	Generation int64
}

// Of returns what is known of a party's displacement, nil if nothing is.
func (p *Protection) Of(party Party) *Displacement {
	if i := p.index(party); i >= 0 {
		return &p.Displaced[i]
	}
	return nil
}

func (p *Protection) index(party Party) int {
	return slices.IndexFunc(p.Displaced, func(d Displacement) bool { return d.Party == party })
}

// Displace notes that loser goes for winner, alive as far as anyone knows. It returns the displacement if that was one turn too many: then the winner is
// frozen in its place; and the loop whose displacement had to make room, if any.
func (p *Protection) Displace(loser, winner Combatant, now time.Time) (loop, ended *Displacement) {
	d, ended := p.enter(loser, winner, now)
	if len(d.Turns) < loopTurns {
		return nil, ended
	}
	d.FrozenUntil = now.Add(freeze)
	return d, ended
}

// Replace notes that a certain device replaced its own session. It returns the loop whose displacement had to make room, if any.
func (p *Protection) Replace(old, next Combatant, now time.Time) (ended *Displacement) {
	d, ended := p.enter(old, next, now)
	d.Own = true
	return ended
}

// by marks d as changed by an admission that is not bound yet.
func (d *Displacement) by(admission int64) {
	if d.Unbound != admission {
		before := *d
		before.Unbound, before.Before = 0, nil
		d.Unbound, d.Before = admission, &before
	}
}

// Settle notes that an admission was bound: what it changed stays. It reports whether there was anything.
func (p *Protection) Settle(admission int64) (changed bool) {
	for i := range p.Displaced {
		if d := &p.Displaced[i]; d.Unbound == admission {
			d.Unbound, d.Before, changed = 0, nil, true
		}
	}
	return changed
}

// Undo takes back what an admission changed that never came, but for what those whom it concerns have tried meanwhile. It returns the displacements whose
// loop is open as before, or open but with another winner, and those whose loop is open no more.
func (p *Protection) Undo(admission int64) (open, ended []Displacement) {
	p.Displaced = slices.DeleteFunc(p.Displaced, func(d Displacement) bool {
		gone := d.Unbound == admission && d.Before == nil
		if gone && !d.FrozenUntil.IsZero() {
			ended = append(ended, d)
		}
		return gone
	})
	for i := range p.Displaced {
		d := &p.Displaced[i]
		if d.Unbound != admission {
			continue
		}
		now := *d
		*d = *now.Before
		if now.Attempts > d.Attempts {
			d.Attempts, d.SilentSince, d.LongestGap = now.Attempts, now.SilentSince, max(d.LongestGap, now.LongestGap)
		}
		switch {
		case !d.FrozenUntil.IsZero():
			open = append(open, *d)
		case !now.FrozenUntil.IsZero():
			ended = append(ended, now)
		}
	}
	return open, ended
}

func (p *Protection) enter(loser, winner Combatant, now time.Time) (entered, ended *Displacement) {
	d := Displacement{
		Party: loser.Party, Device: loser.Device, Resource: loser.Resource, Winner: winner.Generation, WinnerParty: winner.Party,
		At: now, SilentSince: now, Turns: append(p.turns(loser.Party, winner.Party, now), now),
	}
	d.Turns = d.Turns[max(0, len(d.Turns)-loopTurns):]
	d.Unbound = winner.Generation
	i := p.index(loser.Party)
	if i >= 0 {
		p.Displaced[i].by(winner.Generation)
		d.Before = p.Displaced[i].Before
	}
	if i < 0 && len(p.Displaced) == maxDisplaced {
		// A freeze is kept longest: it is what ends a fight.
		i = max(0, slices.IndexFunc(p.Displaced, func(d Displacement) bool { return d.FrozenUntil.IsZero() }))
	}
	if i >= 0 {
		if was := p.Displaced[i]; !was.FrozenUntil.IsZero() {
			ended = &was
		}
		p.Displaced = slices.Delete(p.Displaced, i, i+1)
	}
	p.Displaced = append(p.Displaced, d)
	return &p.Displaced[len(p.Displaced)-1], ended
}

// turns returns when two parties took turns lately, ending with a displacement of the one that displaces now: a party that displaces the same one again, which
// came back in another way, begins anew.
func (p *Protection) turns(loser, winner Party, now time.Time) []time.Time {
	d := p.Of(winner)
	if d == nil || d.WinnerParty != loser {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.Turns), func(t time.Time) bool { return now.Sub(t) >= loopWindow })
}

// Succeed lets a session stand for one that goes for it: whoever was displaced by that one waits for this one. It returns the open loops whose winner this
// is now.
func (p *Protection) Succeed(old, next int64) (loops []Displacement) {
	for i := range p.Displaced {
		d := &p.Displaced[i]
		if d.Winner != old {
			continue
		}
		d.by(next)
		if d.Winner = next; !d.FrozenUntil.IsZero() {
			loops = append(loops, *d)
		}
	}
	return loops
}

// Excuse ends a kick's wait of a party.
func (p *Protection) Excuse(party Party) {
	p.Waits = slices.DeleteFunc(p.Waits, func(w Wait) bool { return w.Party == party })
}

// Admit notes that a party is in again; winner is its session. What it did to others stays. It returns the loop that this ends, if any.
func (p *Protection) Admit(party Party, winner int64) (ended *Displacement) {
	d := p.Of(party)
	if d == nil || d.Winner == winner {
		return nil
	}
	before := *d
	d.by(winner)
	d.Winner, d.FrozenUntil = 0, time.Time{}
	if !before.FrozenUntil.IsZero() {
		return &before
	}
	return nil
}

// Attempt notes a denied attempt of a displaced party, whose client hears of it when held is over.
func (p *Protection) Attempt(party Party, now time.Time, held time.Duration) {
	if d := p.Of(party); d != nil {
		*d = d.attempted(now, held)
	}
}

// Wait makes a party wait until a time; the later one counts.
func (p *Protection) Wait(w Wait) {
	for i := range p.Waits {
		if p.Waits[i].Party == w.Party {
			if w.Until.After(p.Waits[i].Until) {
				p.Waits[i] = w
			}
			return
		}
	}
	if len(p.Waits) == maxDisplaced {
		first := 0
		for i := range p.Waits {
			if p.Waits[i].Until.Before(p.Waits[first].Until) {
				first = i
			}
		}
		p.Waits = slices.Delete(p.Waits, first, first+1)
	}
	p.Waits = append(p.Waits, w)
}

// WaitOf returns until when a party has to wait for a kick's sake; zero: it need not.
func (p *Protection) WaitOf(party Party) time.Time {
	for _, w := range p.Waits {
		if w.Party == party {
			return w.Until
		}
	}
	return time.Time{}
}

// Thaw ends the freezes that are over by now, and with live not nil those whose winner is not live. It returns them as they were.
func (p *Protection) Thaw(now time.Time, live func(generation int64) bool) (ended []Displacement) {
	for i := range p.Displaced {
		d := &p.Displaced[i]
		if d.FrozenUntil.IsZero() || now.Before(d.FrozenUntil) && (live == nil || live(d.Winner)) {
			continue
		}
		ended = append(ended, *d)
		d.FrozenUntil = time.Time{}
	}
	return ended
}

// Prune forgets what can matter no more.
func (p *Protection) Prune(now time.Time, live func(generation int64) bool) {
	p.Displaced = slices.DeleteFunc(p.Displaced, func(d Displacement) bool {
		last := d.At
		if n := len(d.Turns); n > 0 {
			last = d.Turns[n-1]
		}
		return d.FrozenUntil.IsZero() && !live(d.Winner) && now.Sub(last) >= loopWindow && (d.Unbound == 0 || !live(d.Unbound))
	})
	p.Waits = slices.DeleteFunc(p.Waits, func(w Wait) bool { return !now.Before(w.Until) })
}

// Release forgets all of it. It returns the displacements whose freeze ended with it.
func (p *Protection) Release(now time.Time) (ended []Displacement) {
	ended = p.Thaw(now, func(int64) bool { return false })
	*p = Protection{}
	return ended
}

// Empty reports whether there is nothing to keep.
func (p *Protection) Empty() bool { return len(p.Displaced) == 0 && len(p.Waits) == 0 }

// FrozenAt is when the loop opened that a displacement ended; zero: none did.
func (d *Displacement) FrozenAt() time.Time {
	if d.FrozenUntil.IsZero() {
		return time.Time{}
	}
	return d.FrozenUntil.Add(-freeze)
}

// Standing says how a displacement stands by a rule: how long the party has yet to be silent (0: it may come), if its winner lives.
func (d *Displacement) Standing(rule Effective, now time.Time) (retryAfter time.Duration, frozen bool) {
	wait, cold := d.wait(&rule, now), d.FrozenUntil.Sub(now)
	return max(wait, cold, 0), cold > 0
}
