package gate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// listener is a server that writes down what sessions are told.
type listener struct {
	absent
	mu   sync.Mutex
	told []gate.Notice
}

func (l *listener) Notify(_ context.Context, src gate.Source, n gate.Notice) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.Device += "@" + src.Domain
	l.told = append(l.told, n)
	return nil
}

// heard waits for as many notices as there are wanted, and returns who was told, sorted.
func (l *listener) heard(t *testing.T, n int) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		var who []string
		for _, x := range l.told {
			who = append(who, x.User+"/"+x.Resource+" "+x.Lang)
		}
		l.mu.Unlock()
		slices.Sort(who)
		if len(who) >= n || time.Now().After(deadline) {
			return strings.Join(who, ", ")
		}
	}
}

func (l *listener) clear() []gate.Notice {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

// quiet has a login of another account told of, which comes after what was not to be.
func (b *bench) quiet(l *listener, mark string) {
	b.t.Helper()
	b.login(mark, mark+"1", "x")
	b.login(mark, mark+"2", "y")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		done := slices.ContainsFunc(l.told, func(n gate.Notice) bool { return n.User == mark })
		l.told = slices.DeleteFunc(l.told, func(n gate.Notice) bool { return n.User == mark })
		l.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal("the mark was not heard")
		}
	}
}

func TestNotifyDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &listener{}
	b.owns(l)
	name := "Ann's <Pixel>"
	b.register(gate.Registration{Account: "ann@example.org", Resource: "android-1", Name: &name})
	b.login("ann", "s1", "laptop")
	b.login("ann", "s2", "tablet")
	if _, err := b.store.Pool().Exec(t.Context(), "update sessions set lang = case sid when 's1' then 'ja' else 'tlh' end"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Pool().Exec(t.Context(), "update accounts set lang = 'zh'"); err != nil {
		t.Fatal(err)
	}
	b.rule(`{"notify_devices": true}`)
	b.quiet(l, "m1") // the logins before were of a rule that tells nobody
	if got := l.heard(t, 0); got != "" {
		t.Errorf("without the rule: %s", got)
	}
	b.login("ann", "s3", "android-1")
	if got, want := l.heard(t, 2), "ann/laptop ja, ann/tablet zh"; got != want {
		t.Fatalf("told: %s, want %s", got, want)
	}
	for _, n := range l.clear() {
		if n.Device != name+"@example.org" || n.Platform != "android" || n.At.IsZero() || !strings.Contains(n.Text, name) || !strings.Contains(n.Text, "android") {
			t.Errorf("notice: %+v", n)
		}
	}

	// A device that is known for certain comes back: nobody is told. Nor is one told of a session that resumes.
	b.event(gate.EventHibernate, "ann", "s3", "android-1")
	b.event(gate.EventResume, "ann", "s3", "android-1")
	b.login("ann", "s4", "android-1")
	b.quiet(l, "m2")
	if got := l.heard(t, 0); got != "" {
		t.Errorf("of an own reconnect: %s", got)
	}

	// Who has to go is not told, who stays is.
	b.event(gate.EventUnbind, "ann", "s3", "android-1")
	b.rule(`{"notify_devices": true, "max_sessions": 3}`)
	b.login("ann", "s5", "other")
	if got, want := l.heard(t, 2), "ann/android-1 zh, ann/tablet zh"; got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
	b.quiet(l, "m3")
}

// A login while bindgate was away is told of once it is decided, and only then; also one that a rule without force would have denied.
func TestNotifyDevicesOfJudged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &listener{}
	b.owns(l)
	b.rule(`{"notify_devices": true}`)
	b.login("ann", "s1", "laptop")
	e := b.made(gate.EventBind, "ann", "s2", "android-2")
	e.AskID = ""
	b.gate.Event(e)
	if got, want := l.heard(t, 1), "ann/laptop en"; got != want {
		t.Fatalf("told: %s, want %s", got, want)
	}
	l.clear()
	if _, err := b.store.Pool().Exec(t.Context(), "update sessions set decided_at = null where sid in ('s1', 's2')"); err != nil {
		t.Fatal(err)
	}
	b.event(gate.EventHibernate, "ann", "s1", "laptop") // has them judged again
	b.becomes("select count(*) / 2 from sessions where decided_at is not null and sid in ('s1', 's2')")
	b.quiet(l, "m1")
	if got := l.heard(t, 0); got != "" {
		t.Errorf("judged again: %s", got)
	}
	b.rule(`{"notify_devices": true, "max_sessions": 1, "on_excess": "deny", "hibernating_counts": true, "enforce": false}`)
	b.login("ann", "s3", "third")
	if got, want := l.heard(t, 2), "ann/android-2 en, ann/laptop en"; got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
}

// A login is told to fifty sessions at most, and where nobody can be told it is all the same.
func TestNotifyDevicesIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := &listener{}
	b.owns(l)
	b.rule(`{"notify_devices": true}`)
	for i := range 60 {
		b.login("ann", fmt.Sprintf("s%d", i), fmt.Sprintf("r%02d", i))
	}
	b.quiet(l, "m1")
	all := int64(50*51/2 + 9*50 + 1) // each login is told to those before it, fifty at most; and the mark
	stats := b.gate.Stats()
	for deadline := time.Now().Add(20 * time.Second); stats.Notices.Load()+stats.NoticesLeftOut.Load() != all; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d notices and %d left out, want %d", stats.Notices.Load(), stats.NoticesLeftOut.Load(), all)
		}
	}
	before, leftBefore := stats.Notices.Load(), stats.NoticesLeftOut.Load()
	l.clear()
	b.login("ann", "new", "new")
	l.heard(t, 50)
	b.quiet(l, "m2")
	if n := stats.Notices.Load() - before; n != 51 || strings.Count(l.heard(t, 50), ",") != 49 {
		t.Errorf("%d notices: %s", n, l.heard(t, 50))
	}
	b.gate.Disconnected(theLink, errAbsent)
	b.event(gate.EventBind, "ann", "late", "late")
	for deadline := time.Now().Add(10 * time.Second); stats.NoticesLeftOut.Load() != leftBefore+50; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d notices were left out while the link was down, want 50", stats.NoticesLeftOut.Load()-leftBefore)
		}
	}
	b.gate.Connected(theLink, l)
	b.login("ann", "last", "last")
}
