package rules

import "time"

// Overdue judges the ages and idle times of an account's sessions, when nobody logs in: it is Allow if none is over max_session_age_seconds or
// max_idle_seconds, else Denied with the code limit (no other of the codes fits better) and that field, and Evict names those that are. Times are f's own: where LastSeenAt may be from long ago, take
// MaxIdleSeconds out of f.Rule, and nobody is found idle. f.Newcomer is not looked at.
//
// A session that is binding or exempt does not go; a rule that is not enforced makes nobody go, and the explanation tells who would.
func Overdue(f Facts, now time.Time) Decision {
	f.Rule.MaxSessions, f.Rule.MaxPerPlatform, f.Rule.Exclusive = nil, nil, nil
	h := open(f, now)
	h.ruling = ruling{outcome: Allow, code: CodeOK}
	t := &story{}
	h.tellLive(t)
	h.tellExemptSessions(t)
	h.tooLong(t, fieldMaxAge, f.Rule.MaxSessionAgeSeconds, "logged in", func(s *Session) time.Time { return s.StartedAt })
	h.tooLong(t, fieldMaxIdle, f.Rule.MaxIdleSeconds, "idle", func(s *Session) time.Time { return s.LastSeenAt })
	if h.outcome != Allow {
		t.say("Nobody logs in: limit says here that a session's time is over, which clients are told as expired.").end()
	}
	return h.withoutNewcomer(t)
}

// tooLong makes those go for whom it is longer than most seconds since a time; nil is no limit.
func (h *hearing) tooLong(t *story, field string, most *int, what string, since func(*Session) time.Time) {
	if most == nil {
		return
	}
	gone := make(map[int]bool)
	for i := range h.f.Sessions {
		s := &h.f.Sessions[i]
		if h.standing(i) && s.State != Binding && !since(s).IsZero() && h.now.Sub(since(s)) >= time.Duration(*most)*time.Second {
			gone[i] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	for i := range gone {
		h.marks[i].goes = byLimit
	}
	if h.outcome == Allow {
		h.ruling = ruling{outcome: Denied, code: CodeLimit, field: field}
	}
	t.say("For ").number(int64(*most)).say(" s or longer ").say(what).say(", which ").say(field).say(" ends, ").say(setBy(h.level(field))).say(". ")
	h.tellLeaving(t, func(i int) bool { return gone[i] })
}
