package conformance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

func TestReload(t *testing.T) { servers.EachVersion(t, testReload) }

func testReload(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	epoch := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("epoch")
	clients := map[string]*xmppclient.Client{}
	for i := range 12 {
		client := loginWith(t, server, xmppclient.Options{Transport: transports[i%3], User: fmt.Sprintf("re%d", i), SM: i%4 == 0 && i%3 != 2})
		mustBind(t, client, "x")
		clients[c.event("bind", fmt.Sprintf("re%d", i), "").Attr("sid")] = client
	}
	check := func(how string) {
		t.Helper()
		sessions, _ := snapshot(c)
		if len(sessions) != len(clients) {
			t.Fatalf("%s: %d sessions, want %d", how, len(sessions), len(clients))
		}
		for _, s := range sessions {
			if clients[s.Attr("sid")] == nil {
				t.Errorf("%s: a new sid for %s", how, s.Attr("user"))
			}
		}
		if !sameDigest(c, 0, 4096, digest(sessions)) {
			t.Errorf("%s: digest differs", how)
		}
	}
	hellos := 1
	reload := func(how string, f func() error) {
		t.Helper()
		// One bind is held while the module goes: it is let in by the policy.
		c.on(nil)
		held := login(t, server, xmppclient.TCP, "held-"+how, "en")
		c.mu.Lock()
		asks := len(c.asks)
		c.mu.Unlock()
		bound := make(chan error, 1)
		go func() { _, err := held.Bind(within(t), "x"); bound <- err }()
		c.ask(asks + 1)
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if err := <-bound; err != nil {
			t.Errorf("%s: the held bind: %v", how, err)
		}
		hellos++
		c.await("a hello after "+how, func() bool { return c.hellos >= hellos })
		c.on(allowAll)
		sessions, _ := snapshot(c)
		for _, s := range sessions {
			if s.Attr("user") == "held-"+how {
				clients[s.Attr("sid")] = held
			}
		}
		now := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("epoch")
		if now == epoch {
			t.Errorf("%s: the epoch stays", how)
		}
		epoch = now
		check(how)
	}
	reload("reload", func() error { return server.Reload(t.Context()) })
	reload("unload-load", func() error {
		if err := server.Unload(t.Context()); err != nil {
			return err
		}
		return server.Load(t.Context())
	})
	// Everything works as before, on sessions of an earlier load too.
	for sid, client := range clients {
		if got := probe(c, 3000, sid); got[sid] != "alive" {
			t.Errorf("probe after a reload: %v", got)
		}
		if a := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"'/>"); a.Attr("type") != "result" {
			t.Fatalf("kick after a reload: %s", a.Raw)
		}
		if e := mustEnd(t, client); e.Ended == nil {
			t.Errorf("stream error: %s", e.Raw)
		}
	}
}

// TestReloadUnderLoad reloads the module again and again while clients log in and out. Nobody may be left without an answer.
func TestReloadUnderLoad(t *testing.T) { servers.EachVersion(t, testReloadUnderLoad) }

func testReloadUnderLoad(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				client := login(t, server, transports[(i+n)%3], fmt.Sprintf("load%d", i), "en")
				if _, err := client.Bind(within(t), fmt.Sprintf("r%d", n%2)); err != nil {
					t.Errorf("bind under reload: %v", err)
				}
				if n%3 == 0 {
					client.Close()
				} else {
					client.Cut()
				}
			}
		})
	}
	for range 15 {
		if err := server.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if errs := server.Errors(); errs != "" {
		t.Errorf("errors in the server's log:\n%s", errs)
	}
	// What remains is BOSH sessions whose clients were cut; the registry knows them all.
	deadline := time.Now().Add(patience)
	for {
		sessions, _ := snapshot(c)
		bound, err := server.Sessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions) == len(bound) && sameDigest(c, 0, 4096, digest(sessions)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("registry %d, server %d", len(sessions), len(bound))
		}
	}
}
