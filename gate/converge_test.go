package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// houseful is a server with sessions, which ends those that it is asked to and reports that to whoever is connected.
type houseful struct {
	absent
	mu       sync.Mutex
	seq      int64
	gate     *gate.Gate // that is connected
	sessions map[string]gate.Listed
	kicks    map[string]int // sid → how often it was asked for one that it had
	code     map[string]string
	asked    int // snapshots without digest
}

func newHouseful() *houseful {
	return &houseful{sessions: map[string]gate.Listed{}, kicks: map[string]int{}, code: map[string]string{}}
}

func (h *houseful) Kick(_ context.Context, src gate.Source, k gate.Kick) (gate.KickResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.sessions[k.SID]; !ok {
		return gate.KickGone, nil
	}
	h.kicks[k.SID]++
	h.code[k.SID] = k.Code
	delete(h.sessions, k.SID)
	h.seq++
	h.gate.Event(gate.Event{Source: src, Epoch: "e1", Seq: h.seq, Kind: gate.EventUnbind, User: k.User, SID: k.SID, Resource: k.Resource, Reason: "kick"})
	return gate.KickDone, nil
}

func (h *houseful) Snapshot(_ context.Context, src gate.Source, first, count int, digest string) (gate.Part, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := gate.Part{Source: src, First: first, Count: count, Total: len(h.sessions), Epoch: "e1", Seq: h.seq, Same: digest != ""}
	if digest == "" {
		h.asked++
		for _, l := range h.sessions {
			if b := store.KeyOf(l.User + "@" + src.Domain).Bucket(); b >= first && b < first+count {
				p.Sessions = append(p.Sessions, l)
			}
		}
	}
	return p, nil
}

func (h *houseful) idle(sid string, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.sessions[sid]
	l.Idle = d
	h.sessions[sid] = l
}

func (h *houseful) has(sid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.sessions[sid]
	return ok
}

func (h *houseful) connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gate != nil
}

func (h *houseful) snapshots() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// process is a gate with connections of its own to a database, that can be killed.
type process struct {
	t    *testing.T
	gate *gate.Gate
	stop func()
	mu   sync.Mutex
	dead bool
	open []net.Conn
}

