package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// takeoverWithin is how long a link may be without an owner.
const takeoverWithin = 5 * time.Second

const crowdSize = 8

// kickWhileFrozen has a session kicked while the server cannot do it, so that the kick is accepted and nothing more when the fault comes.
func (w *world) kickWhileFrozen(kick func()) (thaw func()) {
	w.t.Helper()
	if err := w.server.Signal(syscall.SIGSTOP); err != nil {
		w.t.Fatal(err)
	}
	kick()
	return func() {
		w.t.Helper()
		if err := w.server.Signal(syscall.SIGCONT); err != nil {
			w.t.Fatal(err)
		}
	}
}

// accepted kicks all sessions of a user and wants it pending.
func (w *world) accepted(user string) {
	w.t.Helper()
	report, err := w.running.gate.Kick(w.t.Context(), gate.KickRequest{Account: w.jid(user), By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0)
	if err != nil || len(report.Results) != 1 || report.Results[0].Outcome != gate.OutcomePending {
		w.t.Fatalf("kick: %+v, %v", report, err)
	}
}

// kicked waits for a client's end by a kick.
func (w *world) kicked(c *xmppclient.Client) {
	w.t.Helper()
	if e := w.evicted(c); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "kick" {
		w.t.Fatalf("%s ended with %s", c.JID(), e.Raw)
	}
}

// The server is killed in the middle of logins and starts again.
func TestServerKilled(t *testing.T) { servers.EachVersion(t, testServerKilled) }

func testServerKilled(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Own: true})
	w.rule(crowded)
	w.login("kim", "phone")
	w.recorded("kim", "phone=active")
	crowd := w.crowd(crowdSize)
	crowd.busy()
	w.kickWhileFrozen(func() { w.accepted("kim") })
	w.server.Kill()
	if err := w.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.agreedAmid(crowd)
	w.recorded("kim", "")
	crowd.getIn()
}

// agreedAmid lets the logins go on for a moment after a fault, ends them, and compares.
func (w *world) agreedAmid(c *crowd) {
	w.t.Helper()
	c.busy()
	c.stop()
	w.agreed(1)
}

// The database is restarted and killed in the middle of logins.
func TestDatabaseKilled(t *testing.T) { servers.Each(t, testDatabaseKilled) }

func testDatabaseKilled(t *testing.T, on *servers.Kind) {
	w, cluster := clusterWorld(t, on, servers.Options{Own: true})
	w.start()
	w.rule(crowded)
	kim, lee := w.login("kim", "phone"), w.login("lee", "phone")
	w.recorded("kim", "phone=active")
	w.recorded("lee", "phone=active")
	crowd := w.crowd(crowdSize)
	crowd.busy()
	thaw := w.kickWhileFrozen(func() { w.accepted("kim") })
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	thaw()
	w.kicked(kim)
	crowd.busy()
	thaw = w.kickWhileFrozen(func() { w.accepted("lee") })
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	thaw()
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.kicked(lee)
	w.agreedAmid(crowd)
	crowd.getIn()
}

// bindgate is killed in the middle of logins and started again.
func TestBindgateKilled(t *testing.T) { servers.Each(t, testBindgateKilled) }

func testBindgateKilled(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{Own: true})
	w.rule(crowded)
	p := w.spawn()
	w.owned(p)
	kim := w.login("kim", "phone")
	w.recorded("kim", "phone=active")
	crowd := w.crowd(crowdSize)
	crowd.busy()
	thaw := w.kickWhileFrozen(func() {
		var answer shownKick
		p.rest().do("POST", "/v1/accounts/"+w.jid("kim")+"/kick", `{"all": true}`, &answer, http.StatusAccepted)
		if answer.outcomes() != "phone=pending" {
			t.Fatalf("%+v", answer)
		}
	})
	p.kill()
	thaw()
	w.spawn()
	w.kicked(kim)
	w.agreedAmid(crowd)
	crowd.getIn()
}

// The module is reloaded again and again while devices log in.
func TestModuleReloadedUnderLoad(t *testing.T) { servers.EachVersion(t, testModuleReloadedUnderLoad) }

