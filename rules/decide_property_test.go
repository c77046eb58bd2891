package rules

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var platforms = []string{"ios", "android", "web", "unknown", ""}

var conditions Conditions

// anyFacts draws facts from few names, so that they collide; some have a history of takeovers.
func anyFacts(t *rapid.T) Facts {
	f := calmFacts(t)
	f.Newcomer.Known = rapid.IntRange(0, 3).Draw(t, "known") > 0
	f.Newcomer.Cloned = rapid.IntRange(0, 9).Draw(t, "cloned") == 0
	f.Newcomer.Grant = rapid.IntRange(0, 4).Draw(t, "grant") == 0
	if rapid.IntRange(0, 9).Draw(t, "waits") == 0 {
		f.WaitUntil = eight.Add(time.Duration(rapid.IntRange(-5, 30).Draw(t, "wait")) * time.Second)
	}
	f.Rule.RequireGrant = rapid.IntRange(0, 4).Draw(t, "require_grant") == 0
	if rapid.Bool().Draw(t, "displaced") {
		f.Displaced = anyDisplacement(t, f)
	}
	f.Rule.TakeoverCooldownSeconds = rapid.SampledFrom([]int{0, 30, 30, 60}).Draw(t, "cooldown")
	if n := 40; rapid.IntRange(0, 3).Draw(t, "cooldown_max") == 0 {
		f.Rule.TakeoverCooldownMaxSeconds = &n
	}
	if len(f.Sessions) > 0 && rapid.IntRange(0, 3).Draw(t, "chooses") == 0 {
		f.Newcomer.Chosen = rapid.SampledFrom(f.Sessions).Draw(t, "chosen").Generation
	}
	return f
}

func anyDisplacement(t *rapid.T, f Facts) *Displacement {
	ago := func(label string, most int) time.Time {
		return eight.Add(-time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Second)
	}
	d := &Displacement{
		Party: f.Newcomer.Party, Winner: rapid.Int64Range(0, 60).Draw(t, "winner"), Own: rapid.Bool().Draw(t, "own"), At: ago("at", 50), SilentSince: ago("silent", 50),
		LongestGap: time.Duration(rapid.IntRange(0, 20).Draw(t, "gap")) * time.Second,
	}
	if len(f.Sessions) > 0 && rapid.IntRange(0, 4).Draw(t, "winner lives") > 0 {
		d.Winner = rapid.SampledFrom(f.Sessions).Draw(t, "winner").Generation
	}
	for range rapid.IntRange(0, 3).Draw(t, "turns") {
		d.Turns = append(d.Turns, ago("turn", 900))
	}
	if rapid.IntRange(0, 4).Draw(t, "frozen") == 0 {
		d.FrozenUntil = eight.Add(time.Duration(rapid.IntRange(-5, 300).Draw(t, "until")) * time.Second)
	}
	return d
}

// party is who somebody is with a device or without.
func party(device int64, resource string) Party {
	if device != 0 {
		return Party(device)
	}
	return Party(resource[0])
}

// calmFacts draws facts of an account without a history.
func calmFacts(t *rapid.T) Facts {
	resource := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	platform := rapid.SampledFrom(platforms)
	identity := rapid.SampledFrom([]Identity{Certain, Probable, UnknownIdentity})
	ip := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "::ffff:198.51.100.7"})
	f := Facts{
		Account: "alice@example.org",
		Newcomer: Newcomer{
			Resource: resource.Draw(t, "resource"), Platform: platform.Draw(t, "platform"),
			Identity: identity.Draw(t, "identity"), Device: rapid.Int64Range(0, 3).Draw(t, "device"), IP: ip.Draw(t, "ip"),
			Secure: rapid.IntRange(0, 9).Draw(t, "secure") > 0,
		},
		Rule:   anyRule(t),
		Groups: ShippedPlatforms().Groups,

		Condition: conditions.Get("session.secure"),
	}
	f.Newcomer.Party = party(f.Newcomer.Device, f.Newcomer.Resource)
	gens := rapid.SliceOfNDistinct(rapid.Int64Range(1, 60), 0, 9, rapid.ID[int64]).Draw(t, "generations")
	for _, g := range gens {
		f.Sessions = append(f.Sessions, Session{
			Generation: g, Resource: resource.Draw(t, "resource"), Platform: platform.Draw(t, "platform"),
			Device: rapid.Int64Range(0, 3).Draw(t, "device"), Identity: identity.Draw(t, "identity"), IP: ip.Draw(t, "ip"),
			State:      rapid.SampledFrom([]State{Binding, Active, Active, Hibernating}).Draw(t, "state"),
			Verdict:    rapid.SampledFrom([]Verdict{Unprobed, Unprobed, Alive, Silent, Asleep, Unasked}).Draw(t, "verdict"),
			LastSeenAt: eight.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "idle")) * time.Second),
		})
		s := &f.Sessions[len(f.Sessions)-1]
		s.Party = party(s.Device, s.Resource)
	}
	return f
}

