package rules

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func winnerOf(f Facts) int64 {
	if f.Displaced == nil {
		return 0
	}
	return f.Displaced.Winner
}

// comes is what becomes of a login when every session that is asked answers, or none does.
func comes(f Facts, now time.Time, verdict Verdict) Decision {
	f.Sessions = slices.Clone(f.Sessions)
	for {
		d := Decide(f, now)
		if d.Outcome != Need {
			return d
		}
		for i := range f.Sessions {
			if slices.Contains(d.Probe, f.Sessions[i].Generation) {
				f.Sessions[i].Verdict = verdict
			}
		}
	}
}

func TestTheProtectionNeverOutlivesItsWinner(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if f.Displaced == nil {
			f.Displaced = anyDisplacement(t, f)
		}
		f.Sessions = slices.DeleteFunc(f.Sessions, func(s Session) bool { return s.Generation == f.Displaced.Winner })
		with := Decide(f, eight)
		f.Displaced = nil
		without := Decide(f, eight)
		if with.Outcome != without.Outcome || with.Code != without.Code || !slices.Equal(with.Evict, without.Evict) || !slices.Equal(with.Probe, without.Probe) {
			t.Fatalf("with %+v\nwithout %+v", with, without)
		}
	})
}

// While it has to wait and its winner answers, a displaced party makes nobody go who lives.
func TestADisplacedPartyMakesNobodyGoWhoLives(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if f.Displaced == nil || f.Newcomer.Grant || f.Rule.TakeoverCooldownSeconds == 0 || f.Displaced.Own {
			return
		}
		f.Newcomer.Chosen, f.Rule.TakeoverCooldownMaxSeconds, f.Displaced.SilentSince = 0, nil, eight.Add(-29*time.Second)
		d := comes(f, eight, Alive)
		w, lives := find(f, f.Displaced.Winner)
		if !lives || w.State == Hibernating || w.Verdict == Silent || w.Verdict == Asleep || w.Verdict == Unasked || d.Outcome != Allow {
			return
		}
		for _, g := range d.Evict {
			s, _ := find(f, g)
			dead := s.Verdict == Silent || s.Party == f.Newcomer.Party && (s.State == Hibernating && s.Verdict == Unprobed || s.Verdict == Asleep)
			if !dead && !own(f, d, s) {
				t.Fatalf("%d goes: %+v", g, d)
			}
		}
	})
}

func TestAGrantIsEnough(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Newcomer.Grant, f.Rule.Condition, f.Rule.Exempt = true, nil, nil
		if d := Decide(f, eight); d.Outcome != Allow {
			t.Fatalf("%+v", d)
		}
	})
}

// Who is told when to come again, and is silent until then, is not kept out for that reason any more.
func TestRetryAfterIsTrue(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if f.Displaced == nil {
			f.Displaced = anyDisplacement(t, f)
		}
		d := comes(f, eight, Alive)
		if d.Code != CodeCooldown && d.Code != CodeFrozen {
			if d.RetryAfter != 0 {
				t.Fatalf("%+v", d)
			}
			return
		}
		if d.RetryAfter <= 0 || d.RetryAfter%time.Second != 0 {
			t.Fatalf("%+v", d)
		}
		p := Protection{Displaced: []Displacement{*f.Displaced}}
		p.Attempt(f.Newcomer.Party, eight, 0)
		f.Displaced = p.Of(f.Newcomer.Party)
		for i := range f.Sessions { // asked anew
			if f.Sessions[i].Verdict != Silent && f.Sessions[i].Verdict != Asleep {
				f.Sessions[i].Verdict = Unprobed
			}
		}
		later := comes(f, eight.Add(d.RetryAfter), Alive)
		// A kick's wait and a displacement may follow each other.
		if (later.Code == CodeCooldown || later.Code == CodeFrozen) && !f.WaitUntil.After(eight) {
			t.Fatalf("first %+v\nthen %+v", d, later)
		}
	})
}

// Those who go leave one kind of trace or none, and only those who go.
func TestWhoGoesIsSortedByWhatItLeavesBehind(t *testing.T) {
	check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f, eight)
		for _, g := range slices.Concat(d.Displaced, d.Replaced) {
			s, _ := find(f, g)
			if !slices.Contains(d.Evict, g) || s.Verdict == Silent || slices.Contains(d.Displaced, g) && slices.Contains(d.Replaced, g) {
				t.Fatalf("%d: %+v", g, d)
			}
			if slices.Contains(d.Replaced, g) != own(f, d, s) {
				t.Fatalf("%d: %+v", g, d)
			}
		}
	})
}

// A client that reconnects by a timer, however slow and however much it backs off, stays out as long as its first attempt comes within the cooldown and no
// pause is ten times as long as the longest before it; a person who is silent for as long as they were told gets in.
func TestATimerKeepsItselfOut(t *testing.T) {
	check(t, func(t *rapid.T) {
		one := 1
		rule := Merge(LevelRule{LevelDefault, Rule{MaxSessions: Of(&one)}})
		same := rapid.Bool().Draw(t, "same resource")
		loser, winner := Combatant{Party: 1, Resource: "a", Generation: 1}, Combatant{Party: 2, Resource: "b", Generation: 2}
		if same {
			winner.Party, winner.Resource = loser.Party, loser.Resource
		}
		var p Protection
		p.Displace(loser, winner, eight)
		f := Facts{Rule: rule, Newcomer: Newcomer{Party: loser.Party, Resource: loser.Resource, Identity: Probable}, Sessions: []Session{{
			Generation: winner.Generation, Party: winner.Party, Resource: winner.Resource, State: Active, LastSeenAt: eight,
		}}}
		now, longest := eight, time.Duration(0)
		for i := range rapid.IntRange(1, 40).Draw(t, "attempts") {
			most := int(30*time.Second/time.Millisecond) - 1
			if i > 0 {
				most = max(most, min(int(10*longest/time.Millisecond), int(time.Hour/time.Millisecond))-1)
			}
			gap := time.Duration(rapid.IntRange(0, most).Draw(t, "gap")) * time.Millisecond
			longest, now = max(longest, gap), now.Add(gap)
			f.Displaced = p.Of(loser.Party)
			d := comes(f, now, Alive)
			if d.Outcome != Denied || d.Code != CodeCooldown {
				t.Fatalf("attempt %d after %v: %+v, %+v", i, gap, d, f.Displaced)
			}
			held := time.Duration(rapid.IntRange(0, 4).Draw(t, "held")) * time.Second
			p.Attempt(loser.Party, now, held)
			now = now.Add(held)
			f.Displaced = p.Of(loser.Party)
			if person := comes(f, now.Add(d.RetryAfter), Alive); person.Outcome != Allow || !slices.Equal(person.Displaced, []int64{winner.Generation}) {
				t.Fatalf("a person who waits %v: %+v", d.RetryAfter, person)
			}
		}
	})
}
