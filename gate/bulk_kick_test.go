package gate_test

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

func (h *house) kickMany(g *gate.Gate, k store.BulkKick) int64 {
	h.t.Helper()
	job, err := g.KickMany(h.t.Context(), k, nil, store.Actor{Subject: "tester"})
	if err != nil {
		h.t.Fatal(err)
	}
	return job
}

// A kick by filter ends what the filter finds, each session once, although the process that does it is killed in the middle and another goes on. Who came in later stays.
func TestKickManySurvivesKills(t *testing.T) {
	t.Parallel()
	const accounts = 300
	h := newHouse(t, accounts, 3)
	h.exec(`update sessions set platform = case generation when 1 then 'ios' when 2 then 'android' else 'web' end, started_at = now() - interval '1 day'`)
	h.exec(`update sessions set started_at = now() + interval '1 hour' where sid = 's7-1'`) // as if after the kick
	first := launch(t, h.url, h.server)
	job := h.kickMany(first.gate, store.BulkKick{Filter: store.KickFilter{Platform: "mobile"}, Reason: "drill", Text: map[string]string{"en": "Bye."}})
	h.until("a third is done", func() bool { return h.job(job).Done > accounts/3 })
	launch(t, h.url, h.server) // stands by
	first.kill()
	if j := h.job(job); j.State != store.JobRunning || j.Done >= accounts {
		t.Fatalf("killed too late: %+v", j)
	}
	if j := h.finished(job); j.State != store.JobDone || j.Total != accounts || j.Done != accounts || j.Kicked != 2*accounts-1 || j.Pending != 0 || j.StillPresent != 0 {
		t.Errorf("%+v", j)
	}
	for sql, want := range map[string]int{
		`select count(*) from sessions where platform = 'web'`:                                                    accounts,
		`select count(*) from sessions where platform <> 'web' and sid <> 's7-1'`:                                 0,
		`select count(*) from session_history where end_reason = 'kick'`:                                          2*accounts - 1,
		`select count(*) from kicks where id < 0 and requested_by = 'tester' and reason = 'drill'`:                accounts,
		`select count(*) from (select 1 from session_history group by account, generation having count(*) > 1) d`: 0,
		`select marked from jobs`: 2*accounts - 1,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	for sid, n := range h.server.kicks {
		if n != 1 || h.server.code[sid] != "kick" {
			t.Errorf("%s was ended %d times, as %s", sid, n, h.server.code[sid])
		}
	}
	h.until("all events have their place", func() bool { return h.count("select count(*) from event_queue") == 0 })
	for kind, want := range map[string]int{"kick.requested": accounts, "kick.verified": 2*accounts - 1} {
		if n := h.count(`select count(*) from events where type = '` + kind + `' and data->>'kick_id' = '` + store.JobID(job) + `'`); n != want {
			t.Errorf("%d × %s, want %d", n, kind, want)
		}
	}
}

// The brake holds up what a rule wants, not a kick; and a kick does not wait for a rule's work that began before.
func TestKickManyGoesBeforeRules(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 2)
	h.exec(`update accounts set account_group = 'staff' where jid like 'u1_@%'`)
	p := launch(t, h.url, h.server)
	h.gate = p.gate
	h.until("the link is up", func() bool { return h.server.connected() })
	h.mode(gate.ModeObserve)
	held := h.apply(everybody, `{"max_sessions":1}`)
	job := h.kickMany(p.gate, store.BulkKick{Filter: store.KickFilter{Group: "staff", Resource: "R2"}})
	if j := h.finished(job); j.State != store.JobDone || j.Kicked != 10 || j.Total != 10 {
		t.Errorf("%+v", j)
	}
	if j := h.job(held); j.State != store.JobRunning || j.Kicked+j.Pending != 0 {
		t.Errorf("under the brake: %+v", j)
	}
	if n := h.count(`select count(*) from session_history where resource = 'r2'`); n != 10 {
		t.Errorf("%d have gone", n)
	}
}

// What a kick by filter asks for beside the end: devices that have to wait, and devices that are blocked, with all their sessions.
func TestKickManyBlocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2, 3)
	h.exec(`insert into devices (account, id, identity, user_agent_id, first_seen_at, last_seen_at) select key, 7, 'certain', 'ua', now(), now() from accounts`)
	h.exec(`update sessions set device = 7, identity = 'certain' where generation in (1, 2)`)
	p := launch(t, h.url, h.server)
	job := h.kickMany(p.gate, store.BulkKick{Filter: store.KickFilter{Resource: "r1"}, Block: true, Cooldown: 60})
	if j := h.finished(job); j.Kicked != 4 || j.Total != 2 {
		t.Errorf("%+v", j)
	}
	for sql, want := range map[string]int{
		`select count(*) from devices where blocked`:                        2,
		`select count(*) from sessions where generation = 3`:                2,
		`select count(*) from session_history where end_reason = 'blocked'`: 4,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	if p, err := p.gate.Protection(t.Context(), "u1@"+theDomain); err != nil || len(p.Waits) == 0 {
		t.Errorf("who has to wait: %+v, %v", p, err)
	}
}

// While the link is down nothing is lost, and what is cancelled is not begun.
func TestKickManyWaitsForTheLinkAndIsCancelled(t *testing.T) {
	t.Parallel()
	const accounts = 1300
	h := newHouse(t, accounts, 1)
	down := launch(t, h.url, nil)
	job := h.kickMany(down.gate, store.BulkKick{})
	h.until("a thousand wait", func() bool { return h.job(job).Pending >= 999 })
	if err := h.store.CancelJob(t.Context(), job, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	again := h.kickMany(down.gate, store.BulkKick{Filter: store.KickFilter{State: string(rules.Active), OlderThan: 3600}})
	if j := h.finished(again); j.Total != 0 || j.State != store.JobDone {
		t.Errorf("of none that is so old: %+v", j)
	}
	down.stop()
	launch(t, h.url, h.server)
	h.until("all that were marked are gone", func() bool { return h.job(job).Pending == 0 })
	h.until("the count is kept", func() bool { return h.count("select count(*) from jobs where marked is null") == 0 })
	j := h.job(job)
	if left := h.count("select count(*) from sessions"); int64(left) != accounts-j.Kicked || j.State != store.JobCancelled || j.Kicked < 999 {
		t.Errorf("%d sessions are left: %+v", left, j)
	}
}

// Whoever is dealt with while the job is cancelled counts.
func TestKickManyCountsWhomItHasDealtWith(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 200, 1)
	p := launch(t, h.url, h.server)
	job := h.kickMany(p.gate, store.BulkKick{})
	h.until("a second step is begun", func() bool { j := h.job(job); return j.Kicked+j.Pending > 25 })
	if err := h.store.CancelJob(t.Context(), job, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	h.until("each session that goes is of an account that was looked at", func() bool { j := h.job(job); return j.Pending == 0 && j.Done == j.Kicked })
}

// A kick that finds its link down does not wait for what cannot come.
func TestKickDoesNotWaitForALinkThatIsDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1, 1)
	down := launch(t, h.url, nil)
	began := time.Now()
	report, err := down.gate.Kick(t.Context(), gate.KickRequest{Account: "u1@" + theDomain, By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, time.Minute)
	if err != nil || len(report.Results) != 1 || report.Results[0].Outcome != gate.OutcomePending {
		t.Errorf("%+v, %v", report, err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}