func anyRule(t *rapid.T) Effective {
	var r Rule
	if n := rapid.IntRange(0, 6).Draw(t, "max_sessions"); n > 0 {
		r.MaxSessions = Of(&n)
	}
	limits := map[string]int{}
	for _, p := range []string{"ios", "android", "web", "unknown", "mobile"} {
		if n := rapid.IntRange(0, 3).Draw(t, "max "+p); n > 0 {
			limits[p] = n
		}
	}
	r.MaxPerPlatform = Of(limits)
	// Each set within the next or apart from it: where limits overlap otherwise, who goes for one may spare, or cost, who goes for the other.
	r.Exclusive = Of(rapid.SliceOfN(rapid.SampledFrom([][]string{{"ios"}, {"android", "ios"}, {"mobile"}, {"web"}, {"mobile", "web", "unknown"}}), 0, 2).Draw(t, "exclusive"))
	if rapid.IntRange(0, 2).Draw(t, "exempt") == 0 {
		r.Exempt = Of(Matchers{{CIDR: "198.51.100.0/24"}})
	}
	if secure := "session.secure"; rapid.Bool().Draw(t, "condition") {
		r.Condition = Of(&secure)
	}
	r.HibernatingCounts = Of(rapid.Bool().Draw(t, "hibernating_counts"))
	r.OnExcess = Of(rapid.SampledFrom([]OnExcess{EvictOldest, EvictIdle, Deny, Deny, Choose}).Draw(t, "on_excess"))
	r.SameResource = Of(rapid.SampledFrom([]SameResource{Replace, DenySameResource}).Draw(t, "same_resource"))
	r.DenyCondition = Of(rapid.SampledFrom([]string{"conflict", "resource-constraint"}).Draw(t, "deny_condition"))
	r.Enforce = Of(rapid.IntRange(0, 4).Draw(t, "enforce") > 0)
	return Merge(LevelRule{LevelAccount, r})
}

// overLimit names the limit that the sessions that are left and the newcomer exceed, or nothing. onlyNewcomers leaves out the limits
// that do not count the newcomer.
func overLimit(f Facts, gone []int64, onlyNewcomers bool) string {
	var newcomer string
	var counted []string // platforms
	if !exempt(f, f.Newcomer.IP) {
		newcomer = platformOf(f.Newcomer.Platform)
		counted = append(counted, newcomer)
	}
	for _, s := range f.Sessions {
		if !slices.Contains(gone, s.Generation) && !exempt(f, s.IP) {
			counted = append(counted, platformOf(s.Platform))
		}
	}
	over := func(most int, of ...string) bool {
		in := func(p string) bool {
			return slices.ContainsFunc(of, func(name string) bool { return name == p || slices.Contains(f.Groups[name], p) })
		}
		n := 0
		for _, p := range counted {
			if in(p) {
				n++
			}
		}
		return n > most && (!onlyNewcomers || in(newcomer))
	}
	if f.Rule.MaxSessions != nil && len(counted) > *f.Rule.MaxSessions && (!onlyNewcomers || newcomer != "") {
		return "max_sessions"
	}
	for platform, limit := range f.Rule.MaxPerPlatform {
		if over(limit, platform) {
			return platform
		}
	}
	for _, set := range f.Rule.Exclusive {
		if over(1, set...) {
			return "exclusive"
		}
	}
	return ""
}

