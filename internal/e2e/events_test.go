package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// told renders an account's events in order of their global position: "type generation(s) reason".
func (w *world) told(user string) []string {
	w.t.Helper()
	rows, err := w.store.Pool().Query(w.t.Context(), `select type, data from events where account = $1 order by position`, w.jid(user))
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var kind string
		var data []byte
		if err := rows.Scan(&kind, &data); err != nil {
			w.t.Fatal(err)
		}
		type session struct {
			Generation int64
			Resource   string
			EndReason  string `json:"end_reason"`
		}
		var d struct {
			Session, Winner, Loser session
			Sessions               []string
			Resource, Code, By     string
		}
		if err := json.Unmarshal(data, &d); err != nil {
			w.t.Fatalf("%s: %v", data, err)
		}
		switch {
		case kind == "takeover":
			kind += fmt.Sprintf(" %d over %d %s", d.Winner.Generation, d.Loser.Generation, d.Loser.EndReason)
		case kind == "login.denied":
			kind += " " + d.Resource + " " + d.Code
		case strings.HasPrefix(kind, "kick."):
			kind += fmt.Sprintf(" %d %s", len(d.Sessions), d.By)
		default:
			kind += fmt.Sprintf(" %d %s %s", d.Session.Generation, d.Session.Resource, d.Session.EndReason)
		}
		out = append(out, strings.TrimSpace(kind))
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wantTold waits until an account's events read so: what comes too much or in another order fails.
func (w *world) wantTold(user string, want ...string) {
	w.t.Helper()
	w.until("the events of "+user, func() string {
		if got := w.told(user); len(got) < len(want) {
			return strings.Join(got, "\n")
		}
		return ""
	})
	if d := cmp.Diff(want, w.told(user)); d != "" {
		w.t.Errorf("events of %s (-want +got):\n%s", user, d)
	}
}

// What others are told of an account comes in the order in which it happened, once each.
func TestOrderOfEvents(t *testing.T) { servers.OneOrEach(t, testOrderOfEvents) }

func testOrderOfEvents(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	first := w.loginWith("eva", "phone", xmppclient.Options{SM: true})
	w.recorded("eva", "phone=active")
	first.Cut()
	w.recorded("eva", "phone=hibernating")
	again := w.dial("eva", xmppclient.Options{})
	if err := again.Resume(w.ctx(), first.SMID(), first.Handled()); err != nil {
		t.Fatal(err)
	}
	w.recorded("eva", "phone=active")
	second := w.login("eva", "tablet")
	_ = w.evicted(again)
	w.recorded("eva", "tablet=active")
	third := w.login("eva", "tablet")
	_ = w.evicted(second)
	w.recorded("eva", "tablet=active")
	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	_ = w.denied(w.dial("eva", xmppclient.Options{}), "other")
	if _, err := w.running.gate.Kick(t.Context(), gate.KickRequest{Account: w.jid("eva"), By: store.Actor{Subject: "operator"}, Select: gate.KickSelect{All: true}}, patience); err != nil {
		t.Fatal(err)
	}
	_ = w.evicted(third)
	fourth := w.login("eva", "desk")
	w.recorded("eva", "desk=active")
	fourth.Close()
	w.recorded("eva", "")
	w.wantTold("eva",
		"session.started 1 phone", "session.hibernated 1 phone", "session.resumed 1 phone",
		"takeover 2 over 1 takeover", "session.ended 1 phone takeover", "session.started 2 tablet",
		"takeover 3 over 2 takeover", "session.ended 2 tablet takeover", "session.started 3 tablet",
		"login.denied other limit",
		"kick.requested 1 operator", "kick.verified 1", "session.ended 3 tablet kick",
		"session.started 4 desk", "session.ended 4 desk logout")
}

// With many accounts at once each has its own events in order, and the positions have neither gap nor double.
func TestPositionsOfEvents(t *testing.T) { servers.OneOrEach(t, testPositionsOfEvents) }

func testPositionsOfEvents(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{Quiet: true})
	w.rule(`{"max_sessions": 1}`)
	const accounts = 25
	pairs := w.dialPairs("e", accounts)
	w.bindAtOnce(pairs, func(device int) string { return fmt.Sprint("d", device) })
	w.decidedAll()
	for _, p := range pairs {
		w.until("the events of "+p.user, func() string {
			if n := len(w.told(p.user)); n < 4 {
				return fmt.Sprint(n)
			}
			return ""
		})
		// Two binds of one instant: the loser may have been let in before it was evicted, or may be evicted as it binds.
		told := w.told(p.user)
		at := func(prefix string) int {
			for i, s := range told {
				if strings.HasPrefix(s, prefix) {
					return i
				}
			}
			return -1
		}
		if len(told) != 4 || at("session.started 1") < 0 || at("takeover 2 over 1") < at("session.started 1") || at("session.ended 1") != at("takeover 2 over 1")+1 || at("session.started 2") < 0 {
			t.Errorf("%s: %q", p.user, told)
		}
	}
	var least, most, n int64
	if err := w.store.Pool().QueryRow(t.Context(), `select min(position), max(position), count(*) from events`).Scan(&least, &most, &n); err != nil {
		t.Fatal(err)
	}
	if least != 1 || most != n {
		t.Errorf("positions %d to %d of %d events", least, most, n)
	}
}
