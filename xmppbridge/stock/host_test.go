package stock

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// diary is a host with what it tells, "kind user/resource seq" each.
type diary struct {
	*host
	told []string
}

func newDiary() *diary {
	d := &diary{}
	d.host = newHost(gate.Source{Link: "l", Domain: "example.org"}, func(e gate.Event) {
		d.told = append(d.told, fmt.Sprintf("%s %s/%s %d", e.Kind, e.User, e.Resource, e.Seq))
	})
	return d
}

func (d *diary) tells(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(d.told, want) {
		t.Errorf("told %s, want %s", strings.Join(d.told, ", "), strings.Join(want, ", "))
	}
	d.told = nil
}

func on(user, resource, mark string, started time.Time) Session {
	return Session{User: user, Resource: resource, Mark: mark, Started: started}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	d, t0 := newDiary(), time.Now().Add(-time.Hour)
	all := func(s ...Session) { d.takeAll(s, time.Now()) }
	phone := on("ann", "phone", "1", t0)
	all(phone, on("ann", "tablet", "2", t0.Add(time.Minute)))
	d.tells(t, "bind ann/phone 1", "bind ann/tablet 2")

	// The start is told to the second, and a listing may have taken some.
	all(on("ann", "phone", "1", t0.Add(2*time.Second)), on("ann", "phone", "1", t0), on("ann", "tablet", "2", t0.Add(time.Minute)))
	d.tells(t)

	// Another port, or another start on the same, is another session, however quickly it came: the old one's end is told first.
	all(on("ann", "phone", "3", time.Now()), on("ann", "tablet", "2", time.Now()))
	d.tells(t, "unbind ann/phone 3", "unbind ann/tablet 4", "bind ann/phone 5", "bind ann/tablet 6")

	// A list without marks and starts knows sessions by their resource.
	d = newDiary()
	d.takeAll([]Session{{User: "bob", Resource: "x"}}, time.Now())
	d.takeAll([]Session{{User: "bob", Resource: "x", Paused: true}}, time.Now())
	d.takeAll([]Session{{User: "bob", Resource: "x"}}, time.Now())
	d.takeAll(nil, time.Now())
	d.tells(t, "bind bob/x 1", "hibernate bob/x 2", "resume bob/x 3", "unbind bob/x 4")
}

// Of two listings that overlap the one that was asked for last is right.
func TestListingsThatOverlap(t *testing.T) {
	t.Parallel()
	d, start := newDiary(), time.Now()
	lists := d.lists()
	began := time.Now()
	if !d.takeUser("ann", []Session{on("ann", "phone", "1", start)}, lists) {
		t.Fatal("a look was refused")
	}
	d.takeAll(nil, began) // does not know of the login yet
	d.tells(t, "bind ann/phone 1")
	if d.takeUser("ann", nil, lists) { // may be older than the whole list
		t.Error("an old look was taken")
	}
	d.takeAll(nil, time.Now())
	d.tells(t, "unbind ann/phone 2")
}

// The next observer calls sessions what they were called before, and those that it finds anew as nobody ever was.
func TestSessionsKeepTheirNames(t *testing.T) {
	t.Parallel()
	d, t0 := newDiary(), time.Now().Add(-time.Hour)
	kept, resumed, gone := on("ann", "phone", "1", t0), on("bob", "phone", "2", t0), on("eve", "phone", "3", t0)
	d.takeAll([]Session{kept, resumed, gone}, time.Now())
	recorded := d.part(0, gate.Buckets, "").Sessions
	recorded = append(recorded, gate.Listed{SID: "a module's", User: "ann", Resource: "phone"})
	digest := func(d *diary) string {
		var sum gate.Digest
		for _, s := range d.part(0, gate.Buckets, "").Sessions {
			sum.Add(s.SID, s.Resource, s.State)
		}
		return sum.String()
	}

	same := newDiary()
	same.adopt([]Session{on("ann", "phone", "1", t0.Add(time.Second)), resumed, gone}, recorded, time.Now())
	if !same.part(0, gate.Buckets, digest(d)).Same {
		t.Error("the sessions have other names")
	}
	other := newDiary()
	other.adopt([]Session{kept, on("bob", "phone", "4", time.Now())}, recorded, time.Now())
	other.tells(t)
	for _, s := range other.part(0, gate.Buckets, "").Sessions {
		before := slices.ContainsFunc(recorded, func(r gate.Listed) bool { return r.SID == s.SID })
		if before != (s.User == "ann") {
			t.Errorf("%s is called %s; it was called so before: %v", s.User, s.SID, before)
		}
	}
	other.takeAll([]Session{kept, on("bob", "phone", "4", time.Now()), gone}, time.Now())
	for _, s := range other.part(0, gate.Buckets, "").Sessions {
		if s.User == "eve" && slices.ContainsFunc(recorded, func(r gate.Listed) bool { return r.SID == s.SID }) {
			t.Error("a session that was gone has its old name again, which the record takes for ended")
		}
	}
}