func exempt(f Facts, ip string) bool { return len(f.Rule.Exempt) > 0 && ip == "::ffff:198.51.100.7" }

func find(f Facts, generation int64) (Session, bool) {
	i := slices.IndexFunc(f.Sessions, func(s Session) bool { return s.Generation == generation })
	if i < 0 {
		return Session{}, false
	}
	return f.Sessions[i], true
}

// own reports whether a session is an earlier one of the newcomer's device, known for certain. d is the decision: it may have found out that it is not.
func own(f Facts, d Decision, s Session) bool {
	return !f.Newcomer.Cloned && !d.Cloned && f.Newcomer.Identity == Certain && f.Newcomer.Device != 0 && s.Device == f.Newcomer.Device
}

// chosen reports whether the newcomer's user chose a session that can be chosen.
func chosen(f Facts, d Decision) bool {
	s, ok := find(f, f.Newcomer.Chosen)
	return f.Rule.OnExcess == Choose && ok && !own(f, d, s) && !exempt(f, s.IP)
}

// refuses reports whether a full house keeps the newcomer out.
func refuses(f Facts, d Decision) bool {
	return !f.Newcomer.Grant && (f.Rule.OnExcess == Deny || f.Rule.OnExcess == Choose && (!chosen(f, d) || d.Outcome == Denied && !slices.Contains(d.InTheWay, f.Newcomer.Chosen)))
}

func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	t.Parallel()
	rapid.Check(t, property)
}

func TestNeverOverALimitAfterAnEnforcedAllow(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		if d.Outcome != Allow || d.Shadow {
			return
		}
		if over := overLimit(f, d.Evict, refuses(f, d)); over != "" {
			t.Fatalf("over %s after %+v", over, d)
		}
	})
}

func TestOnlySessionsOfTheFactsGoEachOnceAscending(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		for _, named := range [][]int64{d.Evict, d.Probe} {
			for i, g := range named {
				if _, ok := find(f, g); !ok || i > 0 && named[i-1] >= g {
					t.Fatalf("%v of %+v", named, f.Sessions)
				}
			}
		}
	})
}

func TestAnyOrderOfSessionsGetsTheSameAnswer(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		other := f
		other.Sessions = rapid.Permutation(f.Sessions).Draw(t, "order")
		before := slices.Clone(f.Sessions)
		if diff := cmp.Diff(Decide(f, eight), Decide(other, eight)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, f.Sessions); diff != "" {
			t.Fatalf("facts were changed: %s", diff)
		}
	})
}

// Raising or lifting a limit may turn a denial into an admission, for which a ghost goes; it never costs an admission more sessions, and never
// turns one into anything else.
func TestRaisingALimitNeverEvictsMore(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := calmFacts(t)
		low := Decide(f, eight)
		raised := f
		raised.Rule.MaxPerPlatform = map[string]int{}
		for p, n := range f.Rule.MaxPerPlatform {
			if n += rapid.IntRange(0, 2).Draw(t, "more"); n < 5 {
				raised.Rule.MaxPerPlatform[p] = n
			}
		}
		if f.Rule.MaxSessions != nil {
			n := *f.Rule.MaxSessions + rapid.IntRange(0, 3).Draw(t, "more")
			raised.Rule.MaxSessions = &n
			if n > 6 {
				raised.Rule.MaxSessions = nil
			}
		}
		high := Decide(raised, eight)
		if low.Outcome == Allow && (high.Outcome != Allow || len(high.Evict) > len(low.Evict)) {
			t.Fatalf("low %+v\nhigh %+v", low, high)
		}
		if low.Outcome == Need && high.Outcome == Denied {
			t.Fatalf("low %+v\nhigh %+v", low, high)
		}
	})
}

