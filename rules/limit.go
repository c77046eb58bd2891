package rules

import (
	"cmp"
	"slices"
	"strings"
)

// limit is one of the rule's limits: so many sessions at most on its platforms.
type limit struct {
	field     string   // JSON name
	name      string   // what the rule calls its platforms
	platforms []string // nil: all
	most      int
}

// limitsOf lists the rule's limits, the narrow ones first: who goes for a narrow one need not go for a wide one again.
func limitsOf(f *Facts) []limit {
	r := &f.Rule
	limits := make([]limit, 0, len(r.MaxPerPlatform)+len(r.Exclusive)+1)
	for name, n := range r.MaxPerPlatform {
		limits = append(limits, limit{fieldMaxPerPlatform, name, f.expand(name), n})
	}
	for _, set := range r.Exclusive {
		limits = append(limits, limit{fieldExclusive, strings.Join(set, ", "), f.expand(set...), 1})
	}
	if len(limits) > 1 {
		slices.SortFunc(limits, func(a, b limit) int {
			return cmp.Or(cmp.Compare(len(a.platforms), len(b.platforms)), cmp.Compare(a.field, b.field), cmp.Compare(a.name, b.name))
		})
	}
	if r.MaxSessions != nil {
		limits = append(limits, limit{field: fieldMaxSessions, most: *r.MaxSessions})
	}
	return limits
}

// expand puts the platforms of a group in the place of its name; the name stays too, for devices that are registered with it.
func (f *Facts) expand(names ...string) []string {
	if len(names) == 1 && len(f.Groups[names[0]]) == 0 {
		return names
	}
	var out []string
	for _, name := range names {
		out = append(append(out, name), f.Groups[name]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (l *limit) tell(t *story) {
	switch l.field {
	case fieldMaxSessions:
		t.say("In all: ")
	case fieldExclusive:
		t.say("Of the set ").quote(l.name).say(": ")
	default:
		t.say("On platform ").quote(l.name).say(": ")
	}
}

// judgeLimits judges all limits over the sessions that stay so far. One that is asked about its resource counts as gone: if it answers, the
// newcomer is denied anyway.
func (h *hearing) judgeLimits() ruling {
	n := &h.f.Newcomer
	switch e := h.f.Rule.OnExcess; {
	case e == Deny && !n.Grant:
		return h.limitsDeny(CodeLimit)
	case e == Choose && !n.Grant && (h.chosen < 0 || h.choseInVain()):
		return h.limitsDeny(CodeChoose)
	}
	h.limitsEvict()
	return ruling{outcome: Allow}
}

// choseInVain reports whether a limit is exceeded that the chosen session has nothing to do with.
func (h *hearing) choseInVain() bool {
	for k := range h.limits {
		if h.countsNewcomer(k) && h.count(k) > h.limits[k].most && !h.on(h.chosen, k) {
			return true
		}
	}
	return false
}

// limitsEvict brings the account within all of its limits, also those that do not count the newcomer, at the sessions' cost.
func (h *hearing) limitsEvict() {
	order := h.order
	if h.f.Rule.OnExcess == EvictIdle {
		order = h.idlest()
	}
	for k := range h.limits {
		h.letGo(order, h.count(k)-h.limits[k].most, k)
	}
}

// idlest are the sessions, the longest idle first and among those the oldest.
func (h *hearing) idlest() []int {
	s, order := h.f.Sessions, slices.Clone(h.order)
	slices.SortStableFunc(order, func(a, b int) int { return s[a].LastSeenAt.Compare(s[b].LastSeenAt) })
	return order
}

// letGo makes the first n sessions in order go that stand and that a limit concerns.
func (h *hearing) letGo(order []int, n, k int) {
	for _, i := range order {
		if n <= 0 {
			return
		}
		if h.standing(i) && h.on(i, k) {
			h.marks[i].goes, h.marks[i].limit = byLimit, k
			n--
		}
	}
}

// limitsDeny keeps the newcomer out of a full house, unless ghosts can make room for it.
func (h *hearing) limitsDeny(code Code) ruling {
	full := false
	missing := make([]int, len(h.limits))
	for k := range h.limits {
		if h.countsNewcomer(k) {
			missing[k] = h.makeRoom(h.count(k)-h.limits[k].most, k)
			full = full || missing[k] > 0
		}
	}
	if !full {
		return ruling{outcome: Allow}
	}
	// A probe is worth its wait only if there would be room were nobody to answer.
	for k, n := range missing {
		if n > h.askable(k) {
			for i := range h.marks {
				h.marks[i].bars = h.standing(i) && h.on(i, k)
			}
			return ruling{outcome: Denied, code: code, field: h.limits[k].field, limit: k}
		}
	}
	r := ruling{outcome: Need, code: code}
	for i := range h.marks {
		if !h.standing(i) || !askable(&h.f.Sessions[i]) {
			continue
		}
		for k, n := range missing {
			h.marks[i].asked = h.marks[i].asked || n > 0 && h.on(i, k)
		}
	}
	for k, n := range missing {
		if n > 0 {
			r.field, r.limit = h.limits[k].field, k
		}
	}
	return r
}

// askable counts the standing sessions of a limit that a probe can still tell something about.
func (h *hearing) askable(k int) int {
	n := 0
	for i := range h.f.Sessions {
		if h.standing(i) && h.on(i, k) && askable(&h.f.Sessions[i]) {
			n++
		}
	}
	return n
}

// makeRoom lets up to n ghosts of a limit go, hibernating ones first, and returns how many are lacking.
func (h *hearing) makeRoom(n, k int) int {
	for _, hibernating := range [...]bool{true, false} {
		for _, i := range h.order {
			if n <= 0 {
				return 0
			}
			s := &h.f.Sessions[i]
			if h.standing(i) && h.on(i, k) && h.ghost(s) && (s.State == Hibernating) == hibernating {
				h.marks[i].goes, h.marks[i].limit = byLimit, k
				n--
			}
		}
	}
	return max(n, 0)
}

// standing reports whether a session is still counted.
func (h *hearing) standing(i int) bool {
	m := &h.marks[i]
	return m.goes == stays && !m.asked && !m.exempt
}

func (l *limit) concerns(platform string) bool {
	return l.platforms == nil || slices.Contains(l.platforms, platformOf(platform))
}

// on reports whether a limit concerns a session.
func (h *hearing) on(i, k int) bool { return h.limits[k].concerns(h.f.Sessions[i].Platform) }

func (h *hearing) countsNewcomer(k int) bool {
	return !h.exempt && h.limits[k].concerns(h.f.Newcomer.Platform)
}

// count counts the standing sessions of a limit and the newcomer.
func (h *hearing) count(k int) int {
	n := 0
	if h.countsNewcomer(k) {
		n++
	}
	for i := range h.f.Sessions {
		if h.standing(i) && h.on(i, k) {
			n++
		}
	}
	return n
}
