package stock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
)

// fakeServer is the driver and what it drives.
type fakeServer struct {
	mu       sync.Mutex
	sessions map[string][]Session // user → sessions
	whole    bool                 // accounts cannot be listed alone
	fails    error                // what whole lists come to
	slow     time.Duration        // that a whole list takes
	hangs    map[string]bool      // users whose list takes longer than anybody waits
	lists    []time.Duration      // when whole lists began, since the start
	looks    map[string][]time.Duration
	now, top int // accounts that are listed at once, at most
	kicked   []string
	refuses  error // what kicks come to, and the opening
	start    time.Time
}

func (f *fakeServer) Open(context.Context, xmppbridge.Stream, []string) (*Server, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Server{Lister: f, Kicker: f}, f.refuses
}

func (f *fakeServer) List(ctx context.Context, _ []string) (map[string][]Session, error) {
	f.mu.Lock()
	f.lists = append(f.lists, time.Since(f.start))
	slow := f.slow
	f.mu.Unlock()
	pause(ctx, slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Session
	for _, s := range f.sessions {
		all = append(all, s...)
	}
	return map[string][]Session{"example.org": all}, f.fails
}

func (f *fakeServer) ListUser(ctx context.Context, _, user string) ([]Session, error) {
	f.mu.Lock()
	if f.whole {
		f.mu.Unlock()
		return nil, ErrWholeList
	}
	f.looks[user] = append(f.looks[user], time.Since(f.start))
	f.now++
	f.top = max(f.top, f.now)
	hangs := f.hangs[user]
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	return slices.Clone(f.sessions[user]), ctx.Err()
}

func (f *fakeServer) Kick(_ context.Context, _ string, k gate.Kick) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		return f.refuses
	}
	f.kicked = append(f.kicked, k.Resource)
	f.sessions[k.User] = slices.DeleteFunc(f.sessions[k.User], func(s Session) bool { return s.Resource == k.Resource })
	return nil
}

func (f *fakeServer) ended() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kicked)
}

func (f *fakeServer) login(user, resource string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[user] = append(f.sessions[user], Session{User: user, Resource: resource})
}

// during are the times of those that began after from and not after to.
func during(times []time.Duration, from, to time.Duration) []time.Duration {
	return slices.DeleteFunc(slices.Clone(times), func(at time.Duration) bool { return at <= from || at > to })
}

func (f *fakeServer) listsIn(from, to time.Duration) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return during(f.lists, from, to)
}

func (f *fakeServer) looksOf(user string) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.looks[user])
}

// fakeGate notes when it was told of what.
type fakeGate struct {
	start time.Time
	mu    sync.Mutex
	told  []string
	sids  map[string]string // user/resource → its last session's
	link  gate.Link
	downs []time.Duration
	whys  []error // of downs
}

func (g *fakeGate) Connected(_ string, l gate.Link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.link = l
}

func (g *fakeGate) Disconnected(_ string, reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.downs = append(g.downs, time.Since(g.start))
	g.whys = append(g.whys, reason)
}

func (g *fakeGate) Hello(gate.Hello) {}

func (g *fakeGate) Event(e gate.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := e.User + "/" + e.Resource
	g.told = append(g.told, fmt.Sprintf("%s %s %s", time.Since(g.start), e.Kind, name))
	if e.Kind == gate.EventBind {
		g.sids[name] = e.SID
	}
}

func (g *fakeGate) Recorded(context.Context, string, string) ([]gate.Listed, error) { return nil, nil }

func (g *fakeGate) kick(user, sid string) (gate.KickResult, error) {
	return g.link.Kick(context.Background(), gate.Source{Link: "test", Domain: "example.org"}, gate.Kick{User: user, SID: sid})
}

// sid is that of the session that was bound last on user/resource.
func (g *fakeGate) sid(of string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sids[of]
}

func (g *fakeGate) wants(t *testing.T, want ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Equal(g.told, want) {
		t.Errorf("told %q, want %q", g.told, want)
	}
}

