package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// The strictest rules, one device and who comes later is refused, with a failure policy that refuses too: whatever fails amid logins and logouts, nothing
// that is left of it keeps anybody out for long.
func TestNobodyIsLockedOut(t *testing.T) { servers.Each(t, testNobodyIsLockedOut) }

func testNobodyIsLockedOut(t *testing.T, on *servers.Kind) {
	w, cluster := clusterWorld(t, on, servers.Options{Own: true, OnFailure: "deny"})
	p := w.proxied()
	w.start()
	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	faults := []struct {
		name string
		do   func() error
	}{
		{"the link is cut", func() error { p.cut(); return nil }},
		{"the module is reloaded", func() error { return w.server.Reload(t.Context()) }},
		{"bindgate is restarted", func() error {
			w.running.stop()
			w.mu.Lock()
			w.running = w.launch("next")
			w.mu.Unlock()
			return nil
		}},
		{"PostgreSQL is killed", func() error {
			if err := cluster.Kill(); err != nil {
				return err
			}
			return cluster.Restart(t.Context())
		}},
		{"the server is killed", func() error {
			w.server.Kill()
			return w.server.Restart(t.Context())
		}},
	}
	for _, fault := range faults {
		crowd := w.crowdThat(crowdSize, func(c *xmppclient.Client) {
			if rand.N(2) == 0 {
				c.Cut()
			} else {
				c.Close()
			}
		})
		crowd.busy()
		if err := fault.do(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		crowd.stop()
		var group errgroup.Group
		for _, user := range crowd.users {
			group.Go(func() error { return w.getsIn(user, began.Add(agreeWithin)) })
		}
		if err := group.Wait(); err != nil {
			record, _ := w.recordSessions()
			t.Fatalf("after %s: %v\nrecord:\n%s", fault.name, err, record)
		}
		t.Logf("everybody got in %s after %s", time.Since(began).Round(time.Millisecond), fault.name)
		w.agreed(1)
	}
}

// getsIn logs in, tries again while it is refused, and logs out.
func (w *world) getsIn(user string, deadline time.Time) error {
	for {
		c, err := w.tryDial(user, xmppclient.Options{})
		if err == nil {
			_, err = c.Bind(w.ctx(), "at last")
			c.Close()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is locked out: %w", user, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
