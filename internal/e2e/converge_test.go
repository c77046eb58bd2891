package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

type shownJob struct {
	State       string
	Total, Done int
	Sessions    struct {
		Kicked, Pending int
		StillPresent    int `json:"still_present"`
	}
}

// put changes a rule with apply=now and returns the path of its kick.
func (r *rest) put(path, rule string) string {
	r.t.Helper()
	return r.do("PUT", path+"?apply=now", rule, nil, 200, 201).Get("Location")
}

// A lowered limit is previewed, then applied to live clients: who goes reads why, who stays is not disturbed, and a restart in the middle changes nothing.
func TestALoweredLimitConverges(t *testing.T) { servers.OneOrEach(t, testALoweredLimitConverges) }

func testALoweredLimitConverges(t *testing.T, on *servers.Kind) {
	const users, each = 40, 3
	w := newWorld(t, on, servers.Options{})
	clients := make([][]*xmppclient.Client, users)
	for u := range users {
		for n := range each {
			clients[u] = append(clients[u], w.login(fmt.Sprint("user", u), fmt.Sprint("r", n)))
		}
	}
	rest := w.rest()
	var p struct {
		Accounts, Sessions, Considered int
		Complete                       bool
	}
	rest.do("POST", "/v1/rules/preview", `{"level":"default","rule":{"max_sessions":1}}`, &p, 200)
	if p.Accounts != users || p.Sessions != users*(each-1) || p.Considered != users || !p.Complete {
		t.Errorf("preview: %+v", p)
	}
	at := rest.put("/v1/rules/default", `{"max_sessions":1,"text":{"rule":{"en":"One device only."}}}`)
	var j shownJob
	w.until("some have gone", func() string {
		if rest.do("GET", at, "", &j, 200); j.Sessions.Kicked == 0 {
			return fmt.Sprintf("%+v", j)
		}
		return ""
	})
	w.running.stop()
	w.start()
	w.until("the kick is done", func() string {
		if rest.do("GET", at, "", &j, 200); j.State != "done" {
			return fmt.Sprintf("%+v", j)
		}
		return ""
	})
	if j.Total != users || j.Done != users || j.Sessions.Kicked != users*(each-1) || j.Sessions.Pending+j.Sessions.StillPresent != 0 {
		t.Errorf("%+v", j)
	}
	for u, list := range clients {
		for _, c := range list[:each-1] {
			if e := w.evicted(c); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "rule" || e.Text != "One device only." {
				t.Fatalf("user %d: %+v", u, e)
			}
		}
		w.stays(list[each-1])
		if got := w.onServer(fmt.Sprint("user", u)); got != "r2" {
			t.Errorf("user %d has %s on the server", u, got)
		}
	}
}

// Of two sessions that the record has heard nothing of since they began, the one whose client does something stays, and the other ends; and so does one that is too old.
func TestSessionsEndByThemselves(t *testing.T) { servers.OneOrEach(t, testSessionsEndByThemselves) }

func testSessionsEndByThemselves(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_idle_seconds":6}`)
	w.ruleOf("old", `{"max_session_age_seconds":3,"max_idle_seconds":null}`)
	busy, idle, old := w.login("busy", "r"), w.login("idle", "r"), w.login("old", "r")
	ctx, cancel := context.WithCancel(t.Context())
	var pings sync.WaitGroup
	for _, c := range []*xmppclient.Client{busy, old} {
		pings.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.IQ(ctx, w.server.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	for _, c := range []*xmppclient.Client{idle, old} {
		if e := w.evicted(c); e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "expired" {
			t.Errorf("%s: %+v", c.JID(), e)
		}
	}
	w.recorded("idle", "")
	w.recorded("old", "")
	w.stays(busy)
	cancel()
	pings.Wait()
	w.recorded("busy", "r=active")
	w.wantDecided("idle", "r allow/ok 1 []", "r deny/limit 1 [1]")
	w.wantDecided("old", "r allow/ok 1 []", "r deny/limit 1 [1]")
	w.wantDecided("busy", "r allow/ok 1 []")
	w.evicted(busy) // now that it is idle
}
