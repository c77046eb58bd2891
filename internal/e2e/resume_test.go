package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// quickBOSH ends a BOSH session without requests after a second: with stream management it then hibernates.
var quickBOSH = servers.Options{QuickBOSH: true}

// refused wants the server to know nothing of an old session, over the old transport and over TCP.
func (w *world) refused(old *xmppclient.Client, user string, transport xmppclient.Transport) {
	w.t.Helper()
	if old.SMID() == "" {
		w.t.Fatalf("%s has nothing to resume", user)
	}
	for _, again := range []xmppclient.Transport{transport, xmppclient.TCP} {
		var failed *xmppclient.ResumeError
		c := w.dial(user, xmppclient.Options{Transport: again})
		if err := c.Resume(w.ctx(), old.SMID(), old.Handled()); !errors.As(err, &failed) || failed.Condition != "item-not-found" {
			w.t.Errorf("resume over %s: %v, want item-not-found", again, err)
		}
		c.Cut()
	}
}

// An evicted session with stream management is gone for good: nobody can resume it and the record knows it only as ended.
func TestEvictedCannotResume(t *testing.T) { servers.EachVersion(t, testEvictedCannotResume) }

func testEvictedCannotResume(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, quickBOSH)
	shared.rule(`{"max_sessions": 1}`)
	for _, transport := range transports {
		for _, state := range []string{"active", "hibernating"} {
			for _, way := range []string{"takeover", "same resource", "kick"} {
				t.Run(fmt.Sprintf("%s/%s/%s", transport, state, way), func(t *testing.T) {
					t.Parallel()
					w := shared.in(t)
					user := fmt.Sprintf("%s-%s-%.4s", transport, state, way)
					old := w.loginWith(user, "phone", xmppclient.Options{Transport: transport, SM: true})
					w.recorded(user, "phone=active")
					if state == "hibernating" {
						old.Cut()
						w.recorded(user, "phone=hibernating")
					}
					want, reason := "", "takeover"
					var newcomer *xmppclient.Client
					switch way {
					case "takeover":
						newcomer, want = w.login(user, "tablet"), "tablet=active"
					case "same resource":
						newcomer, want = w.login(user, "phone"), "phone=active"
					case "kick":
						report, err := w.running.gate.Kick(t.Context(), gate.KickRequest{Account: w.jid(user), By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, patience)
						if err != nil || len(report.Results) != 1 || report.Results[0].Outcome != gate.OutcomeKicked {
							t.Fatalf("kick: %+v, %v", report, err)
						}
						reason = "kick"
					}
					if state == "active" {
						wantError(t, w.evicted(old), reason, "en")
					}
					w.refused(old, user, transport)
					w.recorded(user, want)
					if got, on := w.record(user), w.onServer(user); got != want || on+"=active" != want && on != want {
						t.Errorf("record %q, server %q, want %q", got, on, want)
					}
					if newcomer != nil {
						w.stays(newcomer)
					}
					var ended string
					if err := w.store.Pool().QueryRow(t.Context(), `select string_agg(h.generation || ' ' || h.end_reason, ',') from session_history h
						join accounts a on a.key = h.account where a.jid = $1`, w.jid(user)).Scan(&ended); err != nil || ended != "1 "+reason {
						t.Errorf("history %q, %v, want generation 1 ended by %s, once", ended, err, reason)
					}
				})
			}
		}
	}
}

// A hibernating session that nobody evicts comes back as the one it was: no new decision, the same sid and generation.
func TestResume(t *testing.T) { servers.Each(t, testResume) }

func testResume(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, quickBOSH)
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			user := "back-" + transport.String()
			old := w.loginWith(user, "phone", xmppclient.Options{Transport: transport, SM: true})
			w.recorded(user, "phone=active")
			before := w.sessions(user)[0]
			old.Cut()
			w.recorded(user, "phone=hibernating")
			other := w.login(user, "tablet") // its ask lists the hibernating one
			w.recorded(user, "phone=hibernating tablet=active")
			if err := other.SendMessage(w.jid(user)+"/phone", "while you slept"); err != nil {
				t.Fatal(err)
			}
			over := transport
			if over == xmppclient.BOSH {
				over = xmppclient.TCP // Prosody cannot resume over BOSH
			}
			again := w.dial(user, xmppclient.Options{Transport: over})
			if err := again.Resume(w.ctx(), old.SMID(), old.Handled()); err != nil {
				t.Fatal(err)
			}
			w.recorded(user, "phone=active tablet=active")
			if _, err := again.Expect(w.ctx(), func(s *xmppclient.Stanza) bool { return s.Name.Local == "message" }); err != nil {
				t.Errorf("what came meanwhile: %v", err)
			}
			if after := w.sessions(user)[0]; after != before {
				t.Errorf("before %+v, after %+v", before, after)
			}
			w.wantDecided(user, "phone allow/ok 1 []", "tablet allow/ok 2 []")
			// And it is governed as before.
			w.ruleOf(user, `{"max_sessions": 1}`)
			w.login(user, "third")
			wantError(t, w.evicted(again), "takeover", "en")
			wantError(t, w.evicted(other), "takeover", "en")
			w.recorded(user, "third=active")
		})
	}
}

// Of two clients of one account, the one that resumes is not a newcomer: it evicts nobody and is not denied.
func TestResumeIsNoLogin(t *testing.T) { servers.Each(t, testResumeIsNoLogin) }

func testResumeIsNoLogin(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 2, "on_excess": "deny"}`)
	phone := w.loginWith("ivy", "phone", xmppclient.Options{SM: true})
	tablet := w.login("ivy", "tablet")
	w.recorded("ivy", "phone=active tablet=active")
	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	phone.Cut()
	w.recorded("ivy", "phone=hibernating tablet=active")
	again := w.dial("ivy", xmppclient.Options{})
	if err := again.Resume(w.ctx(), phone.SMID(), phone.Handled()); err != nil {
		t.Fatal(err)
	}
	w.recorded("ivy", "phone=active tablet=active")
	w.stays(again)
	w.stays(tablet)
}
