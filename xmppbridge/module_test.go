package xmppbridge

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// newestWins kicks all other sessions of the account.
func newestWins(a gate.Ask, answer func(gate.Answer)) {
	ans := gate.Answer{Outcome: gate.Allow}
	for _, s := range a.Sessions {
		ans.Kicks = append(ans.Kicks, gate.Kick{
			User: a.User, SID: s.SID, Resource: s.Resource, Code: "takeover", Device: "Pi<xel", Platform: "android", At: time.Now(), Text: "別の端末 & 電話", Lang: "ja",
		})
	}
	go answer(ans)
}

// TestModule talks to our module on a real Prosody.
func TestModule(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{})
	g := newFakeGate()
	asks := make(chan gate.Ask, 100)
	deny := gate.Answer{Outcome: gate.Deny, Denial: gate.Denial{Code: "limit", Type: "wait", Condition: "resource-constraint", Text: "full", Lang: "en", RetryAfter: 30 * time.Second}}
	g.ask = func(a gate.Ask, answer func(gate.Answer)) {
		asks <- a
		switch a.User {
		case "denied":
			answer(deny)
		case "many":
			answer(gate.Answer{Outcome: gate.Allow})
		default:
			newestWins(a, answer)
		}
	}
	b := onProsody(t, s, g, func(c *Config) { c.Domains = []string{s.Domain()} })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	g.expect(t, "connected main")
	link := <-g.link
	g.awaitSaid(t, "hello "+s.Domain()+" version 1 ")
	src := gate.Source{Link: "main", Domain: s.Domain()}

	bind := func(user, resource string) (*xmppclient.Client, gate.Ask) {
		t.Helper()
		c := login(t, s, user) //nolint:contextcheck // a login has a timeout of its own
		if _, err := c.Bind(ctx, resource); err != nil {
			t.Fatalf("bind %s/%s: %v", user, resource, err)
		}
		return c, <-asks
	}

	for _, user := range []string{"alice", "a♥b"} {
		t.Run("allow and kick "+user, func(t *testing.T) {
			first, a := bind(user, "laptop")
			if a.User != user || a.Resource != "laptop" || !a.Chosen || a.IP != "127.0.0.1" || a.Transport != "tcp" || a.Deadline != 5*time.Second || len(a.Sessions) != 0 {
				t.Errorf("ask %+v", a)
			}
			g.awaitSaid(t, "event bind")
			_, second := bind(user, "phone ☃ <&>")
			if len(second.Sessions) != 1 || second.Sessions[0].SID != a.SID || second.Sessions[0].Resource != "laptop" || second.Sessions[0].State != "active" || second.Resource != "phone ☃ <&>" {
				t.Errorf("ask %+v", second)
			}
			e, err := first.WaitClosed(ctx)
			if err != nil || e == nil || e.Condition != "conflict" || e.Text != "別の端末 & 電話" || e.Lang != "ja" || e.Ended == nil || e.Ended.Code != "takeover" || e.Ended.Device != "Pi<xel" {
				t.Errorf("stream error %+v, %v", e, err)
			}
			g.awaitSaid(t, "event unbind")
		})
	}

	t.Run("deny", func(t *testing.T) {
		c := login(t, s, "denied") //nolint:contextcheck // a login has a timeout of its own
		_, err := c.Bind(ctx, "r")
		<-asks
		var se *xmppclient.StanzaError
		if !errors.As(err, &se) || se.Condition != "resource-constraint" || se.Type != "wait" || se.Text != "full" || se.Denied == nil || se.Denied.Code != "limit" || se.Denied.RetryAfter != 30 {
			t.Errorf("bind: %+v", err)
		}
	})

	t.Run("kick", func(t *testing.T) {
		c, a := bind("bob", "r")
		got, err := link.Kick(ctx, src, gate.Kick{User: "bob", SID: a.SID, Resource: "r", Code: "kick", At: time.Now(), Text: "bye", Lang: "en"})
		if got != gate.KickDone || err != nil {
			t.Errorf("Kick = %q, %v", got, err)
		}
		seen := ""
		for len(g.said) > 0 {
			if s := <-g.said; strings.HasPrefix(s, "event unbind") && strings.Contains(s, "bob@") {
				seen = s
			}
		}
		if seen == "" {
			t.Error("the result came before the session's end was told")
		}
		if e, err := c.WaitClosed(ctx); err != nil || e == nil || e.Condition != "conflict" || e.Text != "bye" {
			t.Errorf("stream error %+v, %v", e, err)
		}
		if got, err := link.Kick(ctx, src, gate.Kick{User: "bob", SID: a.SID, Code: "kick"}); got != gate.KickGone || err != nil {
			t.Errorf("second Kick = %q, %v", got, err)
		}
	})

	t.Run("probe", func(t *testing.T) {
		_, alive := bind("many", "alive")
		mute, silent := bind("many", "silent")
		mute.Mute(true)
		got, err := link.Probe(ctx, src, "many", []string{alive.SID, silent.SID, "nobody"}, 500*time.Millisecond)
		if err != nil || got[alive.SID] != gate.VerdictAlive || got[silent.SID] != gate.VerdictSilent || got["nobody"] != gate.VerdictGone {
			t.Errorf("Probe = %v, %v", got, err)
		}
	})

	t.Run("snapshot", func(t *testing.T) {
		for i := range 150 {
			bind("many", fmt.Sprintf("r%d", i))
		}
		var sessions []gate.Listed
		calls := 0
		for first := 0; first < gate.Buckets; calls++ {
			p, err := link.Snapshot(ctx, src, first, gate.Buckets-first, "")
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, p.Sessions...)
			first += p.Count
			if p.Epoch == "" || p.Total < 150 || p.Seq < 150 {
				t.Errorf("part %+v", p)
			}
		}
		n, err := s.Sessions(ctx, s.Domain())
		if err != nil || len(sessions) != n {
			t.Errorf("%d sessions in %d parts, the server has %d, %v", len(sessions), calls, n, err)
		}
		p, err := link.Snapshot(ctx, src, 0, gate.Buckets, digest(sessions))
		if err != nil || !p.Same || len(p.Sessions) != 0 || p.Count != gate.Buckets {
			t.Errorf("snapshot with the right digest: same %t, %d sessions, %d buckets, %v", p.Same, len(p.Sessions), p.Count, err)
		}
		p, err = link.Snapshot(ctx, src, 0, gate.Buckets, digest(sessions[1:]))
		if err != nil || p.Same {
			t.Errorf("snapshot with a wrong digest: same %t, %v", p.Same, err)
		}
	})

	t.Run("mode", func(t *testing.T) {
		if err := link.SetMode(ctx, src, "observe"); err != nil {
			t.Fatal(err)
		}
		bind("denied", "r")
		if err := link.SetMode(ctx, src, "enforce"); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("server killed", func(t *testing.T) {
		s.Kill()
		g.awaitSaid(t, "disconnected main")
		if _, err := link.Kick(ctx, src, gate.Kick{SID: "x"}); err == nil {
			t.Error("a kick on a link that is down: no error")
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		g.awaitSaid(t, "hello "+s.Domain())
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("hello came %s after the server was back", d)
		}
		bind("alice", "again")
		g.awaitSaid(t, "event bind 1 alice@")
	})

	t.Run("module reloaded", func(t *testing.T) {
		if err := s.Reload(ctx, s.Domain(), "bindgate"); err != nil {
			t.Fatal(err)
		}
		g.awaitSaid(t, "hello "+s.Domain())
		bind("alice", "after")
	})

	if st := b.Stats(); st.Malformed+st.Refused+st.Late+st.Timeouts+st.Skipped != 0 {
		t.Errorf("%+v", st)
	}
}

// digest is what PROTOCOL.md says about snapshots.
func digest(sessions []gate.Listed) string {
	var sum uint64
	for _, s := range sessions {
		h := sha256.Sum256([]byte(s.SID + "\n" + s.Resource + "\n" + s.State))
		sum += binary.BigEndian.Uint64(append([]byte{0, 0}, h[:6]...))
	}
	return fmt.Sprintf("%d-%012x", len(sessions), sum&(1<<48-1))
}

// TestNoModule has a host where the module is missing.
func TestNoModule(t *testing.T) {
	t.Parallel()
	s := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	g := newFakeGate()
	onProsody(t, s, g, func(c *Config) { c.Domains = []string{s.Domain(), "elsewhere.example"} })
	g.expect(t, "connected main")
	got := g.next(t) + "\n" + g.next(t)
	for _, want := range []string{"problem localhost: there is no gate module on localhost", "problem elsewhere.example: elsewhere.example is not a host of this server"} {
		if !strings.Contains(got, want) {
			t.Errorf("the gate was told\n%s\nwithout %q", got, want)
		}
	}
}
