package rules

import (
	"cmp"
	"slices"
	"time"
)

// Decide judges a login by its facts. It lets the newcomer in (Allow, with those who go for it), refuses it (Denied), or asks
// for a probe of sessions first (Need); once all of those have a verdict it does not ask again. now serves the condition, the protection and the explanation.
//
// A blocked newcomer is denied before anything else is looked at.
//
// Guarantees: the same answer for any order of f.Sessions; the newcomer never goes; after an enforced Allow under an evicting
// on_excess no limit is exceeded; a denial and a rule that is not enforced make nobody go; a session that answered a probe never goes
// in place of a denial; an exempt session goes only for its own device, or as a ghost whose resource is wanted; who was displaced makes nobody go who
// lives, while its wait lasts and its winner is there, unless it has a grant; where its winner could not be asked and may be its own, nobody knows who lives.
func Decide(f Facts, now time.Time) Decision {
	h := open(f, now)
	switch {
	case f.Newcomer.Blocked:
		return h.close(ruling{outcome: Denied, code: CodeBlocked})
	case !h.condition():
		return h.close(ruling{outcome: Denied, code: CodeCondition, field: fieldCondition})
	case f.WaitUntil.After(now) && !f.Newcomer.Grant:
		h.retryAfter = f.WaitUntil.Sub(now)
		return h.close(ruling{outcome: Denied, code: CodeCooldown})
	}
	if r := h.newDevice(); r.outcome != Allow {
		return h.close(r)
	}
	switch verdict, session := h.clone(); verdict {
	case cloned:
		f.Newcomer.Cloned, f.Newcomer.Identity = true, UnknownIdentity
		d := Decide(f, now)
		d.Cloned = true
		return d
	case perhapsCloned:
		h.marks[session].probed = true
		return h.close(ruling{outcome: Need, code: CodeCooldown, field: fieldCooldown})
	case notCloned:
	}
	h.ownDevice()
	h.choose()
	r := h.sameResource()
	if r.outcome != Denied {
		// Also behind a resource that has to be probed first: one round of probes has to be enough.
		limits := h.judgeLimits()
		if r.outcome != Need {
			r = limits
		}
	}
	return h.close(h.protect(r))
}

// reason says which part of the rule makes a session go.
type reason uint8

const (
	stays reason = iota
	byOwnDevice
	byChoice
	bySameResource
	byLimit
)

// mark is what the hearing found out about one session.
type mark struct {
	goes   reason
	limit  int  // index of the limit it goes for, byLimit
	asked  bool // has to be probed, and does not count until it answered
	probed bool // has to be probed, and counts
	bars   bool // stands in the way of a denied newcomer
	exempt bool // neither counted nor evicted
}

// ruling is how one part of the rule, or all of it, comes out.
type ruling struct {
	outcome Outcome
	code    Code
	field   string // JSON name of the field that decided
	limit   int    // index of the limit that decided; only for a limit's code
}

// hearing is one call of Decide.
type hearing struct {
	f      Facts
	now    time.Time
	order  []int  // indices of f.Sessions, lowest generation first
	marks  []mark // one for each of f.Sessions
	limits []limit
	exempt bool // the newcomer is: no limit counts it
	chosen int  // index of the session that the newcomer's user chose to end; -1: none

	conditionErr error         // why the condition could not be evaluated
	retryAfter   time.Duration // of a denial; 0: not known
	returns      bool          // the newcomer is the winner of its own displacement, coming back
	ruling
}

// Field names, as they are in JSON.
const (
	fieldMaxSessions       = "max_sessions"
	fieldMaxPerPlatform    = "max_per_platform"
	fieldExclusive         = "exclusive"
	fieldOnExcess          = "on_excess"
	fieldSameResource      = "same_resource"
	fieldCooldown          = "takeover_cooldown_seconds"
	fieldCooldownMax       = "takeover_cooldown_max_seconds"
	fieldGhostAfterSeconds = "ghost_after_seconds"
	fieldHibernatingCounts = "hibernating_counts"
	fieldRequireGrant      = "require_grant"
	fieldExempt            = "exempt"
	fieldCondition         = "condition"
	fieldMaxAge            = "max_session_age_seconds"
	fieldMaxIdle           = "max_idle_seconds"
	fieldText              = "text"
	fieldDenyCondition     = "deny_condition"
	fieldNotifyDevices     = "notify_devices"
	fieldEnforce           = "enforce"
)

