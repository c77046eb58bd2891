package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// rivals are two devices of an account that may have one session, by what they show of themselves.
type rivals struct {
	name      string
	resources [2]string // "": made by the server
	ids       [2]string // "": none
}

var allRivals = []rivals{
	{"same resource", [2]string{"phone", "phone"}, [2]string{}},
	{"own resources", [2]string{"phone", "tablet"}, [2]string{}},
	{"own ids", [2]string{}, [2]string{"id-1", "id-2"}},
	{"server's resources", [2]string{}, [2]string{}},
}

// user names an account of theirs.
func (r rivals) user(t testing.TB, try int) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "'", "", "/", "-", ",", "").Replace(fmt.Sprintf("%s-%s-%d", t.Name(), r.name, try)))
}

// options are those of the first or the second device.
func (r rivals) options(device int, o xmppclient.Options) xmppclient.Options {
	o.ClientID = r.ids[device]
	return o
}

// displaced logs both devices in, so that the second displaces the first.
func (w *world) displaced(user string, r rivals, o xmppclient.Options) (loser, winner *xmppclient.Client) {
	w.t.Helper()
	loser = w.loginWith(user, r.resources[0], r.options(0, o))
	w.recorded(user, loser.Resource()+"=active")
	winner = w.loginWith(user, r.resources[1], r.options(1, o))
	w.takenOver(loser)
	w.recorded(user, winner.Resource()+"=active")
	return loser, winner
}

// A person who waits on the displaced device for as long as it is told gets in.
func TestDisplacedWhoWaits(t *testing.T) { servers.Each(t, testDisplacedWhoWaits) }

func testDisplacedWhoWaits(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1, "takeover_cooldown_seconds": 2, "ghost_after_seconds": 4}`)
	for _, r := range allRivals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			user := r.user(t, 0)
			began := time.Now()
			_, winner := w.displaced(user, r, xmppclient.Options{})
			back := w.dial(user, r.options(0, xmppclient.Options{}))
			d := w.denied(back, r.resources[0])
			w.wantDenied(d, "cooldown", "")
			most := 10 + 10*int(d.At.Sub(began).Seconds()) // ten times the gap between its attempts
			if d.Type != "wait" || d.Condition != "resource-constraint" || d.Denied.RetryAfter < 2 || d.Denied.RetryAfter > most {
				t.Errorf("denial %s after it began: %s", d.At.Sub(began), d.Raw)
			}
			w.stays(winner)
			time.Sleep(time.Until(d.At.Add(time.Duration(d.Denied.RetryAfter) * time.Second))) // it is what the person does
			w.bindIn(back, r.resources[0])
			w.takenOver(winner)
			w.recorded(user, back.Resource()+"=active")
			w.stays(back)
		})
	}
}

// Who was displaced gets in at once when the winner has logged out, and so does anyone else.
func TestWinnerLogsOut(t *testing.T) { servers.Each(t, testWinnerLogsOut) }

func testWinnerLogsOut(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	for _, r := range allRivals {
		for _, o := range []xmppclient.Options{{}, {SM: true}} {
			w.within(time.Second, func(try int) time.Duration {
				user := fmt.Sprintf("%s-%t", r.user(t, try), o.SM)
				_, winner := w.displaced(user, r, o)
				back := w.dial(user, r.options(0, o))
				w.wantDenied(w.denied(back, r.resources[0]), "cooldown", "")
				winner.Close()
				took := w.bindIn(back, r.resources[0])
				w.recorded(user, back.Resource()+"=active")
				w.stays(back)

				_, winner = w.displaced(user+"-x", r, o)
				other := w.dial(user+"-x", xmppclient.Options{})
				winner.Close()
				took = max(took, w.bindIn(other, "other"))
				w.stays(other)
				return took
			})
		}
	}
}

// A winner that loses its network and comes back before the cooldown is over is in within ghost_after_seconds + 1, whatever the displaced device does meanwhile.
func TestWinnerLosesItsNetwork(t *testing.T) { servers.Each(t, testWinnerLosesItsNetwork) }

func testWinnerLosesItsNetwork(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1, "ghost_after_seconds": 1}`)
	for name, c := range map[string]struct {
		rivals
		sm, cut, resumes, fights bool
	}{
		"same resource":                                     {rivals: allRivals[0]},
		"same resource, stream management":                  {rivals: allRivals[0], sm: true},
		"same resource, hibernates":                         {rivals: allRivals[0], sm: true, cut: true},
		"own resources":                                     {rivals: allRivals[1]},
		"own resources, stream management":                  {rivals: allRivals[1], sm: true},
		"own resources, fought for":                         {rivals: allRivals[1], fights: true},
		"own resources, stream management, fought for":      {rivals: allRivals[1], sm: true, fights: true},
		"own resources, hibernates, fought for":             {rivals: allRivals[1], sm: true, cut: true, fights: true},
		"own resources, hibernates and resumes, fought for": {rivals: allRivals[1], sm: true, cut: true, resumes: true, fights: true},
		"own ids, fought for":                               {rivals: allRivals[2], fights: true},
		"own ids, stream management, fought for":            {rivals: allRivals[2], sm: true, fights: true},
		"own ids, hibernates, fought for":                   {rivals: allRivals[2], sm: true, cut: true, fights: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			w.within(2*time.Second, func(try int) time.Duration {
				user, o := c.user(t, try), xmppclient.Options{SM: c.sm}
				_, winner := w.displaced(user, c.rivals, o)
				var f *fight
				if c.fights {
					f = w.fight(user, c.resources[0], c.options(0, o), time.Second)
					defer f.stop()
					f.denials(1)
				}
				if c.cut {
					winner.Cut()
					w.recorded(user, winner.Resource()+"=hibernating")
				} else {
					winner.Freeze()
				}
				if c.fights {
					f.denials(2) // while the winner is away
				}
				back := w.dial(user, c.options(1, o))
				var took time.Duration
				in := winner.Resource()
				if begin := time.Now(); c.resumes {
					if err := back.Resume(w.ctx(), winner.SMID(), winner.Handled()); err != nil {
						t.Fatal(err)
					}
					took = time.Since(begin)
				} else {
					took = w.bindIn(back, c.resources[1])
					in = back.Resource()
				}
				w.recorded(user, in+"=active")
				w.stays(back)
				if c.fights {
					f.denials(2)
					w.stays(back)
					w.recorded(user, in+"=active")
					if f.stop(); f.in != 0 {
						t.Error("the displaced one was let in")
					}
				}
				return took
			})
		})
	}
}

