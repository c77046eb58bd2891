package rules

import (
	"cmp"
	"slices"
	"time"
)

// Decide judges a login by its facts. It lets the newcomer in (Allow, with those who go for it), refuses it (Denied), or asks
// for a probe of sessions first (Need); once all of those have a verdict it does not ask again. now serves the explanation only.
//
// A blocked newcomer is denied before anything else is looked at.
//
// Guarantees: the same answer for any order of f.Sessions; the newcomer never goes; after an enforced Allow under an evicting
// on_excess no limit is exceeded; a denial and a rule that is not enforced make nobody go; a session that answered a probe never goes
// in place of a denial.
func Decide(f Facts, now time.Time) Decision {
	h := open(f, now)
	if f.Newcomer.Blocked {
		return h.close(ruling{outcome: Denied, code: CodeBlocked})
	}
	h.ownDevice()
	r := h.sameResource()
	if r.outcome != Denied {
		// Also behind a resource that has to be probed first: one round of probes has to be enough.
		limits := h.limits()
		if r.outcome != Need {
			r = limits
		}
	}
	return h.close(r)
}

// reason says which part of the rule makes a session go.
type reason uint8

const (
	stays reason = iota
	byOwnDevice
	bySameResource
	byPlatformLimit
	bySessionLimit
)

// mark is what the hearing found out about one session.
type mark struct {
	goes  reason
	asked bool // has to be probed
	bars  bool // stands in the way of a denied newcomer
}

// ruling is how one part of the rule, or all of it, comes out.
type ruling struct {
	outcome Outcome
	code    Code
	field   string // JSON name of the field that decided
}

// hearing is one call of Decide.
type hearing struct {
	f     Facts
	now   time.Time
	order []int  // indices of f.Sessions, lowest generation first
	marks []mark // one for each of f.Sessions
	ruling
}

// Field names, as they are in JSON.
const (
	fieldMaxSessions       = "max_sessions"
	fieldMaxPerPlatform    = "max_per_platform"
	fieldOnExcess          = "on_excess"
	fieldSameResource      = "same_resource"
	fieldGhostAfterSeconds = "ghost_after_seconds"
	fieldText              = "text"
	fieldDenyCondition     = "deny_condition"
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
	h := hearing{f: f, now: now, order: make([]int, len(s)), marks: make([]mark, len(s))}
	for i := range h.order {
		h.order[i] = i
	}
	slices.SortFunc(h.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(s[a].Generation, s[b].Generation), cmp.Compare(s[a].Resource, s[b].Resource))
	})
	return h
}

// ownDevice lets the newcomer replace earlier sessions of its own device, where that is known for certain.
func (h *hearing) ownDevice() {
	n := &h.f.Newcomer
	if n.Device == 0 || n.Identity != Certain {
		return
	}
	for i := range h.f.Sessions {
		if h.f.Sessions[i].Device == n.Device {
			h.marks[i].goes = byOwnDevice
		}
	}
}

