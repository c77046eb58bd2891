package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Platforms are known by the resource; each has its own limit, and its oldest goes.
func TestMaxPerPlatform(t *testing.T) { servers.OneOrEach(t, testMaxPerPlatform) }

func testMaxPerPlatform(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_per_platform": {"android": 1, "web": 2}}`)
	clients := map[string]*xmppclient.Client{}
	for _, r := range []string{"web-1", "android-1", "desk-1", "web-2", "iphone-1", "desk-2", "iphone-2"} {
		clients[r] = w.login("pat", r)
	}
	w.recorded("pat", "android-1=active desk-1=active desk-2=active iphone-1=active iphone-2=active web-1=active web-2=active")
	clients["android-2"] = w.login("pat", "android-2")
	e := w.evicted(clients["android-1"])
	wantError(t, e, "takeover", "en")
	if e.Ended.Platform != "android" {
		t.Errorf("ended: %+v", e.Ended)
	}
	clients["web-3"] = w.login("pat", "web-3")
	wantError(t, w.evicted(clients["web-1"]), "takeover", "en")
	w.recorded("pat", "android-2=active desk-1=active desk-2=active iphone-1=active iphone-2=active web-2=active web-3=active")
	for _, r := range []string{"desk-1", "web-2", "iphone-1", "desk-2", "iphone-2", "android-2", "web-3"} {
		w.stays(clients[r])
	}
	// Both limits, oldest wins: a full platform is denied, another is not.
	w.rule(`{"max_per_platform": {"android": 1, "web": 2}, "on_excess": "deny"}`)
	next := w.dial("pat", xmppclient.Options{})
	if d := w.denied(next, "android-3"); d.Condition != "resource-constraint" || d.Denied == nil || d.Denied.Code != "limit" {
		t.Errorf("denial: %s", d.Raw)
	}
	w.bindIn(next, "ipad")
	w.recorded("pat", "android-2=active desk-1=active desk-2=active ipad=active iphone-1=active iphone-2=active web-2=active web-3=active")
}

// Who is idle is known from the server's list alone: bindgate sees no stanza of the clients'.
func TestEvictIdle(t *testing.T) { servers.OneOrEach(t, testEvictIdle) }

func testEvictIdle(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 3, "on_excess": "evict_idle"}`)
	oldest, middle, youngest := w.login("ida", "oldest"), w.login("ida", "middle"), w.login("ida", "youngest")
	w.recorded("ida", "middle=active oldest=active youngest=active")
	silent := time.Now()
	w.until("two seconds of silence", func() string { // idleness is told in seconds, and bindgate may have asked the clients what they are
		if d := time.Since(silent); d < 2500*time.Millisecond {
			return fmt.Sprint("silent for ", d)
		}
		return ""
	})
	w.stays(oldest) // it talks
	w.stays(youngest)
	next := w.login("ida", "next")
	wantError(t, w.evicted(middle), "takeover", "en")
	w.recorded("ida", "next=active oldest=active youngest=active")
	w.stays(oldest)
	w.stays(youngest)
	w.stays(next)
	w.wantDecided("ida", "oldest allow/ok 1 []", "middle allow/ok 2 []", "youngest allow/ok 3 []", "next allow/takeover 4 [2]")
}

// An operator may choose <conflict/> for a limit.
func TestDenyCondition(t *testing.T) { servers.OneOrEach(t, testDenyCondition) }

func testDenyCondition(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1, "on_excess": "deny", "deny_condition": "conflict"}`)
	first := w.login("dee", "first")
	second := w.dial("dee", xmppclient.Options{Lang: "ja"})
	d := w.denied(second, "second")
	if d.Condition != "conflict" || d.Type != "cancel" || d.Denied == nil || d.Denied.Code != "limit" || d.Lang != "ja" || d.Text == "" {
		t.Errorf("denial: %s", d.Raw)
	}
	w.wantDecided("dee", "first allow/ok 1 []", "second deny/limit 0 []")
	w.stays(first)
	w.recorded("dee", "first=active")
}

// A rule that is not enforced lets everyone in, evicts nobody, and notes what it would have done.
func TestShadow(t *testing.T) { servers.OneOrEach(t, testShadow) }

func testShadow(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	for user, rule := range map[string]string{
		"evict": `{"max_sessions": 1, "enforce": false}`,
		"deny":  `{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1, "enforce": false}`,
	} {
		w.rule(rule)
		first := w.login(user, "first")
		second := w.login(user, "second")
		w.recorded(user, "first=active second=active")
		if on := w.onServer(user); on != "first second" {
			t.Errorf("on the server: %s", on)
		}
		w.stays(first)
		w.stays(second)
	}
	w.wantDecided("evict", "first allow/ok 1 [] shadow", "second allow/takeover 2 [] shadow")
	w.wantDecided("deny", "first allow/ok 1 [] shadow", "second deny/limit 2 [] shadow")
	// Once it is enforced, the next login brings the account within its limit.
	w.rule(`{"max_sessions": 1}`)
	w.login("evict", "third")
	w.recorded("evict", "third=active")
}

// An account's own rule overrides the default's field by field; null is no limit.
func TestAccountRule(t *testing.T) { servers.OneOrEach(t, testAccountRule) }

func testAccountRule(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1, "on_excess": "deny", "deny_condition": "conflict"}`)
	w.ruleOf("two", `{"max_sessions": 2}`)
	w.ruleOf("many", `{"max_sessions": null}`)
	w.ruleOf("newest", `{"on_excess": "evict_oldest"}`)

	first := w.login("two", "first")
	w.login("two", "second")
	third := w.dial("two", xmppclient.Options{})
	if d := w.denied(third, "third"); d.Condition != "conflict" || d.Denied == nil || d.Denied.Code != "limit" { // on_excess and deny_condition are the default's
		t.Errorf("denial: %s", d.Raw)
	}
	w.stays(first)
	for i := range 5 {
		w.login("many", fmt.Sprint("r", i))
	}
	w.recorded("many", "r0=active r1=active r2=active r3=active r4=active")
	old := w.login("newest", "old")
	w.login("newest", "new")
	wantError(t, w.evicted(old), "takeover", "en")
	w.login("other", "first")
	if d := w.denied(w.dial("other", xmppclient.Options{}), "second"); d.Condition != "conflict" {
		t.Errorf("denial: %s", d.Raw)
	}
	var levels string
	if err := w.store.Pool().QueryRow(t.Context(), `select string_agg(split_part(a.jid, '@', 1) || '/' || d.resource || ' ' || d.rule_level, ', ' order by a.jid, d.at)
		from decisions d join accounts a on a.key = d.account where d.code <> 'ok'`).Scan(&levels); err != nil {
		t.Fatal(err)
	}
	// The level is that of the limit which was reached.
	if want := "newest/new default, other/second default, two/third account"; levels != want {
		t.Errorf("rule levels: %s, want %s", levels, want)
	}
	// An expired rule is none.
	if _, err := w.store.Pool().Exec(t.Context(), `update rules set expires_at = now() - interval '1 second' where subject = $1`, w.jid("many")); err != nil {
		t.Fatal(err)
	}
	if d := w.denied(w.dial("many", xmppclient.Options{}), "r5"); d.Denied == nil || d.Denied.Code != "limit" {
		t.Errorf("denial: %s", d.Raw)
	}
}
