package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// Without bindgate logins follow the failure policy at once; when it comes, whoever was let in is decided: newest wins.
func TestComponentAway(t *testing.T) { servers.Each(t, testComponentAway) }

func testComponentAway(t *testing.T, on *servers.Kind) {
	t.Run("allow", func(t *testing.T) {
		t.Parallel()
		w := dormant(t, on, servers.Options{})
		w.rule(`{"max_sessions": 1}`)
		w.ruleOf("bob", `{"max_sessions": 2}`)
		w.ruleOf("cat", `{"max_sessions": 2, "on_excess": "deny"}`)
		clients := map[string][]*xmppclient.Client{}
		for i := range 4 {
			for _, user := range []string{"ann", "bob", "cat"} {
				c := w.dial(user, xmppclient.Options{})
				if d := w.bindIn(c, fmt.Sprint("device", i)); d > soon {
					t.Errorf("a bind without bindgate took %s", d)
				}
				clients[user] = append(clients[user], c)
			}
		}
		w.start()
		for i := range 3 {
			w.takenOver(clients["ann"][i])
		}
		for i := range 2 {
			w.takenOver(clients["bob"][i])
			if e := w.evicted(clients["cat"][2+i]); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "rule" {
				t.Errorf("under on_excess deny the last are ended by the rule: %s", e.Raw)
			}
		}
		w.recorded("ann", "device3=active")
		w.recorded("bob", "device2=active device3=active")
		w.recorded("cat", "device0=active device1=active")
		w.stays(clients["ann"][3])
		w.agreed(2)

		// It goes and comes back.
		w.running.stop()
		c := w.dial("ann", xmppclient.Options{})
		if d := w.bindIn(c, "while away"); d > soon {
			t.Errorf("a bind without bindgate took %s", d)
		}
		w.start()
		w.takenOver(clients["ann"][3])
		w.recorded("ann", "while away=active")
		w.agreed(2)
	})
	t.Run("deny", func(t *testing.T) {
		t.Parallel()
		w := dormant(t, on, servers.Options{OnFailure: "deny"})
		c := w.dial("ann", xmppclient.Options{})
		began := time.Now()
		if o := w.unavailable(w.binding(c, "phone")); o.at.Sub(began) > soon {
			t.Errorf("the refusal took %s", o.at.Sub(began))
		}
		w.start()
		w.bindIn(c, "phone")
		w.recorded("ann", "phone=active")
		w.agreed(1)
	})
}

// A kick that cannot be done now is pending, and done when the link is back, by whoever serves it then.
func TestKickWithTheLinkDown(t *testing.T) { servers.Each(t, testKickWithTheLinkDown) }

func testKickWithTheLinkDown(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{})
	p := w.proxied()
	b := w.start()
	ann, bob := w.login("ann", "phone"), w.login("bob", "phone")
	w.recorded("ann", "phone=active")
	w.recorded("bob", "phone=active")
	p.shut()
	w.until("the link is down", func() string {
		if s := w.link().State; s != "down" {
			return s
		}
		return ""
	})
	var answer shownKick
	w.rest().do("POST", "/v1/accounts/"+w.jid("ann")+"/kick", `{"all": true, "text": {"en": "go away"}}`, &answer, http.StatusAccepted)
	if answer.outcomes() != "phone=pending" {
		t.Fatalf("%+v", answer)
	}
	w.recorded("ann", "phone=evicting")

	// Another bindgate takes over while the server is still out of reach, and takes a second kick.
	b.stop()
	w.running = w.launch("second")
	report, err := w.running.gate.Kick(t.Context(), gate.KickRequest{Account: w.jid("bob"), By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0)
	if err != nil || len(report.Results) != 1 || report.Results[0].Outcome != gate.OutcomePending {
		t.Fatalf("%+v, %v", report, err)
	}
	w.stays(ann)
	w.stays(bob)
	p.open()
	if e := w.evicted(ann); e.Condition != "conflict" || e.Text != "go away" || e.Ended == nil || e.Ended.Code != "kick" {
		t.Errorf("ann: %s", e.Raw)
	}
	if e := w.evicted(bob); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "kick" {
		t.Errorf("bob: %s", e.Raw)
	}
	w.recorded("ann", "")
	w.recorded("bob", "")
	w.agreed(1)
}

