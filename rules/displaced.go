package rules

import (
	"slices"
	"time"
)

// protect denies a newcomer that was displaced a short while ago, if anyone who lives would have to go for it.
func (h *hearing) protect(r ruling) ruling {
	n, d := &h.f.Newcomer, h.f.Displaced
	if d == nil || r.outcome == Denied || n.Grant {
		return r
	}
	wait, cold := d.wait(&h.f.Rule, h.now), d.FrozenUntil.Sub(h.now)
	w := h.winner()
	if w >= 0 && max(wait, cold) <= 0 && h.fights(w) {
		if askable(&h.f.Sessions[w]) {
			h.marks[w].probed = true
			if r.outcome != Need {
				r = ruling{outcome: Need, code: CodeTakeover, field: fieldCooldown}
			}
			return r
		}
		h.returns = h.dead(&h.f.Sessions[w]) && h.onlyGoneGo()
	}
	if w < 0 || w == h.chosen || max(wait, cold) <= 0 || (h.marks[w].goes == stays || h.marks[w].goes == byOwnDevice) && !h.anyoneAliveGoes() {
		return r
	}
	s := &h.f.Sessions[w]
	switch {
	case askable(s):
		h.marks[w].probed = true
		if r.outcome == Need {
			return r
		}
		return ruling{outcome: Need, code: h.protectionCode(cold), field: fieldCooldown}
	case h.dead(s):
		// Who looks like the winner is the winner coming back. Anyone else has to let it come back for a while.
		left := s.seenAt().Add(seconds(h.f.Rule.TakeoverCooldownSeconds)).Sub(h.now)
		if n.Party == s.Party || left <= 0 {
			h.returns = n.Party == s.Party && h.marks[w].goes != stays && h.onlyGoneGo()
			return r
		}
		h.retryAfter = left
	case s.Verdict == Unasked && n.Party == s.Party && n.Party != NoParty && cold <= 0:
		// It may be the winner coming back, and nobody can tell: first come, first served. Two that live end in a loop, and that is broken.
		return r
	default:
		after := d.attempted(h.now, 0)
		h.retryAfter = max(after.wait(&h.f.Rule, h.now), cold)
	}
	h.marks[w].bars = true
	return ruling{outcome: Denied, code: h.protectionCode(cold), field: fieldCooldown}
}

func (h *hearing) protectionCode(cold time.Duration) Code {
	if cold > 0 {
		return CodeFrozen
	}
	return CodeCooldown
}

// winner returns the index of the session that stands for who displaced the newcomer; -1: it is gone, and protects nothing.
func (h *hearing) winner() int {
	if h.f.Displaced == nil || h.f.Displaced.Winner == 0 {
		return -1
	}
	return slices.IndexFunc(h.f.Sessions, func(s Session) bool { return s.Generation == h.f.Displaced.Winner })
}

// fights reports whether the newcomer's party is about to take turns with itself: with another client that cannot be told from it, or with a session of
// its own that is dead. Only a probe can tell; without one, a client that loses its network now and then would be in a loop with itself.
func (h *hearing) fights(w int) bool {
	d, n, s := h.f.Displaced, &h.f.Newcomer, &h.f.Sessions[w]
	if d.Own || n.Party != s.Party || h.marks[w].goes == stays || h.marks[w].goes == byOwnDevice || len(d.Turns) == 0 {
		return false
	}
	return h.now.Sub(d.Turns[len(d.Turns)-1]) < loopWindow
}

// onlyGoneGo reports whether everybody who goes has nobody who would come back for its place.
func (h *hearing) onlyGoneGo() bool {
	return !h.any(func(i int) bool { return h.marks[i].goes != stays && !h.gone(i) })
}

// anyoneAliveGoes reports whether a session would have to go that is not known to be dead, nor the newcomer's own.
func (h *hearing) anyoneAliveGoes() bool {
	for i := range h.marks {
		if m := &h.marks[i]; m.goes != stays && m.goes != byOwnDevice && m.goes != byChoice && !h.gone(i) {
			return true
		}
	}
	return false
}

// dead reports whether a session has no client that answers: it was found silent, or it hibernates.
func (h *hearing) dead(s *Session) bool {
	switch s.Verdict {
	case Alive:
		return false
	case Silent, Asleep:
		return true
	}
	return s.State == Hibernating
}

// gone reports whether a session that goes has nobody who would come back for its place: it is silent, or an earlier session of the newcomer's own party
// that sleeps.
func (h *hearing) gone(i int) bool {
	s := &h.f.Sessions[i]
	return s.Verdict == Silent || h.dead(s) && s.Party == h.f.Newcomer.Party
}

// seenAt is when a session was last known to have a client.
func (s *Session) seenAt() time.Time {
	if s.PausedAt.After(s.LastSeenAt) {
		return s.PausedAt
	}
	return s.LastSeenAt
}