// noStream is a component connection to a server that answers pings, for whoever they are, and nothing else.
type noStream struct{ xmppbridge.Stream }

func (noStream) Query(context.Context, string, string, string) ([]byte, error) {
	return nil, errors.New("not asked for")
}

func (noStream) Alive(context.Context, string, string, string) (bool, error) { return true, nil }

// observe runs test beside an observer of f whose component connection is there, in a bubble of synctest. test begins a millisecond after the first list.
func observe(t *testing.T, f *fakeServer, test func(o *Observer, g *fakeGate)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f.start, f.looks = time.Now(), map[string][]time.Duration{}
		if f.sessions == nil {
			f.sessions = map[string][]Session{}
		}
		g := &fakeGate{start: f.start, sids: map[string]string{}}
		o := New(xmppbridge.Config{Name: "test", Component: "bindgate.example.org"}, f, g)
		ctx, cancel := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { o.watch(ctx) })
		o.Opened(noStream{})
		time.Sleep(f.slow + time.Millisecond)
		synctest.Wait()
		test(o, g)
		cancel()
		watching.Wait()
	})
}

const ms = time.Millisecond

// However much presence an account's clients send, it is listed alone once a second; what has happened meanwhile is not lost.
func TestLooksOfOneAccount(t *testing.T) {
	f := &fakeServer{slow: 10 * time.Second} // a list each 30 seconds
	observe(t, f, func(o *Observer, g *fakeGate) {
		began := time.Since(f.start)
		for range 100 {
			o.Presence("example.org", "ann", "phone", "")
			time.Sleep(5 * ms)
		}
		f.login("ann", "phone")
		o.Presence("example.org", "ann", "phone", "")
		time.Sleep(4 * time.Second)
		if got := f.looksOf("ann"); !slices.Equal(got, []time.Duration{began, began + time.Second}) {
			t.Errorf("looks at %s, want them at %s and a second later", got, began)
		}
		g.wants(t, (began+time.Second).String()+" bind ann/phone")

		// Later it is looked at at once again; kinds that say nothing about sessions, and domains of others, are not looked at.
		o.Presence("example.org", "ann", "phone", "subscribe")
		o.Presence("example.net", "ann", "phone", "")
		time.Sleep(100 * ms)
		o.Presence("example.org", "ann", "phone", "unavailable")
		synctest.Wait()
		if got, now := f.looksOf("ann"), time.Since(f.start); len(got) != 3 || got[2] != now {
			t.Errorf("looks at %s, want the third at %s", got, now)
		}
	})
}

// Nobody waits for an account whose list does not come, be it wanted and kicked at as often as may be; and no more than a few are listed at once.
func TestLooksOfManyAccounts(t *testing.T) {
	f := &fakeServer{slow: 10 * time.Second, hangs: map[string]bool{"ann": true, "bob": true}}
	observe(t, f, func(o *Observer, g *fakeGate) {
		var kicks sync.WaitGroup
		for range 20 {
			kicks.Go(func() {
				if _, err := g.kick("bob", "s"); err == nil {
					t.Error("a kick succeeded on an account that cannot be listed")
				}
			})
			o.Presence("example.org", "ann", "phone", "")
			o.Presence("example.org", "bob", "phone", "")
			synctest.Wait()
		}
		for n := range 1000 {
			user := fmt.Sprint("user", n)
			f.login(user, "phone")
			o.Presence("example.org", user, "phone", "")
		}
		synctest.Wait()
		g.mu.Lock()
		told := len(g.told)
		g.mu.Unlock()
		f.mu.Lock()
		top := f.top
		f.mu.Unlock()
		if told != 1000 || top > looksAtOnce+1 { // a kick's
			t.Errorf("told of %d of 1000 logins, with up to %d looks at once", told, top)
		}
		kicks.Wait()
		time.Sleep(2 * lookTimeout)
		if got := f.looksOf("ann"); len(got) != 2 {
			t.Errorf("looks at %s, want two: the first failed, and something happened during it", got)
		}
		o.looks.mu.Lock()
		defer o.looks.mu.Unlock()
		if o.looks.wanted != 0 || len(o.looks.ready) != 0 || len(o.looks.recent) != 0 || len(o.looks.states) != 0 {
			t.Errorf("left behind: %+v", o.looks)
		}
	})
}

