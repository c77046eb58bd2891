package rules

import (
	"slices"
	"time"
)

// Excess judges an account that nobody logs in to, for a rule that has changed: it is Allow if no limit is exceeded, else Denied with the code limit, and
// Evict names those whose end brings the account within all of its limits. f.Newcomer is not looked at. Nobody is probed.
//
// on_excess says who goes: the oldest or the longest idle; with deny and choose who came first stays, so the newest go.
//
// Guarantees: the same answer for any order of f.Sessions; after an enforced decision no limit is exceeded; an exempt session is neither counted nor
// evicted; a rule that is not enforced makes nobody go, and the explanation tells who would.
func Excess(f Facts, now time.Time) Decision {
	h := open(f, now)
	h.exempt = true // nobody comes, so no limit counts a newcomer
	order := h.order
	switch f.Rule.OnExcess {
	case EvictIdle:
		order = h.idlest()
	case Deny, Choose:
		order = slices.Clone(order)
		slices.Reverse(order)
	case EvictOldest:
	}
	first := -1 // the narrowest limit that is exceeded
	before := make([]int, len(h.limits))
	for k := range h.limits {
		before[k] = h.count(k)
		if n := before[k] - h.limits[k].most; n > 0 {
			h.letGo(order, n, k)
			if first < 0 {
				first = k
			}
		}
	}
	if first < 0 {
		h.ruling = ruling{outcome: Allow, code: CodeOK}
	} else {
		h.ruling = ruling{outcome: Denied, code: CodeLimit, field: h.limits[first].field, limit: first}
	}
	t := &story{}
	h.tellLive(t)
	h.tellExemptSessions(t)
	for k := range h.limits {
		h.tellExcess(t, k, before[k])
	}
	return h.withoutNewcomer(t)
}

// withoutNewcomer is the decision that the ruling comes to when nobody logs in.
func (h *hearing) withoutNewcomer(t *story) Decision {
	d := Decision{Outcome: h.outcome, Code: h.code, Field: h.field, Level: h.level(h.field), Shadow: h.f.shadow()}
	switch {
	case h.outcome == Allow:
		t.say("Nobody has to go.").end()
	case h.f.Braked:
		t.say("The link's mode is not enforce: this is recorded only; nobody goes.").end()
	case d.Shadow:
		t.say("The rule is not enforced (enforce is false, ").say(setBy(h.level(fieldEnforce))).say("): this is recorded only; nobody goes.").end()
	default:
		d.Evict = h.generations(func(m mark) bool { return m.goes != stays })
	}
	d.Explanation = t.steps()
	return d
}

func (h *hearing) tellLive(t *story) {
	t.say("Live sessions: ").number(int64(len(h.f.Sessions)))
	if len(h.f.Sessions) > 0 {
		t.say(": ")
		h.name(t, func(int) bool { return true })
	}
	t.say(".").end()
}

// tellExcess tells of one limit, which n sessions were judged by.
func (h *hearing) tellExcess(t *story, k, n int) {
	l := &h.limits[k]
	if n == 0 {
		return
	}
	l.tell(t)
	t.number(int64(n)).say(", ").number(int64(l.most)).say(" allowed (").say(l.field).say(", ").say(setBy(h.level(l.field))).say(")")
	if n <= l.most {
		t.say(": within the limit.").end()
		return
	}
	t.say("; ")
	value, who := h.f.Rule.OnExcess, "the oldest first"
	switch value {
	case EvictIdle:
		who = "the longest idle first"
	case Deny, Choose:
		who = "who came first stays"
	default:
		value = EvictOldest
	}
	h.tellField(t, fieldOnExcess, string(value))
	t.say(": ").say(who).say(". ")
	h.tellLeaving(t, func(i int) bool { return h.marks[i].goes == byLimit && h.marks[i].limit == k })
}

func (h *hearing) tellLeaving(t *story, leaving func(int) bool) {
	if !h.f.shadow() {
		t.say("Goes: ")
	} else {
		t.say("Would go: ")
	}
	h.name(t, leaving)
	t.say(".").end()
}