// A device that keeps trying gets one attempt in four seconds at most once ten seconds are over, however long it waits by itself, and one row a minute.
func TestFightingDeviceIsSlowed(t *testing.T) { servers.Each(t, testFightingDeviceIsSlowed) }

func testFightingDeviceIsSlowed(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	const watched = 25 * time.Second
	var fights []*fight
	for _, pause := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second} {
		user := "slow" + pause.String()
		w.displaced(user, allRivals[1], xmppclient.Options{})
		fights = append(fights, w.fight(user, "phone", xmppclient.Options{}, pause))
	}
	time.Sleep(watched)
	for _, f := range fights {
		if f.stop(); f.in != 0 {
			t.Errorf("%s got in", f.user)
		}
		var last time.Time
		for _, at := range f.sent {
			if !last.IsZero() && last.Sub(f.began) > 10*time.Second && at.Sub(last) < 4*time.Second {
				t.Errorf("%s had an attempt after %s, and the next one %s later", f.user, last.Sub(f.began), at.Sub(last))
			}
			last = at
		}
		if len(f.sent) < 5 {
			t.Errorf("%s had %d attempts", f.user, len(f.sent))
		}
		var rows, repeats int
		if err := w.store.Pool().QueryRow(t.Context(), "select count(*), sum(repeats) from decisions where account = $1 and outcome = 'deny'", store.KeyOf(w.jid(f.user))).Scan(&rows, &repeats); err != nil {
			t.Fatal(err)
		}
		if rows != 1 || repeats < len(f.sent)-2 {
			t.Errorf("%s: %d rows, %d repeats for %d attempts", f.user, rows, repeats, len(f.sent))
		}
	}
}

// A displaced device that the failure policy let in while bindgate was away goes again when it is back.
func TestDisplacedWhileAway(t *testing.T) { servers.Each(t, testDisplacedWhileAway) }

func testDisplacedWhileAway(t *testing.T, on *servers.Kind) {
	for _, r := range allRivals[1:] { // of those who share a resource, the server itself ends the other
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, on, servers.Options{Quiet: true})
			w.rule(`{"max_sessions": 1}`)
			user := r.user(t, 0)
			_, winner := w.displaced(user, r, xmppclient.Options{})
			w.mu.Lock()
			stop := w.running.stop
			w.mu.Unlock()
			stop()
			back := w.loginWith(user, r.resources[0], r.options(0, xmppclient.Options{}))
			w.start()
			select {
			case <-winner.Closed():
				t.Errorf("the winner went: %v; decided %q", winner.StreamError(), w.decided(user))
			case <-back.Closed():
			case <-w.ctx().Done():
				t.Error("nobody went")
			}
		})
	}
}

// fight is a device that tries again and again, each time on a new stream.
type fight struct {
	w      *world
	user   string
	began  time.Time
	denied chan struct{} // one for each denial; those nobody waits for are dropped
	cancel context.CancelFunc
	done   chan struct{}
	sent   []time.Time // when it tried; to be read after stop
	in     int         // how often it got in; to be read after stop
}

// fight begins one that pauses so long after each answer, and after each end of a session that it got.
func (w *world) fight(user, resource string, o xmppclient.Options, pause time.Duration) *fight {
	ctx, cancel := context.WithCancel(w.t.Context())
	f := &fight{w: w, user: user, began: time.Now(), denied: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	w.t.Cleanup(f.stop)
	go func() {
		defer close(f.done)
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			if !f.attempt(ctx, resource, o) {
				return
			}
		}
	}()
	return f
}

func (f *fight) attempt(ctx context.Context, resource string, o xmppclient.Options) bool {
	c, err := f.w.tryDial(f.user, o) //nolint:contextcheck // a login ends with the test
	if err != nil {
		f.w.t.Errorf("%s fights: %v", f.user, err)
		return false
	}
	defer c.Cut()
	f.sent = append(f.sent, time.Now())
	_, err = c.Bind(ctx, resource)
	var denied *xmppclient.StanzaError
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
		f.in++
		_, err := c.WaitClosed(ctx)
		return err == nil
	case !errors.As(err, &denied) || denied.Denied == nil || denied.Denied.Code != "cooldown":
		f.w.t.Errorf("%s fights: %v", f.user, err)
		return false
	}
	select {
	case f.denied <- struct{}{}:
	default:
	}
	return true
}

// denials waits for so many more.
func (f *fight) denials(n int) {
	f.w.t.Helper()
	for range n {
		select {
		case <-f.denied:
		case <-f.done:
			f.w.t.Fatalf("%s fights no more", f.user)
		case <-f.w.ctx().Done():
			f.w.t.Fatalf("%s was not denied", f.user)
		}
	}
}

// stop ends it; what is under way does not count.
func (f *fight) stop() {
	f.cancel()
	<-f.done
}