// More accounts than may wait are found by the whole list, which comes sooner.
func TestTooManyWanted(t *testing.T) {
	f := &fakeServer{hangs: map[string]bool{}}
	for n := range looksAtOnce { // nobody is left for others
		f.hangs[fmt.Sprint("hangs", n)] = true
	}
	observe(t, f, func(o *Observer, g *fakeGate) {
		for user := range f.hangs {
			o.Presence("example.org", user, "phone", "")
		}
		synctest.Wait()
		for n := range maxWanted {
			o.Presence("example.org", fmt.Sprint("user", n), "phone", "")
		}
		time.Sleep(soonPoll)
		if got := f.listsIn(0, soonPoll); len(got) != 0 {
			t.Errorf("lists at %s before there were too many", got)
		}
		f.login("late", "phone")
		o.Presence("example.org", "late", "phone", "")
		synctest.Wait()
		g.wants(t, "251ms bind late/phone")
	})
}

// Where accounts are listed only all together, presence has the next list come sooner, every other time.
func TestWholeListsAlone(t *testing.T) {
	f := &fakeServer{whole: true}
	observe(t, f, func(o *Observer, g *fakeGate) {
		f.login("ann", "phone")
		o.Presence("example.org", "ann", "phone", "")
		time.Sleep(900 * ms)
		g.wants(t, "250ms bind ann/phone")
		if got := f.listsIn(0, 900*ms); !slices.Equal(got, []time.Duration{soonPoll}) {
			t.Errorf("lists at %s", got)
		}
		time.Sleep(4099 * ms) // to the fifth second
		for time.Since(f.start) < 15*time.Second {
			o.Presence("example.org", fmt.Sprint("user", time.Since(f.start)), "phone", "")
			time.Sleep(10 * ms)
		}
		if got := f.listsIn(5*time.Second, 15*time.Second); len(got) > 17 || len(got) < 15 {
			t.Errorf("%d lists in 10 seconds of presence: %s", len(got), got)
		}
	})
}

// A kick there costs one list, its proof, and one before if that of the last second is not at hand.
func TestKickByWholeLists(t *testing.T) {
	for name, slow := range map[string]time.Duration{"quick": 0, "slow": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			f := &fakeServer{whole: true, slow: slow}
			observe(t, f, func(o *Observer, g *fakeGate) {
				f.login("ann", "phone")
				f.login("ann", "laptop")
				time.Sleep(35 * time.Second)
				synctest.Wait()
				began := time.Since(f.start)
				kicked, err := g.kick("ann", g.sid("ann/phone"))
				took := time.Since(f.start) - began
				if kicked != gate.KickDone || err != nil || !slices.Equal(f.ended(), []string{"phone"}) {
					t.Errorf("%s, %v; %q ended", kicked, err, f.ended())
				}
				// The proof of a list that takes long is left to the next one.
				if _, there := o.hosts["example.org"].find("ann", g.sid("ann/phone")); there != (slow > 0) || took > 2*proofWithin+100*ms {
					t.Errorf("the session is known still: %t, after %s", there, took)
				}
				if got := f.listsIn(began, began+took); len(got) > 2 {
					t.Errorf("%d lists for one kick: %s", len(got), got)
				}
				if gone, err := g.kick("ann", "another's"); gone != gate.KickGone || err != nil {
					t.Errorf("%s, %v of a session that is not there", gone, err)
				}
			})
		})
	}
}

