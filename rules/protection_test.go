package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func after(seconds int) time.Time { return eight.Add(time.Duration(seconds) * time.Second) }

func all(int64) bool { return true }

// Two parties that take turns three times within ten minutes are a loop; a party that displaces the same one again and again is not.
func TestTurns(t *testing.T) {
	t.Parallel()
	a := func(n int64) Combatant { return Combatant{Party: 1, Device: 11, Resource: "a", Generation: n} }
	b := func(n int64) Combatant { return Combatant{Party: 2, Resource: "b", Generation: n} }
	type turn struct {
		at            int
		loser, winner Combatant
	}
	for _, tt := range []struct {
		words string
		turns []turn
		loop  int // which turn is one too many; 0: none
	}{
		{"each other, three times", []turn{{0, a(1), b(2)}, {60, b(2), a(3)}, {120, a(3), b(4)}}, 3},
		{"not within ten minutes", []turn{{0, a(1), b(2)}, {300, b(2), a(3)}, {600, a(3), b(4)}}, 0},
		{"just within", []turn{{0, a(1), b(2)}, {300, b(2), a(3)}, {599, a(3), b(4)}}, 3},
		{"one of them only", []turn{{0, a(1), b(2)}, {60, a(3), b(4)}, {120, a(5), b(6)}, {180, a(7), b(8)}}, 0},
		{"who cannot be told apart", []turn{{0, a(1), a(2)}, {10, a(2), a(3)}, {20, a(3), a(4)}}, 3},
		{"a third party in between", []turn{{0, a(1), b(2)}, {10, b(2), Combatant{Party: 3, Generation: 3}}, {20, b(4), a(5)}, {30, a(5), b(6)}}, 4},
	} {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			var p Protection
			for i, turn := range tt.turns {
				p.Admit(turn.winner.Party, turn.winner.Generation)
				loop, _ := p.Displace(turn.loser, turn.winner, after(turn.at))
				if (loop != nil) != (i+1 == tt.loop) {
					t.Fatalf("turn %d: %+v", i+1, loop)
				}
				if loop != nil && (!loop.FrozenUntil.Equal(after(turn.at+300)) || loop.Party != turn.loser.Party || loop.Winner != turn.winner.Generation) {
					t.Errorf("%+v", loop)
				}
			}
		})
	}
}

func TestOwnReplacementsAreNoLoop(t *testing.T) {
	t.Parallel()
	var p Protection
	for n := range int64(5) {
		x := Combatant{Party: 7, Device: 7, Generation: n + 1}
		y := x
		y.Generation++
		p.Replace(x, y, after(int(n)))
	}
	d := p.Of(7)
	if d == nil || !d.Own || !d.FrozenUntil.IsZero() || d.Winner != 6 || len(d.Turns) != 3 {
		t.Errorf("%+v", d)
	}
}

// Whoever goes for a newcomer leaves it those that it displaced itself.
func TestSucceed(t *testing.T) {
	t.Parallel()
	var p Protection
	p.Displace(Combatant{Party: 1, Generation: 1}, Combatant{Party: 2, Generation: 2}, eight)
	p.Succeed(2, 3)
	p.Displace(Combatant{Party: 2, Generation: 2}, Combatant{Party: 3, Generation: 3}, eight)
	if p.Of(1).Winner != 3 || p.Of(2).Winner != 3 || p.Of(3) != nil {
		t.Errorf("%+v", p)
	}
}