func testModuleReloadedUnderLoad(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(crowded)
	crowd := w.crowd(crowdSize)
	for range 5 {
		crowd.busy()
		if err := w.server.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.agreedAmid(crowd)
	crowd.getIn()
}

// The component's connection is cut again and again while devices log in.
func TestLinkCutUnderLoad(t *testing.T) { servers.EachVersion(t, testLinkCutUnderLoad) }

func testLinkCutUnderLoad(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{})
	p := w.proxied()
	w.start()
	w.rule(crowded)
	crowd := w.crowd(crowdSize)
	for range 3 {
		crowd.busy()
		p.cut()
	}
	w.agreedAmid(crowd)
	crowd.getIn()
}

// Two bindgates on one database: one owns the link, the other takes over when the owner ends, is killed, or freezes; one that comes back to
// life writes nothing late and stands by.
func TestStandby(t *testing.T) { servers.Each(t, testStandby) }

func testStandby(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.spawn()
	w.owned(first)
	second := w.spawn()
	w.governed("ann")

	began := time.Now()
	first.end()
	w.inTime(began, second, "ended")
	w.governed("ann")

	third := w.spawn()
	began = time.Now()
	second.kill()
	w.inTime(began, third, "was killed")
	w.governed("ann")

	fourth := w.spawn()
	bob, cat := w.login("bob", "phone"), w.login("cat", "phone")
	w.recorded("bob", "phone=active")
	w.recorded("cat", "phone=active")
	release := w.lock("bob")
	held := w.binding(w.dial("bob", xmppclient.Options{}), "tablet") // the process freezes in its transaction
	w.lockAwaited(1)
	began = time.Now()
	third.signal(syscall.SIGSTOP)
	release()
	late := w.binding(w.dial("cat", xmppclient.Options{}), "tablet") // it finds this ask when it wakes
	w.inTime(began, fourth, "froze")
	w.bound(held)
	w.bound(late)
	w.takenOver(bob)
	w.takenOver(cat)
	w.recorded("bob", "tablet=active")
	w.recorded("cat", "tablet=active")
	w.governed("ann")
	var before string
	w.until("the record is at rest", func() string {
		was := before
		before = w.written()
		if before != was {
			return before
		}
		return ""
	})
	third.signal(syscall.SIGCONT)
	w.until("the process that was frozen knows that it is the owner no more", func() string {
		if log := third.log.String(); !strings.Contains(log, "another process owns the link now") {
			return log
		}
		return ""
	})
	w.agreed(1)
	if after := w.written(); after != before {
		t.Errorf("the process that was frozen has written:\n%s\nbefore:\n%s", after, before)
	}
	w.governed("ann")

	began = time.Now()
	fourth.end()
	w.inTime(began, third, "ended") // it stands by again
	w.governed("ann")
	w.agreed(1)
}

// inTime waits for a process to own the link, and then for its connection.
func (w *world) inTime(since time.Time, p *process, fault string) {
	w.t.Helper()
	w.until("process "+p.name+" has the lease", func() string {
		links, err := w.store.Links(w.t.Context())
		if err != nil || len(links) != 1 || links[0].OwnerName != p.name {
			return fmt.Sprintf("%+v, %v", links, err)
		}
		return ""
	})
	took := time.Since(since)
	w.owned(p)
	w.t.Logf("taken over %s after the owner %s", took.Round(time.Millisecond), fault)
	if took > takeoverWithin {
		w.t.Errorf("taken over %s after the owner %s, at most %s", took, fault, takeoverWithin)
	}
}

// governed proves that logins are decided: the second takes the first one's place, by an answer and not afterwards.
func (w *world) governed(user string) { //nolint:unparam // a test says whose
	w.t.Helper()
	first := w.login(user, "one")
	w.recorded(user, "one=active")
	second := w.login(user, "two")
	w.takenOver(first)
	w.recorded(user, "two=active")
	second.Close()
	w.recorded(user, "")
}

// written is all that the record knows of decisions and sessions.
func (w *world) written() string {
	w.t.Helper()
	var s string
	if err := w.store.Pool().QueryRow(w.t.Context(), `select concat((select count(*) from decisions), ' decisions, ', (select sum(generation) from accounts), ' admissions, ',
		(select sum(revision) from accounts), ' revisions, ', (select count(*) from session_history), ' ends, ', (select string_agg(sid || ' ' || state, ' ' order by sid) from sessions))`).Scan(&s); err != nil {
		w.t.Fatal(err)
	}
	return s
}