// An answer to a ping may be the server's, for a session that has just gone: there the next whole list says which.
func TestProbeByWholeLists(t *testing.T) {
	f := &fakeServer{whole: true}
	observe(t, f, func(_ *Observer, g *fakeGate) {
		f.login("ann", "phone")
		f.login("ann", "laptop")
		time.Sleep(1500 * ms)
		phone, laptop := g.sid("ann/phone"), g.sid("ann/laptop")
		f.mu.Lock()
		f.sessions["ann"] = f.sessions["ann"][:1]
		f.mu.Unlock()
		got, err := g.link.Probe(context.Background(), gate.Source{Link: "test", Domain: "example.org"}, "ann", []string{phone, laptop}, time.Second)
		if err != nil || got[phone] != gate.VerdictAlive || got[laptop] != gate.VerdictGone {
			t.Errorf("phone %s, laptop %s, %v", got[phone], got[laptop], err)
		}
	})
}

// A list may take a fifth of the server's time. One that fails twice is tried again; at the third time the link is down.
func TestPoll(t *testing.T) {
	f := &fakeServer{slow: 2 * time.Second}
	observe(t, f, func(_ *Observer, g *fakeGate) {
		time.Sleep(61*time.Second - time.Since(f.start))
		if got := f.listsIn(0, time.Minute); !slices.Equal(got, []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, 40 * time.Second, 50 * time.Second, 60 * time.Second}) {
			t.Errorf("lists at %s", got)
		}
		fail := func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.fails = err
		}
		fail(errors.New("no list today"))
		time.Sleep(15 * time.Second) // two have failed
		fail(nil)
		time.Sleep(30 * time.Second)
		fail(errors.New("no list today"))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		if want := 132 * time.Second; len(g.downs) == 0 || g.downs[0] != want {
			t.Errorf("down at %s, want it first at %s", g.downs, want)
		}
	})
}

// A server that fails again soon after it was well is tried again as soon as ever: only what its opening takes is spared it.
func TestTwoOutages(t *testing.T) {
	f := &fakeServer{}
	observe(t, f, func(_ *Observer, _ *fakeGate) {
		fail := func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.fails = err
		}
		for range 3 {
			fail(errors.New("no list today"))
			time.Sleep(5 * time.Second)
			fail(nil)
			from := time.Since(f.start)
			for len(f.listsIn(from, from+slowRetry)) == 0 {
				if time.Sleep(100 * ms); time.Since(f.start) > from+slowRetry {
					t.Errorf("no list within %s of the outage's end at %s", slowRetry, from)
					return
				}
			}
			time.Sleep(500 * ms)
		}
	})
}

// A right that is taken away while the link is up has it down with the driver's words, until it is given again; another kick that fails has not. Each is said in the log, and the recovery too.
func TestLostRight(t *testing.T) {
	f := &fakeServer{}
	observe(t, f, func(o *Observer, g *fakeGate) {
		var log strings.Builder // written by one goroutine at a time: the bubble waits in between
		o.log = slog.New(slog.NewTextHandler(&log, nil))
		refuse := func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refuses = err
		}
		f.login("ann", "phone")
		time.Sleep(2 * time.Second)
		refuse(errors.New("not now"))
		for range 2 {
			if _, err := g.kick("ann", g.sid("ann/phone")); err == nil {
				t.Error("a kick that failed did not")
			}
		}
		synctest.Wait()
		if len(g.downs) != 0 || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("down at %s; log:\n%s", g.downs, log.String())
		}

		refuse(&RightError{errors.New("kick_session is not allowed")})
		_, _ = g.kick("ann", g.sid("ann/phone"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(g.whys) < 2 || g.whys[0].Error() != "kick_session is not allowed" {
			t.Errorf("down because of %v", g.whys)
		}
		refuse(nil)
		time.Sleep(2 * slowRetry)
		synctest.Wait()
		if r, err := g.kick("ann", g.sid("ann/phone")); r != gate.KickDone || err != nil {
			t.Errorf("with the right again: %s, %v", r, err)
		}
		down := strings.Index(log.String(), `level=WARN msg="the component is connected, but the link does not work" error="kick_session is not allowed"`)
		if up := strings.Index(log.String(), `level=INFO msg="the link works again"`); down < 0 || up < down {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