// clone says what to think of a certain device that replaces its own session again. Two clients that show one id (a backup that was restored on a second
// device) would replace each other for ever; a session that has to be replaced over and over and still answers is another client's.
func (h *hearing) clone() (verdict cloneVerdict, session int) {
	n, d := &h.f.Newcomer, h.f.Displaced
	if n.Device == 0 || n.Identity != Certain || d == nil || !d.Own || n.Grant {
		return notCloned, -1
	}
	w := h.winner()
	if w < 0 || h.f.Sessions[w].Device != n.Device || h.f.Sessions[w].State == Binding {
		return notCloned, -1
	}
	soon := h.now.Sub(d.At) < seconds(h.f.Rule.TakeoverCooldownSeconds)
	often := 0
	for _, t := range d.Turns {
		if h.now.Sub(t) < loopWindow {
			often++
		}
	}
	switch s := &h.f.Sessions[w]; {
	case !soon && often < loopTurns-1:
		return notCloned, -1
	case askable(s):
		return perhapsCloned, w
	case h.dead(s):
		return notCloned, -1
	case s.Verdict == Unasked: // nothing proves a second client
		return notCloned, -1
	}
	return cloned, w
}

type cloneVerdict uint8

const (
	notCloned cloneVerdict = iota
	perhapsCloned
	cloned
)

// tellDisplaced tells who displaced the newcomer, and how long that keeps it out.
func (h *hearing) tellDisplaced(t *story) {
	d, n := h.f.Displaced, &h.f.Newcomer
	w := h.winner()
	if w < 0 {
		return
	}
	s := &h.f.Sessions[w]
	if d.Own {
		t.say("The newcomer's device replaced its own session ")
	} else {
		t.say("The newcomer, or who cannot be told from it, was displaced ")
	}
	t.seconds(h.now.Sub(d.At)).say(" ago; what stands for that is ")
	h.session(t, s)
	t.say(".").end()
	switch {
	case n.Grant:
		t.say("It has a grant: that is no obstacle.").end()
		return
	case h.chosen >= 0:
		t.say("Its user chose who goes: that is no obstacle.").end()
		return
	}
	cold := d.FrozenUntil.Sub(h.now)
	if cold > 0 {
		t.say("The two displaced each other ").number(loopTurns).say(" times within ").seconds(loopWindow).say(": who is in stays, for ").seconds(cold).say(" more.").end()
	}
	if wait := d.wait(&h.f.Rule, h.now); wait > 0 {
		t.say("It has to be silent for ").number(int64(h.f.Rule.TakeoverCooldownSeconds)).say(" s (").say(fieldCooldown).say(", ").say(setBy(h.level(fieldCooldown)))
		t.say(") and for ten times the longest gap between its attempts, which is ").seconds(d.LongestGap).say("; ").seconds(wait).say(" are left.").end()
	} else if cold <= 0 {
		t.say("It has been silent for long enough to come back.").end()
		return
	}
	switch {
	case h.outcome == Allow && s.Verdict == Unasked && h.marks[w].goes != stays:
		t.say("That session could not be asked for a sign of life, and this may be its client, coming back: first come, first served.").end()
	case h.outcome == Denied && s.Verdict == Unasked:
		t.say("That session could not be asked for a sign of life: it counts as alive.").end()
	case h.outcome == Denied && h.dead(s):
		t.say("That session has no client at the moment; it may come back for ").seconds(h.retryAfter).say(" more.").end()
	case h.returns:
		t.say("That session does not answer: this is its client, coming back.").end()
	case h.outcome == Allow && h.dead(s):
		t.say("That session does not answer and has not come back: it protects nobody.").end()
	case h.outcome == Allow:
		t.say("Nobody who lives has to go for it: that is no obstacle.").end()
	}
}

// tellWait tells of a kick that makes the newcomer wait.
func (h *hearing) tellWait(t *story) {
	left := h.f.WaitUntil.Sub(h.now)
	if left <= 0 {
		return
	}
	t.say("The newcomer, or who cannot be told from it, was kicked and has to wait for ").seconds(left).say(" more")
	if h.f.Newcomer.Grant {
		t.say("; it has a grant: that is no obstacle")
	}
	t.say(".").end()
}

// tellGrant tells what a grant does for the newcomer, what the lack of one does, and what is wrong with its token.
func (h *hearing) tellGrant(t *story) {
	n := &h.f.Newcomer
	if n.Token != "" {
		t.say("The token that it brought does not count: ").quote(n.Token).say(".").end()
	}
	switch {
	case n.Grant:
		t.say("The newcomer has a grant: it may take over.").end()
	case !h.f.Rule.RequireGrant || n.Known:
	case h.code == CodeGrantRequired:
		t.say("The newcomer's device was never admitted, and a new device needs a grant (").say(fieldRequireGrant).say(", ").say(setBy(h.level(fieldRequireGrant))).say("). ")
		if h.outcome == Need {
			t.say("Whether it is the device of the session with its resource: ")
			h.tellInTheWay(t)
			return
		}
		t.say("It has none.").end()
	default:
		t.say("The session with the newcomer's resource is dead: this is its device, which needs no grant.").end()
	}
}
