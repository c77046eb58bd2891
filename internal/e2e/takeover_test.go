package e2e

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// The case of RFC 3920 §7: a resource that is in use.
func TestSameResource(t *testing.T) { servers.Each(t, testSameResource) }

func testSameResource(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	first := w.loginWith("ann", "phone", xmppclient.Options{Lang: "ja"})
	w.recorded("ann", "phone=active")
	second := w.login("ann", "phone")
	e := w.evicted(first)
	if e.Condition != "conflict" || e.Lang != "ja" || e.Text == "" || e.Ended == nil || e.Ended.Code != "takeover" || e.Ended.At == "" {
		t.Fatalf("stream error of the first: %s", e.Raw)
	}
	if strings.Contains(e.Raw, "127.0.0.1") {
		t.Fatalf("the stream error tells an address: %s", e.Raw)
	}
	w.recorded("ann", "phone=active")
	if second.StreamError() != nil {
		t.Fatal("the second was ended too")
	}

	w.rule(`{"same_resource": "deny"}`)
	third := w.dial("ann", xmppclient.Options{Lang: "zh"})
	d := w.denied(third, "phone")
	if d.Condition != "conflict" || d.Type != "cancel" || d.Lang != "zh" || d.Denied == nil || d.Denied.Code != "same_resource" {
		t.Fatalf("denial: %s", d.Raw)
	}
	if _, err := third.Bind(w.ctx(), "tablet"); err != nil {
		t.Fatalf("another resource on the same stream: %v", err)
	}
	w.recorded("ann", "phone=active tablet=active")
}

// Different resources under max_sessions 1, chosen by the client and by the server.
func TestOneSession(t *testing.T) { servers.EachVersion(t, testOneSession) }

func testOneSession(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.login("bob", "tigase-10")
	second := w.login("bob", "tigase-11")
	e := w.evicted(first)
	if e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "takeover" {
		t.Fatalf("stream error: %s", e.Raw)
	}
	third := w.login("bob", "")
	_ = w.evicted(second)
	w.recorded("bob", third.Resource()+"=active")
	if got := w.onServer("bob"); got != third.Resource() {
		t.Fatalf("on the server: %q, want %q", got, third.Resource())
	}
	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	fourth := w.dial("bob", xmppclient.Options{})
	d := w.denied(fourth, "other")
	if d.Condition != "resource-constraint" || d.Type != "wait" || d.Denied == nil || d.Denied.Code != "limit" {
		t.Fatalf("denial: %s", d.Raw)
	}
	if err := third.SendPresence(0); err != nil {
		t.Fatal(err)
	}
	w.rule(`{}`)
	sender := w.login("eve", "x")
	if err := sender.SendMessage(w.jid("bob"), "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := third.Expect(w.ctx(), func(s *xmppclient.Stanza) bool { return s.Name.Local == "message" && strings.Contains(s.Raw, "hello") }); err != nil {
		t.Fatalf("the message to the bare JID: %v", err)
	}
}