// Stanza error conditions of a denial (RFC 6120 §8.3.3).
const (
	conditionConflict   = "conflict"
	conditionConstraint = "resource-constraint"
	conditionNotAllowed = "not-allowed"
)

func open(f Facts, now time.Time) hearing {
	s := f.Sessions
	h := hearing{f: f, now: now, order: make([]int, len(s)), marks: make([]mark, len(s)), limits: limitsOf(&f), chosen: -1}
	for i := range h.order {
		h.order[i] = i
	}
	slices.SortFunc(h.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(s[a].Generation, s[b].Generation), cmp.Compare(s[a].Resource, s[b].Resource))
	})
	h.exemptions()
	return h
}

// exemptions finds out who is exempt.
func (h *hearing) exemptions() {
	exempt := h.f.Rule.Exempt
	if len(exempt) == 0 {
		return
	}
	n := &h.f.Newcomer
	h.exempt = exempt.fits(h.f.subject(n.Resource, n.Client, n.IP, n.DeviceID, n.Registered))
	for i := range h.f.Sessions {
		s := &h.f.Sessions[i]
		h.marks[i].exempt = exempt.fits(h.f.subject(s.Resource, s.Client, s.IP, s.DeviceID, s.Registered))
	}
}

// newDevice keeps out a device that was never admitted, where that needs a grant. Who comes to the resource of a session that is dead is its device.
func (h *hearing) newDevice() ruling {
	n := &h.f.Newcomer
	if !h.f.Rule.RequireGrant || n.Known || n.Grant {
		return ruling{outcome: Allow}
	}
	its := func(i int) bool {
		return n.Party != NoParty && n.Identity != Certain && h.f.Sessions[i].Party == n.Party
	}
	if h.any(func(i int) bool { return its(i) && h.dead(&h.f.Sessions[i]) }) {
		return ruling{outcome: Allow}
	}
	r := ruling{outcome: Denied, code: CodeGrantRequired, field: fieldRequireGrant}
	for i := range h.f.Sessions {
		if its(i) && askable(&h.f.Sessions[i]) {
			h.marks[i].probed = true
			r.outcome = Need
		}
	}
	return r
}

// ownDevice lets the newcomer replace earlier sessions of its own device, where that is known for certain.
func (h *hearing) ownDevice() {
	n := &h.f.Newcomer
	if n.Device == 0 || n.Identity != Certain || n.Cloned {
		return
	}
	for i := range h.f.Sessions {
		if h.f.Sessions[i].Device == n.Device {
			h.marks[i].goes = byOwnDevice
		}
	}
}

// choose lets the session go that the newcomer's user chose.
func (h *hearing) choose() {
	if h.f.Rule.OnExcess != Choose || h.f.Newcomer.Chosen == 0 {
		return
	}
	for i := range h.f.Sessions {
		if s, m := &h.f.Sessions[i], &h.marks[i]; s.Generation == h.f.Newcomer.Chosen && m.goes == stays && !m.exempt {
			m.goes, h.chosen = byChoice, i
		}
	}
}

// sameResource judges the sessions that have the very resource the newcomer wants. An exempt one does not go for it while it lives.
func (h *hearing) sameResource() ruling {
	r := ruling{outcome: Allow, code: CodeSameResource, field: fieldSameResource}
	replace := h.f.Rule.SameResource != DenySameResource || h.f.Newcomer.Grant
	if replace {
		r.field = fieldExempt // nothing else stands in the way then
	}
	for i := range h.f.Sessions {
		s, m := &h.f.Sessions[i], &h.marks[i]
		switch {
		case m.goes != stays || s.Resource != h.f.Newcomer.Resource:
		case replace && !m.exempt || h.ghost(s):
			m.goes = bySameResource
		case askable(s):
			m.asked = true
			if r.outcome == Allow {
				r.outcome = Need
			}
		default:
			m.bars = true
			r.outcome = Denied
		}
	}
	return r
}