func TestADenialOrAShadowEvictsNobody(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		if d.Shadow == f.Rule.Enforce || (d.Shadow || d.Outcome != Allow) && len(d.Evict) > 0 {
			t.Fatalf("%+v", d)
		}
		f.Rule.Enforce = !f.Rule.Enforce
		if other := Decide(f, eight); other.Outcome != d.Outcome || other.Code != d.Code || other.Level != d.Level || !slices.Equal(other.Probe, d.Probe) {
			t.Fatalf("enforced and not:\n%+v\n%+v", d, other)
		}
	})
}

// Who is new, or comes back to a device that is in already, is looked at first; then one round has to do for all the rest.
func TestTwoRoundsOfProbesAreEnough(t *testing.T) {
	check(t, func(t *rapid.T) {
		f, rounds := anyFacts(t), 2
		if rapid.Bool().Draw(t, "calm") {
			f.Displaced, f.Rule.RequireGrant, rounds = nil, false, 1
		}
		for round := range rounds + 1 {
			d := Decide(f, eight)
			if (d.Outcome == Need) != (len(d.Probe) > 0) || d.Outcome == Need && round == rounds {
				t.Fatalf("round %d: %+v", round, d)
			}
			for _, g := range d.Probe {
				if s, _ := find(f, g); s.State != Active || s.Verdict != Unprobed {
					t.Fatalf("probes %+v", s)
				}
			}
			for i := range f.Sessions {
				if slices.Contains(d.Probe, f.Sessions[i].Generation) {
					f.Sessions[i].Verdict = rapid.SampledFrom([]Verdict{Alive, Silent, Asleep, Unasked}).Draw(t, "verdict")
				}
			}
		}
	})
}

func TestEveryOutcomeHasItsParts(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		if len(d.Explanation) == 0 || slices.Contains(d.Explanation, "") || d.Code == "" || d.Level == "" {
			t.Fatalf("%+v", d)
		}
		if (d.Outcome == Denied) != (d.Condition != "") || d.Code == CodeSameResource && d.Outcome == Denied && d.Condition != "conflict" {
			t.Fatalf("%+v", d)
		}
		ownGoes, otherGoes := false, false
		for _, g := range d.Evict {
			s, _ := find(f, g)
			ownGoes, otherGoes = ownGoes || own(f, d, s), otherGoes || !own(f, d, s)
		}
		want := CodeOK
		switch {
		case otherGoes:
			want = CodeTakeover
		case ownGoes:
			want = CodeOwnReconnect
		}
		if w, ok := find(f, winnerOf(f)); want == CodeTakeover && d.Code == CodeOwnReconnect && ok && slices.Contains(d.Evict, w.Generation) && w.Party == f.Newcomer.Party && len(d.Displaced) == 0 {
			return // the winner came back
		}
		if d.Outcome == Allow && !d.Shadow && d.Code != want {
			t.Fatalf("want %s: %+v", want, d)
		}
	})
}

func TestWhatAnswersIsNotEvictedWhereTheNewcomerCouldBeDenied(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Rule.OnExcess, f.Rule.SameResource, f.Newcomer.Grant = Deny, DenySameResource, false
		d := Decide(f, eight)
		for _, g := range d.Evict {
			if s, _ := find(f, g); !own(f, d, s) && (s.Verdict == Alive || s.Verdict != Silent && (f.Rule.HibernatingCounts || s.State != Hibernating && s.Verdict != Asleep)) {
				t.Fatalf("evicts %+v: %+v", s, d)
			}
		}
	})
}

func TestADenialGoesNoFurtherThanItsReason(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		if d.Outcome != Denied || d.Code != CodeLimit && d.Code != CodeChoose {
			return
		}
		if !refuses(f, d) || (d.Code == CodeChoose) != (f.Rule.OnExcess == Choose) || len(d.InTheWay) == 0 {
			t.Fatalf("denied under %s: %+v", f.Rule.OnExcess, d)
		}
		// Everybody goes who may go at all: still over a limit.
		var gone []int64
		for _, s := range f.Sessions {
			h := hearing{f: f}
			if own(f, d, s) || h.ghost(&s) || s.Resource == f.Newcomer.Resource {
				gone = append(gone, s.Generation)
			}
		}
		if overLimit(f, gone, true) == "" {
			t.Fatalf("there was room: %+v", d)
		}
	})
}

