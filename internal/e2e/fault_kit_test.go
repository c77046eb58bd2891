package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// agreeWithin is how long after a fault record and server may differ.
const agreeWithin = 10 * time.Second

// soon is "at once" on a busy machine; the timeouts it is told from are longer.
const soon = 1500 * time.Millisecond

// clusterWorld is a dormant world on a PostgreSQL of its own.
func clusterWorld(t testing.TB, on *servers.Kind, o servers.Options) (*world, *pg.Cluster) {
	t.Helper()
	c := pgtest.Cluster(t)
	return dormantWith(t, c.URL(), on, o), c
}

// lock holds the row locks of accounts, or all of the accounts without one, until the returned function is called.
func (w *world) lock(users ...string) (release func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	w.t.Cleanup(release)
	if _, err := conn.Exec(w.t.Context(), "begin"); err != nil {
		w.t.Fatal(err)
	}
	if len(users) == 0 {
		if _, err := conn.Exec(w.t.Context(), "lock table accounts in access exclusive mode"); err != nil {
			w.t.Fatal(err)
		}
		return release
	}
	var jids []string
	for _, u := range users {
		jids = append(jids, w.jid(u))
	}
	tag, err := conn.Exec(w.t.Context(), "select from accounts where jid = any($1) for update", jids)
	if err != nil || int(tag.RowsAffected()) != len(users) {
		w.t.Fatalf("lock %v: %v, %v", users, tag, err)
	}
	return release
}

// lockAwaited waits until n transactions of the database wait for a lock.
func (w *world) lockAwaited(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d transactions wait for a lock", n), func() string {
		var got int
		if err := w.store.Pool().QueryRow(w.t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&got); err != nil {
			return err.Error()
		}
		if got < n {
			return fmt.Sprintf("%d do", got)
		}
		return ""
	})
}

// freeze stops every process of a PostgreSQL until thaw is called.
func (w *world) freeze(c *pg.Cluster) (thaw func()) {
	w.t.Helper()
	first, err := os.ReadFile(filepath.Join(filepath.Dir(c.LogFile()), "postmaster.pid"))
	if err != nil {
		w.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(first), "\n")
	postmaster, err := strconv.Atoi(line)
	if err != nil {
		w.t.Fatal(err)
	}
	pids := []int{postmaster} // first, so that it makes no more
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		w.t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			pids = append(pids, pid)
		}
	}
	thaw = sync.OnceFunc(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	w.t.Cleanup(thaw)
	return thaw
}

// outcome of a bind that runs.
type outcome struct {
	err error
	at  time.Time
}

// binding begins a bind.
func (w *world) binding(c *xmppclient.Client, resource string) <-chan outcome {
	done := make(chan outcome, 1)
	ctx := w.ctx()
	go func() {
		_, err := c.Bind(ctx, resource)
		done <- outcome{err, time.Now()}
	}()
	return done
}

// bound waits for a bind to go well.
func (w *world) bound(done <-chan outcome) outcome {
	w.t.Helper()
	o := <-done
	if o.err != nil {
		w.t.Fatalf("bind: %v\n%s", o.err, tail(w.server.Log(), 30))
	}
	return o
}

// unavailable waits for a bind to be refused by the failure policy.
func (w *world) unavailable(done <-chan outcome) outcome {
	w.t.Helper()
	o := <-done
	var e *xmppclient.StanzaError
	if !errors.As(o.err, &e) || e.Condition != "service-unavailable" || e.Type != "wait" || e.Denied == nil || e.Denied.Code != "unavailable" {
		w.t.Fatalf("bind: %v, want service-unavailable of type wait with denied code unavailable\n%s", o.err, tail(w.server.Log(), 30))
	}
	return o
}

// takenOver waits for a client's end by a newcomer.
func (w *world) takenOver(c *xmppclient.Client) {
	w.t.Helper()
	if e := w.evicted(c); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "takeover" {
		w.t.Fatalf("%s ended with %s", c.JID(), e.Raw)
	}
}

// lives fails if a client's stream has ended.
func (w *world) lives(c *xmppclient.Client) {
	w.t.Helper()
	select {
	case <-c.Closed():
		w.t.Fatalf("the stream of %s was ended: %v", c.JID(), c.Err())
	default:
	}
	if e := c.StreamError(); e != nil {
		w.t.Fatalf("the stream of %s is ended: %v", c.JID(), e.Raw)
	}
}

