package prosody_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

func TestHibernateAndResume(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	for i, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		user := "judy-" + transport.String()
		first := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: true})
		mustBind(t, first, "phone")
		sid := c.event("bind", user, "").Attr("sid")
		first.Cut()
		c.event("hibernate", user, "")
		if i == 0 {
			// The server's list in an ask shows it.
			other := login(t, server, xmppclient.TCP, user, "en")
			mustBind(t, other, "other")
			if s := c.ask(2).node.Children[0]; s.Attr("state") != "hibernating" || s.Attr("sid") != sid {
				t.Errorf("session in ask: %s", s.Raw)
			}
			other.Close()
		}
		second := login(t, server, transport, user, "en")
		if err := second.Resume(within(t), first.SMID(), first.Handled()); err != nil {
			t.Fatal(err)
		}
		if e := c.event("resume", user, ""); e.Attr("sid") != sid || e.Attr("ip") != "127.0.0.1" || e.Attr("transport") != transport.String() {
			t.Errorf("resume: %s", e.Raw)
		}
		// The probe still works over the new connection, and the kick ends it for good.
		if got := probe(c, 2000, sid); got[sid] != "alive" {
			t.Errorf("probe after resume: %v", got)
		}
		if a := c.request("set", "<kick xmlns='"+ns+"' sid='"+sid+"'/>"); a.Attr("type") != "result" {
			t.Fatalf("kick: %s", a.Raw)
		}
		mustEnd(t, second)
		if err := login(t, server, transport, user, "en").Resume(within(t), first.SMID(), 0); !errors.Is(err, xmppclient.ErrResumeFailed) {
			t.Errorf("resumed: %v", err)
		}
	}
	// Every event once, in order.
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 1; i < len(c.evs); i++ {
		if c.evs[i].seq <= c.evs[i-1].seq {
			t.Error("events out of order")
		}
	}
}

func TestEventsAreOrderedAndCounted(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	var wg sync.WaitGroup
	const n = 60
	for i := range n {
		wg.Go(func() {
			client := login(t, server, transports[i%3], fmt.Sprintf("many%d", i%10), "en")
			if _, err := client.Bind(within(t), ""); err != nil {
				t.Error(err)
			}
			client.Close()
		})
	}
	wg.Wait()
	c.await("all events", func() bool { return len(c.evs) >= 2*n })
	c.mu.Lock()
	defer c.mu.Unlock()
	bound := map[string]bool{}
	for i, e := range c.evs {
		if e.seq != i+1 {
			t.Fatalf("event %d has seq %d", i+1, e.seq)
		}
		sid := e.node.Attr("sid")
		if e.kind == "bind" {
			if bound[sid] {
				t.Errorf("sid %s bound twice", sid)
			}
			bound[sid] = true
		} else if !bound[sid] {
			t.Errorf("%s of an unbound sid", e.kind)
		}
	}
}

// probe asks about the sids and returns the verdicts.
func probe(c *component, ms int, sids ...string) map[string]string {
	c.t.Helper()
	content := fmt.Sprintf("<probe xmlns='%s' timeout_ms='%d'>", ns, ms)
	for _, sid := range sids {
		content += "<session user='' sid='" + sid + "'/>"
	}
	answer := c.request("get", content+"</probe>")
	verdicts := map[string]string{}
	node := answer.Child(ns, "probe")
	if node == nil {
		c.t.Fatalf("probe: %s", answer.Raw)
	}
	for _, s := range node.Children {
		verdicts[s.Attr("sid")] = s.Attr("verdict")
	}
	return verdicts
}

