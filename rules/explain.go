package rules

import (
	"strconv"
	"time"
)

const (
	maxNamed = 10 // sessions that one step names
	maxRunes = 64 // of a text that somebody else wrote
)

// story is an explanation while it is told: all steps in one buffer, so that it costs few allocations.
type story struct {
	buf  []byte
	ends []int
}

func (t *story) say(s string) *story { t.buf = append(t.buf, s...); return t }

func (t *story) number(n int64) *story { t.buf = strconv.AppendInt(t.buf, n, 10); return t }

// seconds says a time in whole seconds, rounded up.
func (t *story) seconds(d time.Duration) *story {
	return t.number(int64((max(d, 0) + time.Second - 1) / time.Second)).say(" s")
}

// quote says a text that somebody else wrote, with everything escaped that does not print, at most maxRunes of it.
func (t *story) quote(s string) *story { t.buf = appendQuoted(t.buf, s); return t }

func (t *story) end() { t.ends = append(t.ends, len(t.buf)) }

func (t *story) steps() []string {
	all := string(t.buf)
	steps := make([]string, len(t.ends))
	from := 0
	for i, to := range t.ends {
		steps[i] = all[from:to]
		from = to
	}
	return steps
}

func appendQuoted(b []byte, s string) []byte {
	cut := bound(s, maxRunes)
	b = strconv.AppendQuote(b, cut)
	if len(cut) < len(s) {
		b = append(b[:len(b)-1], `…"`...)
	}
	return b
}

