package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// digest is the protocol's, computed here on its own.
func digest(sessions []*xmppclient.Element) string {
	var sum uint64
	for _, s := range sessions {
		h := sha256.Sum256([]byte(s.Attr("sid") + "\n" + s.Attr("resource") + "\n" + s.Attr("state")))
		sum += binary.BigEndian.Uint64(append([]byte{0, 0}, h[:6]...))
	}
	return fmt.Sprintf("%d-%012x", len(sessions), sum&(1<<48-1))
}

func bucket(user, host string) int {
	h := sha256.Sum256([]byte(user + "@" + host))
	return int(h[0])<<4 | int(h[1])>>4
}

// snapshot reads all parts.
func snapshot(c *component) (sessions []*xmppclient.Element, parts int) {
	c.t.Helper()
	for first := 0; first < 4096; parts++ {
		answer := c.request("get", fmt.Sprintf("<snapshot xmlns='%s' first='%d' count='%d'/>", ns, first, 4096-first))
		node := answer.Child(ns, "snapshot")
		if node == nil {
			c.t.Fatalf("snapshot: %s", answer.Raw)
		}
		var count int
		if _, err := fmt.Sscan(node.Attr("count"), &count); err != nil || count < 1 || node.Attr("first") != fmt.Sprint(first) {
			c.t.Fatalf("snapshot: %s", node.Raw[:min(300, len(node.Raw))])
		}
		for _, s := range node.Children {
			if b := bucket(s.Attr("user"), c.domain); b < first || b >= first+count {
				c.t.Errorf("%s is of bucket %d, in a part of %d+%d", s.Attr("user"), b, first, count)
			}
		}
		sessions = append(sessions, node.Children...)
		first += count
	}
	return sessions, parts
}

func sameDigest(c *component, first, count int, digest string) bool {
	c.t.Helper()
	answer := c.request("get", fmt.Sprintf("<snapshot xmlns='%s' first='%d' count='%d' digest='%s'/>", ns, first, count, digest))
	node := answer.Child(ns, "snapshot")
	if node.Attr("same") == "1" && (len(node.Children) != 0 || node.Attr("count") != fmt.Sprint(count)) {
		c.t.Errorf("same: %s", node.Raw)
	}
	return node.Attr("same") == "1"
}

func TestSnapshot(t *testing.T) { servers.EachVersion(t, testSnapshot) }

func testSnapshot(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	if sessions, parts := snapshot(c); len(sessions) != 0 || parts != 1 {
		t.Fatalf("empty: %d sessions in %d parts", len(sessions), parts)
	}
	if !sameDigest(c, 0, 4096, "0-000000000000") {
		t.Error("digest of nothing")
	}
	const n = 260
	var wg sync.WaitGroup
	clients := make([]*xmppclient.Client, n)
	for i := range n {
		wg.Go(func() {
			clients[i] = loginWith(t, server, xmppclient.Options{User: fmt.Sprintf("snap%d", i/2), SM: i%5 == 0})
			mustBind(t, clients[i], fmt.Sprintf("r%d", i%2))
		})
	}
	wg.Wait()
	for i := 0; i < n; i += 10 {
		clients[i].Cut()
		c.event("hibernate", fmt.Sprintf("snap%d", i/2), "")
	}
	sessions, parts := snapshot(c)
	if len(sessions) != n || parts < 3 {
		t.Fatalf("%d sessions in %d parts", len(sessions), parts)
	}
	hibernating := 0
	for _, s := range sessions {
		if s.Attr("state") == "hibernating" {
			hibernating++
		}
	}
	if hibernating != n/10 {
		t.Errorf("%d hibernating, want %d", hibernating, n/10)
	}
	if !sameDigest(c, 0, 4096, digest(sessions)) {
		t.Error("digest of all differs")
	}
	var half []*xmppclient.Element
	for _, s := range sessions {
		if b := bucket(s.Attr("user"), c.domain); b >= 1000 && b < 3000 {
			half = append(half, s)
		}
	}
	if !sameDigest(c, 1000, 2000, digest(half)) {
		t.Error("digest of a range differs")
	}
	clients[1].Cut()
	c.event("unbind", "snap0", "r1")
	if sameDigest(c, 0, 4096, digest(sessions)) {
		t.Error("digest did not change with the sessions")
	}
	sessions, _ = snapshot(c)
	if len(sessions) != n-1 || !sameDigest(c, 0, 4096, digest(sessions)) {
		t.Error("digest after an unbind differs")
	}
}

// TestOldestFirst: an account's sessions are listed in the order of their binds, though all are of the same second.
func TestOldestFirst(t *testing.T) { servers.EachVersion(t, testOldestFirst) }

func testOldestFirst(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	var want []string
	for i := range 55 {
		mustBind(t, login(t, server, xmppclient.TCP, "row", "en"), "")
		want = append(want, c.event("bind", "row", "").Attr("sid"))
		if i == 20 {
			if err := server.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.await("a second hello", func() bool { return c.hellos == 2 })
			c.request("get", "<hello xmlns='"+ns+"'/>")
		}
	}
	mustBind(t, login(t, server, xmppclient.TCP, "row", "en"), "")
	c.mu.Lock()
	last := c.asks[len(c.asks)-1].Child(ns, "ask")
	c.mu.Unlock()
	if len(last.Children) != 50 || last.Attr("more") != "1" {
		t.Errorf("%d sessions in the ask, more=%q", len(last.Children), last.Attr("more"))
	}
	for i, s := range last.Children {
		if s.Attr("sid") != want[i] {
			t.Fatalf("ask: session %d is not the one bound then", i)
		}
	}
	sessions, _ := snapshot(c)
	for i, sid := range want {
		if sessions[i].Attr("sid") != sid {
			t.Fatalf("snapshot: session %d is not the one bound then", i)
		}
	}
}