// serverSessions lists the server's sessions, "user/resource sid", sorted.
func (w *world) serverSessions() (string, error) {
	list, err := w.server.Sessions(w.t.Context())
	var out []string
	for _, s := range list {
		out = append(out, s.User+"/"+s.Resource+" "+s.SID)
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), err
}

// recordSessions lists the live sessions of the record in the same way; what is binding or evicting says so.
func (w *world) recordSessions() (string, error) {
	list, err := w.store.ListSessions(w.t.Context(), store.SessionFilter{Limit: 10000})
	if err != nil {
		return "", err
	}
	var out []string
	for _, s := range list.Sessions {
		user, _, _ := strings.Cut(s.JID, "@")
		line := user + "/" + s.Resource + " " + s.SID
		if s.State == "binding" || s.State == store.StateEvicting {
			line += " " + s.State
		}
		if s.DecidedAt.IsZero() {
			line += " unjudged"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), nil
}

// agreed waits until record and server are the same, nothing is under way, and no account has more than most sessions.
func (w *world) agreed(most int) {
	w.t.Helper()
	start, deadline := time.Now(), time.Now().Add(agreeWithin)
	for {
		record, rerr := w.recordSessions()
		server, serr := w.serverSessions()
		if rerr == nil && serr == nil && record == server && overLimit(server, most) == "" {
			w.t.Logf("record and server agree after %s", time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("record and server do not agree within %s (at most %d sessions an account)\nrecord (%v):\n%s\nserver (%v):\n%s\nthe server's log:\n%s",
				agreeWithin, most, rerr, record, serr, server, tail(w.server.Log(), 40))
		}
		time.Sleep(100 * time.Millisecond) // asking the server costs it a reload of its configuration
	}
}

func overLimit(sessions string, most int) string {
	n := map[string]int{}
	for line := range strings.Lines(sessions) {
		user, _, _ := strings.Cut(line, "/")
		if n[user]++; n[user] > most {
			return user
		}
	}
	return ""
}

// crowd is users that log in again and again, each with three devices in turn, over all transports. No two of them displace each other, and crowded lets each
// come back at once.
type crowd struct {
	w     *world
	users []string
	stop  func()
}

// crowd begins to log in and never out.
func (w *world) crowd(n int) *crowd { return w.crowdThat(n, func(*xmppclient.Client) {}) } //nolint:unparam // a test says how many

// crowdThat does something with each client that is bound, or was not let in, before it logs in with the next.
func (w *world) crowdThat(n int, then func(*xmppclient.Client)) *crowd {
	c := &crowd{w: w}
	ctx, cancel := context.WithCancel(w.t.Context())
	var wait sync.WaitGroup
	for i := range n {
		user := fmt.Sprintf("crowd%d", i)
		c.users = append(c.users, user)
		wait.Go(func() {
			tick := time.NewTicker(60 * time.Millisecond)
			defer tick.Stop()
			way := transports[i%len(transports)]
			for device := 0; ; device = (device + 1) % 3 {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if cl, err := w.tryDial(user, xmppclient.Options{Transport: way, SM: device == 1 && way != xmppclient.BOSH, Discard: true}); err == nil { //nolint:contextcheck // a login ends with the test, not with the crowd
					bind, cancel := context.WithTimeout(ctx, patience)
					_, _ = cl.Bind(bind, []string{"phone", "laptop", "tablet"}[device])
					cancel()
					then(cl)
				}
			}
		})
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		wait.Wait()
	})
	w.t.Cleanup(c.stop)
	return c
}

// crowded is one session for everybody, without a cooldown.
const crowded = `{"max_sessions": 1, "takeover_cooldown_seconds": 0}`

// busy waits until logins of the crowd have been decided.
func (c *crowd) busy() {
	c.w.t.Helper()
	before := c.decisions()
	c.w.until("logins are decided", func() string {
		if n := c.decisions(); n < before+3*len(c.users) {
			return fmt.Sprintf("%d, were %d", n, before)
		}
		return ""
	})
}

// decisions counts repeated denials too: a crowd is quick enough to be slowed as devices are that fight.
func (c *crowd) decisions() (n int) {
	if err := c.w.store.Pool().QueryRow(c.w.t.Context(), "select coalesce(sum(1 + repeats), 0) from decisions").Scan(&n); err != nil {
		return 0
	}
	return n
}

// getIn proves that nobody is locked out: each user logs in, is governed and stays.
func (c *crowd) getIn() {
	c.w.t.Helper()
	for _, user := range c.users {
		cl := c.w.login(user, "at last")
		c.w.recorded(user, "at last=active")
		c.w.lives(cl)
	}
}