// What thousands do at once is left to a comparison, which goes in parts: nothing is told, and a number is left out so that the record knows.
func TestManyDifferences(t *testing.T) {
	t.Parallel()
	d := newDiary()
	var many []Session
	for i := range 10_000 {
		many = append(many, on(fmt.Sprint("user", i), "phone", "1", time.Now()))
	}
	began := time.Now()
	if n, told := d.takeAll(many, began); n != len(many) || told {
		t.Errorf("%d differences, told: %v", n, told)
	}
	d.tells(t)
	listed := 0
	for first := 0; first < gate.Buckets; first += 64 {
		p := d.part(first, 64, "")
		if p.Total != len(many) || p.Seq != 1 {
			t.Fatalf("part of %d sessions, seq %d", p.Total, p.Seq)
		}
		listed += len(p.Sessions)
	}
	if listed != len(many) {
		t.Errorf("the parts have %d sessions", listed)
	}
	if n, told := d.takeAll(many[1:], time.Now()); n != 1 || !told {
		t.Errorf("%d differences, told: %v", n, told)
	}
	d.tells(t, "unbind user0/phone 2")
}

// A server that takes its time over a list has sessions behind that begin earlier than they did; one whose clock is set has all of them begin at another time. The sessions
// stay who they are, for this observer and for the next. One that begins later than the others say is another.
func TestStartsThatMove(t *testing.T) {
	t.Parallel()
	t0 := time.Now().Add(-5 * time.Hour)
	list := func(move func(i int) time.Duration) (out []Session) {
		for i := range 10 {
			out = append(out, on(fmt.Sprint("user", i), "phone", fmt.Sprint(i), t0.Add(time.Duration(i)*time.Minute+move(i))))
		}
		return out
	}
	still := list(func(int) time.Duration { return 0 })
	hour := time.Hour
	for name, moved := range map[string][]Session{
		"the second half seems earlier": list(func(i int) time.Duration { return -time.Duration(i/5) * 5 * time.Second }),
		"most seem earlier":             list(func(i int) time.Duration { return -time.Duration(min(i/2, 1)) * 9 * time.Second }),
		"summer time begins":            list(func(int) time.Duration { return -hour }),
		"summer time ends":              list(func(int) time.Duration { return hour }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDiary()
			d.takeAll(still, time.Now())
			d.told = nil
			for _, l := range [][]Session{moved, still, moved, moved} {
				d.takeAll(l, time.Now())
			}
			d.tells(t)
			next := newDiary()
			next.adopt(moved, d.part(0, gate.Buckets, "").Sessions, time.Now())
			for user, sessions := range next.accounts {
				if sessions[0].sid != d.accounts[user][0].sid {
					t.Errorf("%s has another name after a restart", user)
				}
			}
			again := slices.Clone(moved)
			again[3].Started = again[3].Started.Add(2 * time.Hour)
			d.takeAll(again, time.Now())
			d.tells(t, "unbind user3/phone 11", "bind user3/phone 12")
		})
	}
}

// Sessions that were first listed by a slow call seem to begin later in the next, and one account may be listed alone just when a clock is set: neither is another session.
func TestStartsOfSlowLists(t *testing.T) {
	t.Parallel()
	const n = 10
	t0 := time.Now().Add(-5 * time.Hour)
	list := func(by time.Duration, only func(i int) bool) (out []Session) {
		for i := range n {
			started := t0
			if only == nil || only(i) {
				started = t0.Add(by)
			}
			out = append(out, on(fmt.Sprint("user", i), "phone", fmt.Sprint(i), started))
		}
		return out
	}
	half := func(i int) bool { return i < n/2 }
	for _, first := range []time.Duration{5 * time.Second, -5 * time.Second, -20 * time.Second, time.Hour, -time.Hour} {
		var only func(int) bool
		if first.Abs() < time.Minute {
			only = half
		}
		d := newDiary()
		d.takeAll(list(0, nil), time.Now())
		recorded := d.part(0, gate.Buckets, "").Sessions
		d.told = nil
		d.takeUser("user0", list(first, only)[:1], d.lists())
		for _, by := range []time.Duration{first, 0, first, first} {
			d.takeAll(list(by, only), time.Now())
			if len(d.told) > 0 {
				t.Errorf("starts that move by %v: told %v", first, d.told)
			}
		}
		// Who comes on a known mark later is another one for all that.
		again := list(first, only)
		again[n-1].Started = again[n-1].Started.Add(2 * time.Hour)
		d.takeAll(again, time.Now())
		d.tells(t, "unbind user9/phone 11", "bind user9/phone 12")

		next := newDiary()
		next.adopt(list(first, only), recorded, time.Now())
		for _, s := range next.part(0, gate.Buckets, "").Sessions {
			if !slices.ContainsFunc(recorded, func(r gate.Listed) bool { return r.SID == s.SID }) {
				t.Errorf("starts that move by %v: the next observer calls %s otherwise", first, s.User)
			}
		}
	}
}

// Abilities that change places with each hello would look like news.
func TestAbilitiesAreInOrder(t *testing.T) {
	t.Parallel()
	l := &link{o: &Observer{}, server: &Server{Able: []gate.Ability{{Name: "text", Can: true}}}}
	first := l.abilities("example.org")
	for range 20 {
		if again := l.abilities("example.org"); !slices.Equal(again, first) {
			t.Fatalf("%v, before %v", again, first)
		}
	}
}