func TestProbe(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	want := map[string]string{"never-was": "gone"}
	for _, transport := range transports {
		for _, sm := range []bool{false, true} {
			user := fmt.Sprintf("p-%s-%t", transport, sm)
			bind := func(resource string) (*xmppclient.Client, string) {
				client := loginWith(t, server, xmppclient.Options{Transport: transport, User: user, SM: sm})
				mustBind(t, client, resource)
				return client, c.event("bind", user, resource).Attr("sid")
			}
			_, sid := bind("alive")
			want[sid] = "alive"
			mute, sid := bind("mute")
			mute.Mute(true)
			want[sid] = "silent"
			frozen, sid := bind("frozen")
			frozen.Freeze()
			want[sid] = "silent"
			if sm && transport != xmppclient.BOSH {
				cut, sid := bind("cut")
				cut.Cut()
				c.event("hibernate", user, "cut")
				want[sid] = "hibernating"
			}
		}
	}
	var sids []string
	for sid := range want {
		sids = append(sids, sid)
	}
	start := time.Now()
	got := probe(c, 700, sids...)
	if took := time.Since(start); took < 700*time.Millisecond || took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	for sid, verdict := range want {
		if got[sid] != verdict {
			t.Errorf("%s: %q, want %q", sid, got[sid], verdict)
		}
	}
	// All verdicts known: answered at once.
	start = time.Now()
	for sid, verdict := range want {
		if verdict == "alive" {
			if got := probe(c, 5000, sid); got[sid] != "alive" {
				t.Errorf("alone: %v", got)
			}
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	too := "<probe xmlns='" + ns + "' timeout_ms='1'>" + strings.Repeat("<session sid='x'/>", 51) + "</probe>"
	if condition, _ := conditionOf(c.request("get", too)); condition != "bad-request" {
		t.Errorf("51 sessions: %s", condition)
	}
}

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

func TestSnapshot(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
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
		if b := bucket(s.Attr("user"), "localhost"); b >= 1000 && b < 3000 {
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
func TestOldestFirst(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	var want []string
	for i := range 55 {
		mustBind(t, login(t, server, xmppclient.TCP, "row", "en"), "")
		want = append(want, c.event("bind", "row", "").Attr("sid"))
		if i == 20 {
			if err := server.Reload(t.Context(), "localhost", "bindgate"); err != nil {
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

func TestModeIsKept(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	deny := func(a ask) string { return a.deny("code='limit' condition='resource-constraint'", "") }
	c.on(deny)
	set := func(mode string) {
		t.Helper()
		if answer := c.request("set", "<mode xmlns='"+ns+"' value='"+mode+"'/>"); answer.Attr("type") != "result" {
			t.Fatalf("mode: %s", answer.Raw)
		}
	}
	try := func(user string) (asked bool, err error) {
		t.Helper()
		c.mu.Lock()
		before := len(c.asks)
		c.mu.Unlock()
		_, err = login(t, server, xmppclient.TCP, user, "en").Bind(within(t), "x")
		if err == nil {
			c.event("bind", user, "")
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.asks) > before, err
	}
	if asked, err := try("one"); !asked || err == nil {
		t.Errorf("enforce: asked %t, %v", asked, err)
	}
	set("observe")
	if asked, err := try("two"); !asked || err != nil {
		t.Errorf("observe: asked %t, %v", asked, err)
	}
	// Observe: answers kick nobody, direct kicks still work.
	sid := ""
	c.on(func(a ask) string {
		sid = a.node.Children[0].Attr("sid")
		return a.allow(kickOf(sid, "code='takeover'", ""))
	})
	if asked, err := try("two"); !asked || err != nil {
		t.Errorf("observe: asked %t, %v", asked, err)
	}
	if answer := c.request("get", "<probe xmlns='"+ns+"' timeout_ms='50'><session sid='"+sid+"'/></probe>"); strings.Contains(answer.Raw, "gone") {
		// The same resource: core replaced it.
		if e := c.event("unbind", "two", ""); e.Attr("reason") != "replaced" {
			t.Errorf("observe kicked: %s", e.Raw)
		}
	}
	set("off")
	c.on(deny)
	if asked, err := try("three"); asked || err != nil {
		t.Errorf("off: asked %t, %v", asked, err)
	}
	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked, err := func() (bool, error) {
		_, err := login(t, server, xmppclient.TCP, "alone", "en").Bind(within(t), "x")
		return false, err
	}(); asked || err != nil {
		t.Errorf("after a restart without bindgate: %v", err)
	}
	c = connect(t, server, true)
	c.on(deny)
	if mode := c.request("get", "<hello xmlns='"+ns+"'/>").Child(ns, "hello").Attr("mode"); mode != "off" {
		t.Errorf("mode after a restart: %s", mode)
	}
	set("enforce")
	if asked, err := try("four"); !asked || err == nil {
		t.Errorf("enforce again: asked %t, %v", asked, err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
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
	reload("reload", func() error { return server.Reload(t.Context(), "localhost", "bindgate") })
	reload("unload-load", func() error {
		if err := server.Unload(t.Context(), "localhost", "bindgate"); err != nil {
			return err
		}
		return server.Load(t.Context(), "localhost", "bindgate")
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
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
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
		if err := server.Reload(t.Context(), "localhost", "bindgate"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if log := server.Log(); strings.Contains(log, "Traceback") || strings.Contains(log, "failed:") {
		t.Error("errors in the server's log")
	}
	// What remains is BOSH sessions whose clients were cut; the registry knows them all.
	deadline := time.Now().Add(10 * time.Second)
	for {
		sessions, _ := snapshot(c)
		n, err := server.Sessions(t.Context(), "localhost")
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions) == n && sameDigest(c, 0, 4096, digest(sessions)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("registry %d, server %d", len(sessions), n)
		}
	}
}

func TestOddUsersAndResources(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	c := connect(t, server, true)
	c.on(allowAll)
	for user, prepared := range map[string]string{"a♥b": "a♥b", "straße": "strasse", "UPPER": "upper", "x" + strings.Repeat("é", 400): "x" + strings.Repeat("é", 400)} {
		client := login(t, server, xmppclient.TCP, user, "en")
		for i, resource := range []string{`"quoted" & <tagged> 'x'`, "♥" + strings.Repeat("r", 1020), "a/b@c", "]]>"} {
			if i > 0 {
				client = login(t, server, transports[i%3], user, "x-"+strings.Repeat("y", 200))
			}
			r, err := client.Bind(within(t), resource)
			if err != nil {
				t.Fatalf("%s/%s: %v", user, resource, err)
			}
			e := c.event("bind", prepared, "")
			if e.Attr("resource") != r.Resource || r.Resource != resource || len(e.Attr("lang")) > 64 {
				t.Errorf("bind event: %s", e.Raw)
			}
		}
	}
	// What is no resource at all, and what is no XML: the server's business, never the component stream's.
	for _, content := range []string{
		"<resource>\u2028\u200b\ufeff</resource>", "<resource><x/></resource>", "<resource>" + strings.Repeat("z", 2000) + "</resource>",
		"<resource>\t\r\n </resource>", "<takeover xmlns='" + ns + "'/>", "<takeover xmlns='" + ns + "' token='" + strings.Repeat("♥", 900) + "&#9;&#10;'/>",
		"<resource>&#xE000;&#xFFFD;</resource>", "<resource>\U0001F600\U000E0001</resource>",
	} {
		client := login(t, server, xmppclient.TCP, "odd", "e\tn")
		_, _ = client.IQ(within(t), "", "set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"+content+"</bind>", "")
	}
	for _, raw := range []string{"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>\x01\xff\ufffe</resource></bind></iq>"} {
		client := login(t, server, xmppclient.TCP, "odd", "en")
		_ = client.SendRaw(raw)
	}
	c.request("get", "<hello xmlns='"+ns+"'/>")
	sessions, _ := snapshot(c)
	if !sameDigest(c, 0, 4096, digest(sessions)) {
		t.Error("digest differs")
	}
	select {
	case <-c.gone:
		t.Fatal("the component's stream broke")
	default:
	}
	if strings.Contains(server.Log(), "failed:") {
		t.Error("errors in the server's log")
	}
}

func TestUnboundStreamsEnd(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{Host: "bindgate_unbound_timeout = 0.4"})
	c := connect(t, server, true)
	c.on(allowAll)
	bound := login(t, server, xmppclient.TCP, "bound", "en")
	mustBind(t, bound, "x")
	for _, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket} {
		if e := mustEnd(t, login(t, server, transport, "unbound", "en")); e.Condition != "connection-timeout" {
			t.Errorf("stream error: %s", e.Raw)
		}
	}
	mustLive(t, bound)
}