// An admission that never came leaves nothing behind: not for those who were to go for it, nor for who waited for them, nor for itself.
func TestUndo(t *testing.T) {
	t.Parallel()
	p := fought() // 1 is frozen out by 2
	p.Displace(Combatant{Party: 4, Generation: 4}, Combatant{Party: 5, Generation: 5}, after(3))
	for _, g := range []int64{1, 2, 5} {
		p.Settle(g)
	}
	before := Protection{Displaced: slices.Clone(p.Displaced)}

	// 1 comes with a grant for both, and whoever waited for them waits for it.
	if ended := p.Admit(1, 9); ended == nil {
		t.Error("no loop ended")
	}
	p.Succeed(2, 9)
	p.Succeed(5, 9)
	p.Displace(Combatant{Party: 2, Generation: 2}, Combatant{Party: 1, Generation: 9}, after(4))
	p.Displace(Combatant{Party: 5, Generation: 5}, Combatant{Party: 1, Generation: 9}, after(4))
	if p.Of(4).Winner != 9 || p.Of(5).Winner != 9 || p.Of(2).Winner != 9 || p.Of(1).Winner != 0 {
		t.Fatalf("%+v", p)
	}
	open, ended := p.Undo(9)
	if len(open) != 1 || open[0].Party != 1 || len(ended) != 1 || ended[0].Party != 2 {
		t.Errorf("open %+v, ended %+v", open, ended)
	}
	slices.SortFunc(p.Displaced, func(a, b Displacement) int { return int(a.Party - b.Party) })
	slices.SortFunc(before.Displaced, func(a, b Displacement) int { return int(a.Party - b.Party) })
	if diff := cmp.Diff(before, p); diff != "" {
		t.Error(diff)
	}
	if open, ended := p.Undo(9); open != nil || ended != nil {
		t.Errorf("twice: %+v, %+v", open, ended)
	}
}

// What an admission was bound for stays, and what somebody tried meanwhile is not forgotten.
func TestUndoKeepsWhatIsSettled(t *testing.T) {
	t.Parallel()
	a, b := Combatant{Party: 1, Generation: 1}, Combatant{Party: 2, Generation: 2}
	var p Protection
	p.Displace(a, b, eight)
	if !p.Settle(2) || p.Settle(2) {
		t.Error("settled once")
	}
	if p.Undo(2); p.Of(1) == nil {
		t.Error("what was settled is undone")
	}
	p.Succeed(2, 3)
	p.Attempt(1, after(20), 0)
	p.Undo(3)
	if d := p.Of(1); d.Winner != 2 || d.Attempts != 1 || !d.SilentSince.Equal(after(20)) || d.LongestGap != 20*time.Second {
		t.Errorf("%+v", d)
	}

	// A loop that the admission opened ends with it.
	p = Protection{}
	p.Displace(a, b, eight)
	p.Displace(b, a, after(1))
	p.Settle(1)
	p.Settle(2)
	p.Displace(a, Combatant{Party: 2, Generation: 7}, after(2))
	if open, ended := p.Undo(7); len(open) != 0 || len(ended) != 1 || ended[0].Party != 1 || !p.Of(1).FrozenUntil.IsZero() {
		t.Errorf("open %+v, ended %+v, %+v", open, ended, p)
	}

	// While it may yet be undone it is not pruned.
	p = Protection{}
	p.Displace(a, b, eight)
	p.Settle(2)
	p.Admit(1, 4)
	p.Prune(after(3600), func(g int64) bool { return g == 4 })
	if p.Undo(4); p.Of(1) == nil || p.Of(1).Winner != 2 {
		t.Errorf("%+v", p)
	}
}