// close turns the marks and the ruling into the decision.
func (h *hearing) close(r ruling) Decision {
	if r.outcome == Allow {
		r.code, r.field = h.allowed()
	}
	h.ruling = r
	d := Decision{Outcome: r.outcome, Code: r.code, Field: r.field, Level: h.level(r.field), Shadow: h.f.shadow()}
	switch r.outcome {
	case Denied:
		d.Condition = h.stanzaError()
		d.InTheWay = h.generations(func(m mark) bool { return m.bars })
		d.RetryAfter = (h.retryAfter + time.Second - 1).Truncate(time.Second)
	case Need:
		d.Probe = h.generations(func(m mark) bool { return m.asked || m.probed })
	case Allow:
		if !d.Shadow {
			d.Evict = h.generations(func(m mark) bool { return m.goes != stays })
			h.sort(&d)
		}
	}
	d.Explanation = h.explain()
	return d
}

// stanzaError is what a denied client gets.
func (h *hearing) stanzaError() string {
	switch h.code {
	case CodeBlocked:
		return conditionNotAllowed
	case CodeSameResource:
		return conditionConflict
	}
	return cmp.Or(h.f.Rule.DenyCondition, conditionConstraint)
}

// sort tells those who go by what they leave behind.
func (h *hearing) sort(d *Decision) {
	if len(d.Evict) == 0 {
		return
	}
	for _, i := range h.order {
		switch m, generation := h.marks[i], h.f.Sessions[i].Generation; {
		case m.goes == stays || h.gone(i):
		case m.goes == byOwnDevice:
			d.Replaced = append(d.Replaced, generation)
		default:
			d.Displaced = append(d.Displaced, generation)
		}
	}
}

// allowed says in one word what an admission is, and which field made others go for it: the resource before a limit, a narrow limit
// before a wide one.
func (h *hearing) allowed() (Code, string) {
	code, field := CodeOK, ""
	first := len(h.limits)
	for _, i := range h.order {
		switch m := h.marks[i]; m.goes {
		case stays:
		case byOwnDevice:
			if code == CodeOK {
				code = CodeOwnReconnect
			}
		case byChoice:
			return CodeTakeover, fieldOnExcess
		case bySameResource:
			if h.returns {
				return CodeOwnReconnect, fieldSameResource
			}
			return CodeTakeover, fieldSameResource
		case byLimit:
			if code = CodeTakeover; m.limit < first {
				first, field = m.limit, h.limits[m.limit].field
			}
		}
	}
	return code, field
}

func (h *hearing) generations(is func(mark) bool) []int64 {
	n := 0
	for _, m := range h.marks {
		if is(m) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	gens := make([]int64, 0, n)
	for _, i := range h.order {
		if is(h.marks[i]) {
			gens = append(gens, h.f.Sessions[i].Generation)
		}
	}
	return slices.Compact(gens)
}

func (h *hearing) level(field string) Level {
	return cmp.Or(h.f.Rule.Origin[field], LevelDefault)
}

// ghost reports whether a session holds its place against a newcomer in name only: it did not answer a probe, or it hibernates and that does
// not count.
func (h *hearing) ghost(s *Session) bool {
	switch s.Verdict {
	case Alive:
		return false
	case Silent:
		return true
	}
	return (s.State == Hibernating || s.Verdict == Asleep) && !h.f.Rule.HibernatingCounts
}

// askable reports whether a probe can still tell something: one that is binding has nothing to answer with yet.
func askable(s *Session) bool { return s.State == Active && s.Verdict == Unprobed }

func platformOf(name string) string { return cmp.Or(name, unknownPlatform) }