// Under an evicting on_excess, whoever goes for max_sessions alone is older, or longer idle, than whoever stays.
func TestTheRightOnesGo(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Rule.MaxPerPlatform, f.Rule.Exclusive, f.Rule.SameResource, f.Rule.Enforce = nil, nil, Replace, true
		d := Decide(f, eight)
		if refuses(f, d) || chosen(f, d) || d.Outcome != Allow {
			return
		}
		for _, gone := range f.Sessions {
			if !slices.Contains(d.Evict, gone.Generation) || own(f, d, gone) || gone.Resource == f.Newcomer.Resource {
				continue
			}
			for _, stays := range f.Sessions {
				if slices.Contains(d.Evict, stays.Generation) || exempt(f, stays.IP) {
					continue
				}
				wrong := stays.Generation < gone.Generation
				if f.Rule.OnExcess == EvictIdle && !stays.LastSeenAt.Equal(gone.LastSeenAt) {
					wrong = stays.LastSeenAt.Before(gone.LastSeenAt)
				}
				if wrong {
					t.Fatalf("%+v goes, %+v stays", gone, stays)
				}
			}
		}
	})
}

// No more go than the excess asks for.
func TestNobodyGoesWithoutNeed(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Rule.SameResource = Replace
		d := Decide(f, eight)
		if d.Outcome != Allow {
			return
		}
		for _, g := range d.Evict {
			s, _ := find(f, g)
			if own(f, d, s) || s.Resource == f.Newcomer.Resource || chosen(f, d) && g == f.Newcomer.Chosen {
				continue
			}
			without := slices.DeleteFunc(slices.Clone(d.Evict), func(other int64) bool { return other == g })
			if overLimit(f, without, refuses(f, d)) == "" {
				t.Fatalf("%d need not go: %+v", g, d)
			}
		}
	})
}

func TestAnExemptSessionIsNeverEvicted(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Rule.Exempt = Matchers{{CIDR: "198.51.100.0/24"}}
		d := Decide(f, eight)
		h := hearing{f: f}
		for _, g := range d.Evict {
			s, _ := find(f, g)
			if exempt(f, s.IP) && !own(f, d, s) && (s.Resource != f.Newcomer.Resource || !h.ghost(&s)) {
				t.Fatalf("evicts the exempt %+v: %+v", s, d)
			}
		}
		if exempt(f, f.Newcomer.IP) && (d.Code == CodeLimit || d.Code == CodeChoose) {
			t.Fatalf("denies an exempt newcomer: %+v", d)
		}
	})
}

// What is exempt makes no difference to the others.
func TestExemptSessionsAreNotCounted(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := calmFacts(t)
		f.Rule.Exempt = Matchers{{CIDR: "198.51.100.0/24"}}
		d := Decision{}
		without := f
		without.Sessions = nil
		for _, s := range f.Sessions {
			if !exempt(f, s.IP) {
				without.Sessions = append(without.Sessions, s)
			} else if own(f, d, s) || s.Resource == f.Newcomer.Resource {
				return
			}
		}
		a, b := Decide(f, eight), Decide(without, eight)
		if a.Outcome != b.Outcome || a.Code != b.Code || !slices.Equal(a.Evict, b.Evict) || !slices.Equal(a.Probe, b.Probe) {
			t.Fatalf("with them %+v\nwithout %+v", a, b)
		}
	})
}

func TestTheConditionDecidesFirst(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		if fails := f.Rule.Condition != nil && !f.Newcomer.Secure; (d.Code == CodeCondition) != fails || fails && d.Outcome != Denied {
			t.Fatalf("%+v", d)
		}
	})
}
