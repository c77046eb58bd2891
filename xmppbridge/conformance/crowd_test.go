package conformance

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Logins of one account for one resource, each of which evicts the one before, are carried out in the order of their answers, however long the evictions take together: else one
// would be told of as bound after the one that has replaced it.
func TestCrowdOnOneResource(t *testing.T) { servers.EachVersion(t, testCrowdOnOneResource) }

func testCrowdOnOneResource(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	const user = "crowd"
	var order []string // sids as they were asked about
	c.on(func(a ask) string {
		sid := a.node.Attr("sid")
		order = append(order, sid)
		if len(order) == 1 {
			return a.allow()
		}
		return a.allow(kickOf(order[len(order)-2], "code='takeover'", ""))
	})
	clients := make([]*xmppclient.Client, 8)
	for i := range clients {
		clients[i] = login(t, server, xmppclient.TCP, user, "en")
	}
	var binds sync.WaitGroup
	for _, client := range clients {
		binds.Go(func() {
			if _, err := client.Bind(within(t), "phone"); err != nil && client.StreamError() == nil {
				t.Errorf("bind: %v", err)
			}
		})
	}
	binds.Wait()
	var told []string
	c.await("all events", func() bool {
		told = told[:0]
		for _, e := range c.evs {
			told = append(told, e.kind+" "+e.node.Attr("sid"))
		}
		return len(told) >= 2*len(clients)-1
	})
	for i, sid := range order {
		want := []string{"bind " + sid, "unbind " + sid}
		for j, w := range want[:min(2, len(told)-2*i)] {
			if told[2*i+j] != w {
				t.Fatalf("events %q, want those of %q", told, order)
			}
		}
	}
	alive := 0
	for _, client := range clients {
		if client.StreamError() == nil {
			alive++
			mustLive(t, client)
		} else if e := client.StreamError(); e.Ended == nil || e.Ended.Code != "takeover" {
			t.Errorf("stream error: %s", e.Raw)
		}
	}
	if alive != 1 {
		t.Errorf("%d live", alive)
	}
}

// A session that several streams resume at once is one session, and ends as one. ejabberd hands it to each of them.
func TestResumedTwiceAtOnce(t *testing.T) { servers.EachVersion(t, testResumedTwiceAtOnce) }

func testResumedTwiceAtOnce(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	var all sync.WaitGroup
	for i := range 4 {
		user := fmt.Sprint("twins", i)
		old := loginWith(t, server, xmppclient.Options{Transport: xmppclient.TCP, User: user, SM: true})
		mustBind(t, old, "phone")
		for range 4 {
			next := login(t, server, xmppclient.TCP, user, "en")
			all.Go(func() {
				if err := next.Resume(within(t), old.SMID(), 0); err != nil && !errors.Is(err, xmppclient.ErrResumeFailed) && next.StreamError() == nil {
					t.Errorf("resume: %v", err)
				}
			})
		}
	}
	all.Wait()
	for i := range 4 {
		c.request("set", "<kick xmlns='"+ns+"' sid='"+c.event("bind", fmt.Sprint("twins", i), "phone").Attr("sid")+"'/>")
	}
	sessions, err := server.Sessions(t.Context())
	if err != nil || len(sessions) > 0 {
		t.Errorf("sessions that were kicked: %+v, %v", sessions, err)
	}
}