// The database hangs, freezes, then is gone: logins are answered by policy within the module's timeout, readiness says so, and afterwards the record is
// repaired.
func TestDatabaseAway(t *testing.T) { servers.Each(t, testDatabaseAway) }

func testDatabaseAway(t *testing.T, on *servers.Kind) {
	const timeout = time.Second
	w, cluster := clusterWorld(t, on, servers.Options{Timeout: timeout})
	p := w.spawn()
	w.owned(p)
	w.rule(`{"max_sessions": 1}`)
	var clients []*xmppclient.Client
	bind := func(resource string, most time.Duration) {
		t.Helper()
		c := w.dial("ann", xmppclient.Options{})
		if d := w.bindIn(c, resource); d > most {
			t.Errorf("the bind of %s took %s", resource, d)
		}
		clients = append(clients, c)
	}
	bind("before", patience)
	w.recorded("ann", "before=active")
	ready := func(status int) {
		t.Helper()
		w.until(fmt.Sprintf("/readyz is %d", status), func() string {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
			if err != nil {
				return err.Error()
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err.Error()
			}
			resp.Body.Close()
			if resp.StatusCode != status {
				return resp.Status
			}
			return ""
		})
	}
	ready(http.StatusOK)

	release := w.lock()
	bind("slow", timeout+soon)
	release()
	w.recorded("ann", "slow=active")
	w.takenOver(clients[0])

	thaw := w.freeze(cluster)
	bind("frozen", timeout+soon)
	ready(http.StatusServiceUnavailable)
	thaw()
	ready(http.StatusOK)
	w.recorded("ann", "frozen=active")
	w.takenOver(clients[1])

	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	bind("away", timeout+soon)
	bind("away too", timeout+soon)
	ready(http.StatusServiceUnavailable)
	for _, c := range clients[2:] {
		w.lives(c)
	}
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusOK)
	w.takenOver(clients[2])
	w.takenOver(clients[3])
	w.recorded("ann", "away too=active")
	w.agreed(1)
}

// Accounts whose rows are locked for long delay nobody else, and are answered by policy themselves.
func TestHotAccounts(t *testing.T) { servers.Each(t, testHotAccounts) }

func testHotAccounts(t *testing.T, on *servers.Kind) {
	const timeout = 5 * time.Second // time for the others on a busy machine: behind the hot ones' timeouts the breaker opens
	w := newWorld(t, on, servers.Options{Timeout: timeout})
	w.rule(`{"max_sessions": 1}`)
	var hot []string
	for i := range 12 {
		hot = append(hot, fmt.Sprint("hot", i))
		w.login(hot[i], "phone")
		w.recorded(hot[i], "phone=active")
	}
	release := w.lock(hot...)
	var held []<-chan outcome
	for i, user := range hot {
		held = append(held, w.binding(w.dial(user, xmppclient.Options{}), "tablet"))
		if i == 0 {
			w.lockAwaited(1)
		}
	}
	before := w.running.gate.Stats().Allowed.Load()
	began := time.Now()
	for i := range 20 {
		if d := w.bindIn(w.dial(fmt.Sprint("other", i), xmppclient.Options{}), "phone"); d > time.Second {
			t.Errorf("the bind of another account took %s", d)
		}
	}
	if n := w.running.gate.Stats().Allowed.Load() - before; n != 20 {
		t.Errorf("%d of 20 logins were decided within %s", n, time.Since(began))
	}
	for i, h := range held {
		w.bound(h)
		t.Logf("%s was bound by policy", hot[i])
	}
	release()
	for _, user := range hot {
		w.recorded(user, "tablet=active")
	}
	w.agreed(1)
}