func TestAdmitAndThaw(t *testing.T) {
	t.Parallel()
	var p Protection
	for n, at := range []int{0, 1, 2} {
		a, b := Combatant{Party: 1, Generation: int64(n)}, Combatant{Party: 2, Generation: int64(n + 1)}
		if n%2 == 1 {
			a.Party, b.Party = b.Party, a.Party
		}
		p.Displace(a, b, after(at))
	}
	frozen := p.Of(1)
	if frozen.FrozenUntil.IsZero() {
		t.Fatalf("%+v", p)
	}
	if got := p.Thaw(after(100), all); got != nil {
		t.Errorf("too early: %+v", got)
	}
	q := Protection{Displaced: append([]Displacement{}, p.Displaced...)}
	if got := q.Thaw(after(100), func(int64) bool { return false }); len(got) != 1 || got[0].FrozenUntil.IsZero() || !q.Of(1).FrozenUntil.IsZero() {
		t.Errorf("the winner is gone: %+v", got)
	}
	q = Protection{Displaced: append([]Displacement{}, p.Displaced...)}
	if got := q.Thaw(after(303), nil); len(got) != 1 {
		t.Errorf("the time is over: %+v", got)
	}
	q = Protection{Displaced: append([]Displacement{}, p.Displaced...), Waits: []Wait{{Party: 5, Until: after(9)}}}
	if got := q.Release(after(100)); len(got) != 1 || !q.Empty() {
		t.Errorf("%+v, %+v", got, q)
	}
	if p.Admit(1, frozen.Winner) != nil || p.Admit(9, 1) != nil {
		t.Error("its own session ends nothing, nor does a stranger's")
	}
	if ended := p.Admit(1, 77); ended == nil || ended.FrozenUntil.IsZero() || p.Of(1).Winner != 0 || !p.Of(1).FrozenUntil.IsZero() {
		t.Errorf("%+v, %+v", ended, p.Of(1))
	}
	if p.Admit(1, 78) != nil {
		t.Error("ended twice")
	}
	p.Prune(after(500), func(int64) bool { return false })
	if p.Of(1) == nil {
		t.Error("its turns still count")
	}
	p.Prune(after(700), func(int64) bool { return false })
	if !p.Empty() {
		t.Errorf("%+v", p)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	var p Protection
	p.Wait(Wait{Party: 1, Until: after(10)})
	p.Wait(Wait{Party: 1, Until: after(5)})
	if !p.WaitOf(1).Equal(after(10)) || !p.WaitOf(2).IsZero() {
		t.Errorf("%+v", p)
	}
	p.Wait(Wait{Party: 1, Until: after(20)})
	for n := range 2 * maxDisplaced {
		p.Wait(Wait{Party: Party(100 + n), Until: after(30 + n)})
	}
	if len(p.Waits) != maxDisplaced || !p.WaitOf(1).IsZero() || p.WaitOf(Party(100+2*maxDisplaced-1)).IsZero() {
		t.Errorf("the first to end go: %+v", p)
	}
	p.Prune(after(1000), all)
	if !p.Empty() {
		t.Errorf("%+v", p)
	}
}

func TestProtectionIsBounded(t *testing.T) {
	t.Parallel()
	var p Protection
	for n := range int64(100) {
		p.Displace(Combatant{Party: Party(n + 1), Generation: n}, Combatant{Party: Party(n + 2), Generation: n + 1}, after(int(n)))
	}
	if len(p.Displaced) != maxDisplaced || p.Of(100) == nil || p.Of(1) != nil {
		t.Errorf("%d", len(p.Displaced))
	}
}

// fought is a protection in which party 2 is frozen in its place against party 1.
func fought() (p Protection) {
	a, b := Combatant{Party: 1, Generation: 1}, Combatant{Party: 2, Generation: 2}
	p.Displace(a, b, eight)
	p.Displace(b, a, after(1))
	p.Displace(a, b, after(2))
	return p
}

// An open loop is not forgotten in silence: whoever makes its displacement go is told of it.
func TestALoopThatMakesRoomEnds(t *testing.T) {
	t.Parallel()
	a, c := Combatant{Party: 1, Generation: 3}, Combatant{Party: 3, Generation: 4}
	p := fought()
	loop, ended := p.Displace(a, c, after(3))
	if loop != nil || ended == nil || ended.Party != 1 || ended.Winner != 2 || !ended.FrozenAt().Equal(after(2)) {
		t.Errorf("another displaces the loser: %+v, %+v", loop, ended)
	}
	p = fought()
	if ended := p.Replace(a, Combatant{Party: 1, Generation: 4}, after(3)); ended == nil || ended.Party != 1 {
		t.Errorf("the loser replaces its own session: %+v", ended)
	}
	p = fought()
	for n := range int64(2 * maxDisplaced) {
		if _, ended := p.Displace(Combatant{Party: Party(10 + n)}, c, after(4)); ended != nil {
			t.Fatalf("displacement %d makes the loop go, and there are others", n)
		}
	}
	if p.Of(1) == nil || len(p.Displaced) != maxDisplaced {
		t.Errorf("%+v", p)
	}
	p = Protection{}
	for n := range int64(maxDisplaced) {
		p.Displaced = append(p.Displaced, Displacement{Party: Party(10 + n), FrozenUntil: after(300)})
	}
	if _, ended := p.Displace(a, c, after(5)); ended == nil || ended.Party != 10 {
		t.Errorf("all are frozen: %+v", ended)
	}
}

// Whoever takes the place of a frozen winner is told which loops it is the winner of now.
func TestALoopPassesOn(t *testing.T) {
	t.Parallel()
	p := fought()
	if loops := p.Succeed(2, 5); len(loops) != 1 || loops[0].Party != 1 || loops[0].Winner != 5 {
		t.Errorf("%+v", loops)
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	rule := Merge()
	d := Displacement{At: eight, SilentSince: eight}
	for _, tt := range []struct {
		at     int
		frozen time.Time
		want   string
	}{
		{10, time.Time{}, "20s false"},
		{40, time.Time{}, "0s false"},
		{10, after(100), "1m30s true"},
		{110, after(100), "0s false"},
	} {
		d.FrozenUntil = tt.frozen
		left, frozen := d.Standing(rule, after(tt.at))
		if got := fmt.Sprintf("%v %t", left, frozen); got != tt.want {
			t.Errorf("after %d s: %s, want %s", tt.at, got, tt.want)
		}
	}
}

// A war of any number of parties, each with its own timer, over one place: whoever a person logged in last stays, but for loops that others' patience opens.
func TestAWarOverOnePlaceSettles(t *testing.T) {
	check(t, func(t *rapid.T) {
		one := 1
		rule := Merge(LevelRule{LevelDefault, Rule{MaxSessions: Of(&one)}})
		parties := rapid.IntRange(2, 4).Draw(t, "parties")
		pause := make([]time.Duration, parties)
		for i := range pause {
			pause[i] = time.Duration(rapid.IntRange(1, 29_000).Draw(t, "pause")) * time.Millisecond
		}
		var p Protection
		var in Session
		generation, now := int64(0), eight
		next := make([]time.Time, parties)
		login := func(i int) Decision {
			f := Facts{Rule: rule, Newcomer: Newcomer{Party: Party(i + 1), Resource: strings.Repeat("r", i+1)}, Displaced: p.Of(Party(i + 1))}
			if generation > 0 {
				f.Sessions = []Session{in}
			}
			d := comes(f, now, Alive)
			if d.Outcome == Denied {
				p.Attempt(Party(i+1), now, 0)
				next[i] = now.Add(pause[i])
				return d
			}
			loser := Combatant{Party: in.Party, Generation: in.Generation}
			generation++
			in = Session{Generation: generation, Party: Party(i + 1), Resource: f.Newcomer.Resource, State: Active, LastSeenAt: now}
			p.Admit(in.Party, generation)
			for _, g := range d.Evict {
				p.Succeed(g, generation)
				p.Displace(loser, Combatant{Party: in.Party, Generation: generation}, now)
				next[loser.Party-1] = now.Add(pause[loser.Party-1])
			}
			return d
		}
		for i := range parties { // the persons
			now = now.Add(time.Millisecond)
			if d := login(i); d.Outcome != Allow {
				t.Fatalf("a person: %+v", d)
			}
		}
		last := in.Generation
		for range 200 { // their clients
			i := 0
			for j := range parties - 1 {
				if next[j].Before(next[i]) {
					i = j
				}
			}
			now = next[i]
			if d := login(i); d.Outcome != Denied || in.Generation != last {
				t.Fatalf("party %d after %v: %+v", i+1, now.Sub(eight), d)
			}
		}
	})
}