// bound returns the first n runes of s at most.
func bound(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// explain tells in plain words how the ruling came about, for the record and for operators.
func (h *hearing) explain() []string {
	t := &story{buf: make([]byte, 0, 768+96*min(len(h.marks), maxNamed)), ends: make([]int, 0, 8)}
	h.tellLogin(t)
	switch h.code {
	case CodeBlocked:
		t.say("The newcomer's device is blocked, whatever the rule says.").end()
	case CodeCondition:
		h.tellCondition(t)
	default:
		h.tellCondition(t)
		h.tellWait(t)
		if h.code == CodeCooldown && h.field == "" {
			break // the wait decided
		}
		h.tellGrant(t)
		if h.code == CodeGrantRequired {
			break
		}
		h.tellDisplaced(t)
		h.tellPlaces(t)
	}
	h.tellOutcome(t)
	return t.steps()
}

// tellPlaces tells whose place the newcomer takes, or does not.
func (h *hearing) tellPlaces(t *story) {
	h.tellOwnDevice(t)
	if h.chosen >= 0 {
		t.say("The newcomer's user chose who goes. ")
		h.tellGoing(t, func(i int) bool { return h.marks[i].goes == byChoice })
	}
	h.tellResource(t)
	if h.code != CodeSameResource {
		h.tellExempt(t)
		h.tellLimits(t)
	}
}

func (h *hearing) tellLogin(t *story) {
	n := &h.f.Newcomer
	t.say("Login on resource ").quote(n.Resource).say(", platform ").quote(platformOf(n.Platform)).say(". Other live sessions: ")
	t.number(int64(len(h.f.Sessions)))
	if len(h.f.Sessions) > 0 {
		t.say(": ")
		h.name(t, func(int) bool { return true })
	}
	t.say(".").end()
}

func (h *hearing) tellOwnDevice(t *story) {
	if h.f.Newcomer.Cloned {
		t.say("Several clients show the id of the newcomer's device: it counts as unknown.").end()
	}
	if !h.any(func(i int) bool { return h.marks[i].goes == byOwnDevice }) {
		return
	}
	t.say("The newcomer's own device, known for certain, replaces its earlier session. ")
	h.tellGoing(t, func(i int) bool { return h.marks[i].goes == byOwnDevice })
}

func (h *hearing) tellResource(t *story) {
	holds := func(i int) bool {
		return h.marks[i].goes != byOwnDevice && h.marks[i].goes != byChoice && h.f.Sessions[i].Resource == h.f.Newcomer.Resource
	}
	if !h.any(holds) {
		return
	}
	t.say("The resource is in use; ")
	value := Replace
	if h.f.Rule.SameResource == DenySameResource {
		value = DenySameResource
	}
	h.tellField(t, fieldSameResource, string(value))
	if h.code == CodeSameResource && h.field == fieldExempt {
		t.say(", but who has it is exempt, ").say(setBy(h.level(fieldExempt)))
	}
	t.say(". ")
	if h.code == CodeSameResource && h.outcome != Allow {
		h.tellInTheWay(t)
		return
	}
	if value == DenySameResource && !h.f.Newcomer.Grant {
		t.say("It ").say(h.ghostly()).say(". ")
	}
	h.tellGoing(t, func(i int) bool { return h.marks[i].goes == bySameResource })
}

// tellExempt says whom no limit concerns.
func (h *hearing) tellExempt(t *story) {
	if h.exempt {
		t.say("No limit counts the newcomer: it is exempt (exempt, ").say(setBy(h.level(fieldExempt))).say(").").end()
	}
	h.tellExemptSessions(t)
}

func (h *hearing) tellExemptSessions(t *story) {
	exempt := func(i int) bool { return h.marks[i].exempt }
	if !h.any(exempt) {
		return
	}
	t.say("Neither counted nor evicted (exempt, ").say(setBy(h.level(fieldExempt))).say("): ")
	h.name(t, exempt)
	t.say(".").end()
}

func (h *hearing) tellLimits(t *story) {
	told := false
	for k := range h.limits {
		l := &h.limits[k]
		going := func(i int) bool { return h.marks[i].goes == byLimit && h.marks[i].limit == k }
		counts := h.countsNewcomer(k)
		if !counts && !h.any(going) {
			continue
		}
		told = true
		l.tell(t)
		h.tellLimit(t, k, counts, going)
	}
	if !told {
		t.say("No limit counts this login.").end()
	}
}

// tellLimit tells of one limit and, if it is exceeded, what comes of it.
func (h *hearing) tellLimit(t *story, k int, newcomer bool, going func(int) bool) {
	n, limit, field := h.counted(k), h.limits[k].most, h.limits[k].field
	t.number(int64(n))
	if newcomer {
		t.say(" with the newcomer, ")
	} else {
		t.say(" now, ")
	}
	t.number(int64(limit)).say(" allowed (").say(field).say(", ").say(setBy(h.level(field))).say(")")
	if n <= limit {
		t.say(": within the limit.").end()
		return
	}
	t.say("; ")
	value := h.f.Rule.OnExcess
	switch value {
	case EvictIdle, Deny, Choose:
	default:
		value = EvictOldest
	}
	h.tellField(t, fieldOnExcess, string(value))
	denies := (value == Deny || value == Choose) && !h.f.Newcomer.Grant && h.chosen < 0
	switch {
	case value == EvictIdle:
		t.say(", the longest idle first. ")
	case denies:
		t.say(". ")
	default:
		t.say(", the oldest first. ")
	}
	switch {
	case h.outcome == Allow && denies:
		t.say("What ").say(h.ghostly()).say(" makes room. ")
		h.tellGoing(t, going)
	case h.outcome == Allow:
		h.tellGoing(t, going)
	case (h.code == CodeLimit || h.code == CodeChoose) && h.limit == k:
		h.tellInTheWay(t)
	case h.code == CodeCooldown, h.code == CodeFrozen:
		h.tellGoing(t, going)
	default:
		t.say("What decides is ").say(h.field).say(".").end()
	}
}

// ghostly says what a session is that holds its place in name only.
func (h *hearing) ghostly() string {
	if h.f.Rule.HibernatingCounts {
		return "does not answer"
	}
	return "hibernates or does not answer"
}

// tellInTheWay names who keeps the newcomer out, or may.
func (h *hearing) tellInTheWay(t *story) {
	if h.outcome == Need {
		t.say("To be asked for a sign of life first: ")
		h.name(t, func(i int) bool { return h.marks[i].asked || h.marks[i].probed })
	} else {
		t.say("In the way: ")
		h.name(t, func(i int) bool { return h.marks[i].bars })
	}
	t.say(".").end()
}

func (h *hearing) tellGoing(t *story, going func(int) bool) {
	switch {
	case !h.any(going):
		t.say("Nobody else is there.").end()
		return
	case h.outcome != Allow, h.f.shadow():
		t.say("Would go: ")
	default:
		t.say("Goes: ")
	}
	h.name(t, going)
	t.say(".").end()
}

func (h *hearing) tellOutcome(t *story) {
	switch h.outcome {
	case Allow:
		t.say("Allowed: ")
	case Need:
		t.say("Undecided until probed: ")
	default:
		t.say("Denied: ")
	}
	t.say(string(h.code))
	if h.outcome == Denied && h.retryAfter > 0 {
		t.say(", to be tried again in ").seconds(h.retryAfter)
	}
	t.say(".").end()
	if h.outcome == Need && (h.code == CodeCooldown || h.code == CodeFrozen) {
		h.tellInTheWay(t)
	}
	switch {
	case h.f.Braked:
		t.say("The link's mode is not enforce: this is recorded only; the newcomer is let in and nobody goes.").end()
	case !h.f.Rule.Enforce:
		t.say("The rule is not enforced (enforce is false, ").say(setBy(h.level(fieldEnforce)))
		t.say("): this is recorded only; the newcomer is let in and nobody goes.").end()
	}
}

func (h *hearing) tellField(t *story, field, value string) {
	t.say(field).say(" is ").say(value).say(", ").say(setBy(h.level(field)))
}

// name lists the sessions for which is holds, lowest generation first.
func (h *hearing) name(t *story, is func(int) bool) {
	n := 0
	for _, i := range h.order {
		if !is(i) {
			continue
		}
		n++
		if n > maxNamed {
			continue
		}
		if n > 1 {
			t.say(", ")
		}
		h.session(t, &h.f.Sessions[i])
	}
	if n > maxNamed {
		t.say(" and ").number(int64(n - maxNamed)).say(" more")
	}
}

func (h *hearing) session(t *story, s *Session) {
	t.quote(s.Resource).say(" (")
	if s.DeviceName != "" {
		t.say("device ").quote(s.DeviceName).say(", ")
	}
	t.say("platform ").quote(platformOf(s.Platform)).say(", ")
	if s.State != "" {
		t.say(bound(string(s.State), maxRunes)).say(", ")
	}
	switch s.Verdict {
	case Alive:
		t.say("answers, ")
	case Silent:
		t.say("does not answer, ")
	case Asleep:
		t.say("found hibernating, ")
	case Unasked:
		t.say("could not be asked for a sign of life, ")
	}
	if !s.LastSeenAt.IsZero() {
		t.say("idle ").number(int64(max(0, h.now.Sub(s.LastSeenAt)) / time.Second)).say(" s, ")
	}
	t.say("generation ").number(s.Generation).say(")")
}

func (h *hearing) any(is func(int) bool) bool {
	for i := range h.marks {
		if is(i) {
			return true
		}
	}
	return false
}

// counted is how many sessions a limit had to judge, with the newcomer.
func (h *hearing) counted(k int) int {
	n := 0
	if h.countsNewcomer(k) {
		n++
	}
	for i, m := range h.marks {
		switch {
		case m.exempt, m.goes == byOwnDevice, m.goes == byChoice, m.goes == bySameResource:
		case m.goes == byLimit && m.limit < k && h.outcome == Allow:
		case h.on(i, k):
			n++
		}
	}
	return n
}

// setBy says where a field comes from.
func setBy(l Level) string {
	switch l {
	case LevelAccount:
		return "set for the account"
	case LevelGroup:
		return "set for the group"
	case LevelDomain:
		return "set for the domain"
	default:
		return "by default"
	}
}