// sameResource judges the sessions that have the very resource the newcomer wants.
func (h *hearing) sameResource() ruling {
	r := ruling{outcome: Allow, code: CodeSameResource, field: fieldSameResource}
	for i := range h.f.Sessions {
		s, m := &h.f.Sessions[i], &h.marks[i]
		switch {
		case m.goes != stays || s.Resource != h.f.Newcomer.Resource:
		case h.f.Rule.SameResource != DenySameResource || ghost(s):
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

// limits judges max_per_platform and max_sessions over the sessions that stay so far. One that is asked about its resource counts as
// gone: if it answers, the newcomer is denied anyway.
func (h *hearing) limits() ruling {
	if h.f.Rule.OnExcess == Deny {
		return h.limitsDeny()
	}
	h.limitsEvict()
	return ruling{outcome: Allow}
}

// limitsEvict brings the account within all of its limits, also those that do not count the newcomer, at the sessions' cost.
func (h *hearing) limitsEvict() {
	order := h.order
	if h.f.Rule.OnExcess == EvictIdle {
		s := h.f.Sessions
		order = slices.Clone(order)
		slices.SortStableFunc(order, func(a, b int) int { return s[a].LastSeenAt.Compare(s[b].LastSeenAt) })
	}
	// Platforms do not overlap, so the order in which they come is of no matter.
	for platform, limit := range h.f.Rule.MaxPerPlatform {
		h.evict(order, h.count(platform)-limit, platform, byPlatformLimit)
	}
	if h.f.Rule.MaxSessions != nil {
		h.evict(order, h.count("")-*h.f.Rule.MaxSessions, "", bySessionLimit)
	}
}

// evict makes the first n standing sessions of a platform ("": of any) go.
func (h *hearing) evict(order []int, n int, platform string, why reason) {
	for _, i := range order {
		if n <= 0 {
			return
		}
		if h.standing(i) && h.on(i, platform) {
			h.marks[i].goes = why
			n--
		}
	}
}

// limitsDeny keeps the newcomer out of a full house, unless ghosts can make room for it.
func (h *hearing) limitsDeny() ruling {
	platform := platformOf(h.f.Newcomer.Platform)
	var missing, missingHere int
	if limit, ok := h.f.Rule.MaxPerPlatform[platform]; ok {
		missingHere = h.makeRoom(h.count(platform)-limit, platform, byPlatformLimit)
	}
	if h.f.Rule.MaxSessions != nil {
		missing = h.makeRoom(h.count("")-*h.f.Rule.MaxSessions, "", bySessionLimit)
	}
	if missing == 0 && missingHere == 0 {
		return ruling{outcome: Allow}
	}
	// A probe is worth its wait only if there would be room were nobody to answer.
	switch {
	case missingHere > h.askable(platform):
		return h.limitRuling(Denied, platform)
	case missing > h.askable(""):
		return h.limitRuling(Denied, "")
	case missing > 0:
		return h.limitRuling(Need, "") // the platform's own are among them
	default:
		return h.limitRuling(Need, platform)
	}
}

// limitRuling marks who stands in the way of the limit of a platform ("": max_sessions).
func (h *hearing) limitRuling(outcome Outcome, platform string) ruling {
	r := ruling{outcome: outcome, code: CodeLimit, field: fieldMaxPerPlatform}
	if platform == "" {
		r.field = fieldMaxSessions
	}
	for i := range h.f.Sessions {
		if !h.standing(i) || !h.on(i, platform) {
			continue
		}
		m := &h.marks[i]
		m.asked = outcome == Need && askable(&h.f.Sessions[i])
		m.bars = !m.asked
	}
	return r
}

// askable counts the standing sessions of a platform ("": of any) that a probe can still tell something about.
func (h *hearing) askable(platform string) int {
	n := 0
	for i := range h.f.Sessions {
		if h.standing(i) && h.on(i, platform) && askable(&h.f.Sessions[i]) {
			n++
		}
	}
	return n
}

// makeRoom lets up to n ghosts of a platform ("": of any) go, hibernating ones first, and returns how many are lacking.
func (h *hearing) makeRoom(n int, platform string, why reason) int {
	for _, hibernating := range [...]bool{true, false} {
		for _, i := range h.order {
			if n <= 0 {
				return 0
			}
			s := &h.f.Sessions[i]
			if h.standing(i) && h.on(i, platform) && ghost(s) && (s.State == Hibernating) == hibernating {
				h.marks[i].goes = why
				n--
			}
		}
	}
	return max(n, 0)
}

// standing reports whether a session is still counted.
func (h *hearing) standing(i int) bool { return h.marks[i].goes == stays && !h.marks[i].asked }

// on reports whether a session is of a platform ("": of any).
func (h *hearing) on(i int, platform string) bool {
	return platform == "" || platformOf(h.f.Sessions[i].Platform) == platform
}

// count counts the standing sessions of a platform ("": of any) and the newcomer.
func (h *hearing) count(platform string) int {
	n := 0
	if platform == "" || platform == platformOf(h.f.Newcomer.Platform) {
		n++
	}
	for i := range h.f.Sessions {
		if h.standing(i) && h.on(i, platform) {
			n++
		}
	}
	return n
}

// close turns the marks and the ruling into the decision.
func (h *hearing) close(r ruling) Decision {
	if r.outcome == Allow {
		r.code, r.field = h.allowed()
	}
	h.ruling = r
	d := Decision{Outcome: r.outcome, Code: r.code, Level: h.level(r.field), Shadow: !h.f.Rule.Enforce}
	switch r.outcome {
	case Denied:
		switch r.code {
		case CodeLimit:
			d.Condition = cmp.Or(h.f.Rule.DenyCondition, conditionConstraint)
		case CodeBlocked:
			d.Condition = conditionNotAllowed
		default:
			d.Condition = conditionConflict
		}
	case Need:
		d.Probe = h.generations(func(m mark) bool { return m.asked })
	case Allow:
		if !d.Shadow {
			d.Evict = h.generations(func(m mark) bool { return m.goes != stays })
		}
	}
	d.Explanation = h.explain()
	return d
}

// allowed says in one word what an admission is, and which field made others go for it: the resource before a limit.
func (h *hearing) allowed() (Code, string) {
	const nobody = reason(0xff)
	first, code := nobody, CodeOK
	for _, m := range h.marks {
		switch m.goes {
		case stays:
		case byOwnDevice:
			code = CodeOwnReconnect
		default:
			first = min(first, m.goes)
		}
	}
	switch first {
	case bySameResource:
		return CodeTakeover, fieldSameResource
	case byPlatformLimit:
		return CodeTakeover, fieldMaxPerPlatform
	case bySessionLimit:
		return CodeTakeover, fieldMaxSessions
	default:
		return code, ""
	}
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

// ghost reports whether a session holds its place against a newcomer in name only: it hibernates, or did not answer a probe.
func ghost(s *Session) bool {
	return s.Verdict != Alive && (s.State == Hibernating || s.Verdict == Silent)
}

// askable reports whether a probe can still tell something: one that is binding has nothing to answer with yet.
func askable(s *Session) bool { return s.State == Active && s.Verdict == Unprobed }

func platformOf(name string) string { return cmp.Or(name, unknownPlatform) }
