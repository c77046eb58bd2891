package gate_test

import (
	"fmt"
	"testing"
	"time"
)

// old makes a session on record begin a day ago.
func (h *house) old(sid string) {
	h.t.Helper()
	h.exec("update sessions set started_at = now() - interval '1 day' where sid = $1", sid)
}

// ownRule sets the rule of a user's account.
func (h *house) ownRule(user, fields string) {
	h.t.Helper()
	h.exec(`insert into rules values ('account', $1, $2, nextval('rule_version'), null, now(), '')`, user+"@"+theDomain, fields)
}

// walked waits until the sessions were walked after this moment: two sessions of an account get old, one after the other, and are to end.
func (h *house) walked(sid string) {
	h.t.Helper()
	for range 2 { // the first may have been met by a walk that had begun before
		h.old(sid)
		h.until(sid+" is ended", func() bool {
			return h.count(`select count(*) from sessions where sid = '`+sid+`' and evict_code is null`) == 0
		})
		sid = sid[:len(sid)-1] + "2"
	}
}

// settled waits until nobody who has to go is left.
func (h *house) settled() {
	h.t.Helper()
	h.until("all that have to go are gone", func() bool { return h.count("select count(*) from sessions where evict_code is not null") == 0 })
}

func TestOldSessionsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 20, 2)
	h.rule(`{"max_session_age_seconds":3600,"exempt":[{"account":"u2@*"}]}`)
	h.ownRule("u3", `{"max_session_age_seconds":null}`)
	h.ownRule("u4", `{"max_session_age_seconds":100000}`)
	for _, sid := range []string{"s1-1", "s2-1", "s3-1", "s4-1", "s5-1", "s5-2"} {
		h.old(sid)
	}
	launch(t, h.url, h.server)
	launch(t, h.url, h.server)
	h.eventually("u1", "s1-2=active")
	h.eventually("u5", "")
	h.walked("s9-1")
	h.settled()
	for user, want := range map[string]string{"u2": "s2-1=active s2-2=active", "u3": "s3-1=active s3-2=active", "u4": "s4-1=active s4-2=active", "u6": "s6-1=active s6-2=active"} {
		if got := h.state(user); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
	for sql, want := range map[string]int{
		`select count(*) from session_history where end_reason = 'expired'`: 5,
		`select count(*) from session_history`:                              5,
		`select count(*) from decisions where outcome = 'deny' and code = 'limit' and evicted = array[generation] and resource <> '' and rule_level = 'default'`: 5,
		`select count(*) from decisions`: 5,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	if c := h.server.code["s1-1"]; c != "expired" {
		t.Errorf("the client was told %q", c)
	}
}

// Rules of domains, groups and single accounts end sessions where the default rule does not.
func TestOldSessionsEndAtEveryLevel(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 20, 2)
	h.exec(`update accounts set account_group = 'staff' where jid = 'u1@' || $1`, theDomain)
	h.exec(`insert into rules select scope, subject, fields::jsonb, nextval('rule_version'), null, now(), '' from (values
		('group', 'staff', '{"max_session_age_seconds":50000}'), ('domain', 'example.net', '{"max_session_age_seconds":60}')) r(scope, subject, fields)`)
	h.ownRule("u2", `{"max_session_age_seconds":7200}`)
	for _, sid := range []string{"s1-1", "s2-1", "s3-1"} {
		h.old(sid)
	}
	launch(t, h.url, h.server)
	h.eventually("u1", "s1-2=active")
	h.eventually("u2", "s2-2=active")
	if got := h.state("u3"); got != "s3-1=active s3-2=active" {
		t.Errorf("without such a rule: %s", got)
	}
	h.exec(`insert into rules values ('domain', $1, '{"max_session_age_seconds":50000}', nextval('rule_version'), null, now(), '')`, theDomain)
	h.eventually("u3", "s3-2=active")
}

// A session that the record has not heard of for long is ended only if its server says that it is idle, and not at all while that cannot be asked.
func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	const accounts = 50
	h := newHouse(t, accounts, 2)
	h.rule(`{"max_session_age_seconds":3600,"max_idle_seconds":600}`)
	h.exec("update sessions set last_seen_at = now() - interval '40 minutes'")
	for a := range accounts {
		for n := range 2 {
			h.server.idle(fmt.Sprintf("s%d-%d", a+1, n+1), time.Duration(a%2)*595*time.Second) // busy, or idle and not for long enough
		}
	}
	h.server.idle("s1-1", 30*time.Minute)
	h.server.idle("s2-1", time.Hour)
	h.ownRule("u2", `{"max_idle_seconds":7200}`)

	down := launch(t, h.url, nil)
	h.walked("s9-1")
	if n := h.count("select count(*) from sessions where evict_code is not null"); n != 2 {
		t.Fatalf("%d sessions are to end while the server cannot be asked, want the 2 old ones", n)
	}
	down.stop()
	launch(t, h.url, h.server)
	h.eventually("u1", "s1-2=active")
	h.walked("s11-1")
	h.settled()
	for sql, want := range map[string]int{
		`select count(*) from session_history where end_reason = 'expired'`: 5,
		`select count(*) from sessions`:                                     2*accounts - 5,
		`select count(*) from decisions`:                                    5,
		`select count(*) from decisions d where exists (select from unnest(explanation) x where x like '%idle, which max_idle_seconds%')`: 1,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	if h.count("select count(*) from sessions where last_seen_at > now() - interval '1 minute'") < accounts/2 || !h.server.has("s2-1") {
		t.Error("the record did not learn who is busy")
	}
	asked := h.server.snapshots()
	h.walked("s13-1")
	if again := h.server.snapshots() - asked; again > accounts {
		t.Errorf("the server was asked %d times again about those that are not idle", again)
	}
}

// A rule that is not enforced ends nobody and tells of each session once, whoever owns the link.
func TestEndsThatAreNotEnforcedAreToldOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 2)
	h.rule(`{"max_session_age_seconds":3600}`)
	h.ownRule("u1", `{"max_session_age_seconds":3600,"enforce":false}`)
	h.ownRule("u2", `{"max_session_age_seconds":3600,"max_idle_seconds":600,"enforce":false}`)
	h.old("s1-1")
	h.old("s1-2")
	h.exec("update sessions set last_seen_at = now() - interval '40 minutes' where sid in ('s2-1', 's2-2')")
	h.server.idle("s2-1", time.Hour)
	told := func() int {
		return h.count("select count(*) from decisions where shadow and evicted = '{}' and code = 'limit'")
	}
	first := launch(t, h.url, h.server)
	h.until("all are told", func() bool { return told() == 3 })
	h.walked("s9-1")
	first.kill()
	launch(t, h.url, h.server)
	h.walked("s10-1")
	h.walked("s11-1")
	if n := told(); n != 3 {
		t.Errorf("%d decisions that are not enforced, want 3", n)
	}
	if n := h.count("select count(*) from decisions"); n != 9 {
		t.Errorf("%d decisions, want 9", n)
	}
	if got := h.state("u1") + " " + h.state("u2"); got != "s1-1=active s1-2=active s2-1=active s2-2=active" {
		t.Error(got)
	}
}