// launch starts a process that owns, or waits for, the link to a server.
func launch(t *testing.T, url string, server *houseful) *process {
	t.Helper()
	p := &process{t: t}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dead && err == nil {
			_ = c.Close()
			return nil, errors.New("the process is dead")
		}
		p.open = append(p.open, c)
		return c, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.gate = gate.New(store.FromPool(pool), gate.Config{
		LeaseTTL: time.Second, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.gate.Run(ctx); err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	running.Go(func() {
		_ = p.gate.Own(ctx, theLink, "gate", "bindgate."+theDomain, func(ctx context.Context) error {
			if server != nil {
				server.mu.Lock()
				server.gate = p.gate
				server.mu.Unlock()
				p.gate.Connected(theLink, server) //nolint:contextcheck // what it starts outlives the connection
			}
			<-ctx.Done()
			return nil
		})
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		pool.Close()
	})
	t.Cleanup(p.stop)
	return p
}

// kill ends a process at whatever it does: nothing that it does from now on reaches the database, not even the end of its lease.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	for _, c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.stop()
}

// house is a database with many sessions on record, the server that has them, and what a test asks of both.
type house struct {
	*bench
	url    string
	server *houseful
}

// newHouse has accounts u1 … uN with as many sessions each, s<account>-<n>, oldest first.
func newHouse(t *testing.T, accounts, sessions int) *house {
	t.Helper()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h := &house{bench: &bench{t: t, store: store.FromPool(pool)}, url: url, server: newHouseful()}
	if _, err := pool.Exec(t.Context(), `with a as (insert into accounts (key, jid, domain, generation, revision)
			select substr(encode(sha256(convert_to('u' || n || '@' || $2, 'UTF8')), 'hex'), 1, 32)::uuid, 'u' || n || '@' || $2, $2, $4, 1 from generate_series(1, $1) n returning key, jid)
		insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
		select key, 's' || substr(split_part(jid, '@', 1), 2) || '-' || g, g, $3, 'r' || g, 'active', 'unknown', 'unknown', '', true, 'tcp', '', '', '', '', now(), now(), now()
		from a, generate_series(1, $4) g`, accounts, theDomain, theLink, sessions); err != nil {
		t.Fatal(err)
	}
	for a := range accounts {
		for n := range sessions {
			sid := fmt.Sprintf("s%d-%d", a+1, n+1)
			h.server.sessions[sid] = gate.Listed{SID: sid, User: fmt.Sprint("u", a+1), Resource: fmt.Sprint("r", n+1), State: "active"}
		}
	}
	return h
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	if _, err := h.store.Pool().Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
}

// apply puts a rule and returns the job that applies it.
func (h *house) apply(scope store.RuleScope, fields string) int64 {
	h.t.Helper()
	rule, err := rules.Parse([]byte(fields))
	if err != nil {
		h.t.Fatal(err)
	}
	_, _, job, err := h.store.PutRule(h.t.Context(), store.RuleChange{RuleScope: scope, By: store.Actor{Subject: "tester"}, ApplyNow: true, Check: func(*store.KeptRule) error { return nil }}, rule, time.Time{})
	if err != nil || job == 0 {
		h.t.Fatalf("job %d, %v", job, err)
	}
	return job
}

func (h *house) job(id int64) store.Job {
	h.t.Helper()
	j, err := h.store.FindJob(h.t.Context(), id, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return j
}

// until polls until ok.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (h *house) finished(id int64) store.Job {
	h.t.Helper()
	h.until("the job is done", func() bool { return h.job(id).State != store.JobRunning })
	return h.job(id)
}

var everybody = store.RuleScope{Level: rules.LevelDefault}

// A lowered limit evicts what is too much, each session once, although the process that does it is killed in the middle and another goes on.
func TestApplyNowSurvivesKills(t *testing.T) {
	t.Parallel()
	const accounts = 300
	h := newHouse(t, accounts, 3)
	first := launch(t, h.url, h.server)
	job := h.apply(everybody, `{"max_sessions":1}`)
	seen := map[int64]bool{} // progress
	h.until("a third is done", func() bool { j := h.job(job); seen[j.Done] = true; return j.Done > accounts/3 })
	launch(t, h.url, h.server) // stands by
	first.kill()
	if j := h.job(job); j.State != store.JobRunning || j.Done >= accounts {
		t.Fatalf("killed too late: %+v", j)
	}
	h.until("the job is done", func() bool { j := h.job(job); seen[j.Done] = true; return j.State == store.JobDone })
	j := h.job(job)
	if j.Total != accounts || j.Done != accounts || j.Kicked != 2*accounts || j.Pending != 0 || j.StillPresent != 0 || j.FinishedAt.IsZero() || len(seen) < 5 {
		t.Errorf("%+v, progress %v", j, seen)
	}
	for sql, want := range map[string]int{
		`select count(*) from sessions`:                                                                           accounts,
		`select count(*) from sessions where generation <> 3`:                                                     0,
		`select count(*) from session_history where end_reason = 'rule'`:                                          2 * accounts,
		`select count(*) from decisions`:                                                                          accounts,
		`select count(*) from decisions where outcome = 'deny' and code = 'limit' and evicted = '{1,2}'`:          accounts,
		`select count(*) from decisions where rule_level = 'default' and cardinality(explanation) > 1`:            accounts,
		`select count(*) from kicks where id < 0 and requested_by = 'tester'`:                                     accounts,
		`select count(*) from (select 1 from session_history group by account, generation having count(*) > 1) d`: 0,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	for sid, n := range h.server.kicks {
		if n != 1 || h.server.code[sid] != "rule" {
			t.Errorf("%s was ended %d times, as %s", sid, n, h.server.code[sid])
		}
	}
}

// Only the rule's accounts are looked at, several processes share the work, and a rule that is not enforced only tells.
func TestApplyNowToSome(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 40, 2)
	h.exec(`update accounts set account_group = 'staff' where jid in ('u1@' || $1, 'u2@' || $1)`, theDomain)
	launch(t, h.url, h.server)
	launch(t, h.url, h.server)
	staff, u3 := store.RuleScope{Level: rules.LevelGroup, Subject: "staff"}, store.RuleScope{Level: rules.LevelAccount, Subject: "u3@" + theDomain}
	jobs := map[int64]int64{ // → accounts
		h.apply(store.RuleScope{Level: rules.LevelDomain, Subject: "example.net"}, `{"max_sessions":1}`): 0,
		h.apply(staff, `{"max_sessions":1,"on_excess":"deny"}`):                                          2,
		h.apply(u3, `{"max_sessions":1,"enforce":false}`):                                                1,
	}
	for id, total := range jobs {
		if j := h.finished(id); j.State != store.JobDone || j.Total != total || j.Done != total {
			t.Errorf("%+v, want %d accounts", j, total)
		}
	}
	for user, want := range map[string]string{"u1": "s1-1=active", "u2": "s2-1=active", "u3": "s3-1=active s3-2=active", "u4": "s4-1=active s4-2=active"} {
		h.eventually(user, want)
	}
	if n := h.count(`select count(*) from decisions where shadow and code = 'limit' and evicted = '{}'`); n != 1 {
		t.Errorf("%d decisions that are not enforced, want 1", n)
	}
	if n := h.count(`select count(*) from decisions`); n != 3 {
		t.Errorf("%d decisions, want 3", n)
	}
}

// Sessions of a link that is down are marked and wait for it, no more than a bounded number of them; a job that is cancelled marks no more.
func TestApplyNowWaitsForTheLinkAndIsCancelled(t *testing.T) {
	t.Parallel()
	const accounts = 1300
	h := newHouse(t, accounts, 2)
	down := launch(t, h.url, nil)
	one := h.apply(store.RuleScope{Level: rules.LevelAccount, Subject: "u7@" + theDomain}, `{"max_sessions":1}`)
	h.eventually("u7", "s7-1=evicting:rule s7-2=active")
	job := h.apply(everybody, `{"max_sessions":1}`)
	h.until("a thousand wait", func() bool { return h.job(job).Pending >= 999 })
	if j := h.job(one); j.State != store.JobRunning || j.Done != 1 || j.Pending != 1 {
		t.Errorf("while the link is down: %+v", j)
	}
	if err := h.store.CancelJob(t.Context(), job, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if j := h.job(job); j.State != store.JobCancelled || j.Pending > 1025 || j.Kicked != 0 || j.Done >= accounts {
		t.Errorf("cancelled: %+v", j)
	}
	down.stop()
	launch(t, h.url, h.server)
	if j := h.finished(one); j.State != store.JobDone || j.Kicked != 1 {
		t.Errorf("%+v", j)
	}
	h.until("all that were marked are gone", func() bool { return h.job(job).Pending == 0 })
	j := h.job(job)
	if left := h.count("select count(*) from sessions"); int64(left) != 2*accounts-j.Kicked-1 || j.State != store.JobCancelled {
		t.Errorf("%d sessions are left: %+v", left, j)
	}
}

// An override that has expired goes by itself, once, and its account is brought within what holds then.
func TestOverrideExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 2)
	h.rule(`{"max_sessions":1}`)
	h.exec(`insert into rules select 'account', jid, '{"max_sessions":5}', nextval('rule_version'), clock_timestamp() + interval '1 second', now(), '' from accounts`)
	h.exec(`insert into rules values ('account', 'nobody@example.org', '{}', nextval('rule_version'), clock_timestamp() + interval '1 second', now(), ''),
		('account', 'lasting@example.org', '{}', nextval('rule_version'), clock_timestamp() + interval '1 hour', now(), '')`)
	for range 3 {
		launch(t, h.url, h.server)
	}
	h.until("all are within one session", func() bool { return h.count("select count(*) from sessions") == 30 })
	h.until("the jobs are done", func() bool { return h.count("select count(*) from jobs where state <> 'done'") == 0 })
	for sql, want := range map[string]int{
		`select count(*) from rules where scope = 'account'`:                 1,
		`select count(*) from jobs where requested_by = 'expiry'`:            30,
		`select count(*) from session_history where end_reason = 'rule'`:     30,
		`select count(*) from decisions`:                                     30,
		`select count(*) from accounts where revision < 2 and jid like 'u%'`: 0,
	} {
		if n := h.count(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	h.until("all events have their place", func() bool { return h.count("select count(*) from event_queue") == 0 })
	if n := h.count(`select count(*) from events where type = 'rule.changed' and data->>'by' = 'expiry' and data->>'level' = 'account' and data->>'rule' is null`); n != 31 {
		t.Errorf("%d events, want 31", n)
	}
}

// The brake takes back what a rule wanted and holds the job up; released, the job looks again. What an operator asks for meanwhile is not the job's.
func TestApplyNowUnderTheBrake(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 50, 2)
	down := launch(t, h.url, nil)
	h.gate = down.gate
	job := h.apply(everybody, `{"max_sessions":1}`)
	h.until("all are marked", func() bool { j := h.job(job); return j.Pending == 50 && j.Done == 50 })
	if _, err := h.gate.Kick(t.Context(), gate.KickRequest{Account: "u1@" + theDomain, By: store.Actor{Subject: "test"}, Select: gate.KickSelect{All: true}}, 0); err != nil {
		t.Fatal(err)
	}
	if j := h.job(job); j.Pending != 49 || j.Kicked != 0 {
		t.Errorf("one goes for a kick: %+v", j)
	}
	h.mode(gate.ModeObserve)
	h.until("nobody has to go", func() bool { return h.job(job).Pending == 0 })
	if j := h.job(job); j.State != store.JobRunning || j.Kicked != 0 || j.Done != 0 {
		t.Errorf("under the brake: %+v", j)
	}
	h.mode(gate.ModeEnforce)
	h.until("all are marked again", func() bool { j := h.job(job); return j.Pending == 49 && j.Done == 50 })
	down.stop()
	launch(t, h.url, h.server)
	if j := h.finished(job); j.State != store.JobDone || j.Kicked != 49 {
		t.Errorf("%+v", j)
	}
	h.until("the kicked are gone", func() bool { return h.count("select count(*) from sessions") == 49 })
	if n := h.count("select count(*) from sessions where generation = 1"); n != 0 {
		t.Errorf("%d of the oldest are left", n)
	}
}
