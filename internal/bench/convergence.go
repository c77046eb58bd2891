package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
)

const (
	crowdAccounts = 33_334
	crowdEach     = 3
	loginRate     = 100 // a second
	idleSpell     = 15 * time.Second
	busySpell     = 25 * time.Second
)

// convergence lowers the default rule from 3 sessions to 1 for 100,000 live sessions, and compares the time that logins take meanwhile with what they take when nothing else is
// done. The two take turns: the kick is cancelled and asked for again, and the last one runs to its end. Ask to answer is measured at the server's end of the component's
// connection.
func convergence(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "convergence", Bound: "≤ 3", Unit: "× idle p99",
		How: fmt.Sprintf("p99 of ask → answer on the wire, %d logins a second, while max_sessions goes from %d to 1 with apply=now for %d live sessions ÷ the same before",
			loginRate, crowdEach, crowdAccounts*crowdEach),
	}
	c, stop, err := rig.Cluster(ctx, nil)
	if err != nil {
		return r, err
	}
	defer stop()
	server, err := newPeer()
	if err != nil {
		return r, err
	}
	if err := crowded(ctx, c, server); err != nil {
		return r, err
	}
	st, err := store.Open(ctx, store.Config{URL: c.URL()})
	if err != nil {
		return r, err
	}
	defer st.Close()
	g := gate.New(st, gate.Config{Logger: log})
	bridge := xmppbridge.New(xmppbridge.Config{Name: benchLink, Addr: server.listener.Addr().String(), Component: peerComponent, Secret: peerSecret, Logger: log}, g)
	running, cancel := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return server.serve(running) })
	group.Go(func() error { return g.Run(running) })
	group.Go(func() error { return g.Own(running, benchLink, "gate", peerComponent, bridge.Run) })
	defer func() {
		cancel()
		if err := group.Wait(); err != nil && running.Err() == nil {
			log.Error("bench", "error", err)
		}
	}()
	if err := rig.Linked(ctx, g); err != nil {
		return r, err
	}
	logins := &loginStream{peer: server}
	if _, err := logins.run(running, time.After(5*time.Second)); err != nil { // warm
		return r, err
	}
	begin := time.Now()
	var ratios, before, during, p50, p50During []float64
	var evicted, seen int64
	for range rounds {
		idle, err := logins.run(running, time.After(idleSpell))
		if err != nil {
			return r, err
		}
		job, err := lower(running, st)
		if err != nil {
			return r, err
		}
		busy, err := logins.run(running, time.After(busySpell))
		if err != nil {
			return r, err
		}
		if err := st.CancelJob(running, job, store.Actor{Subject: "bench"}); err != nil {
			return r, err
		}
		p, err := follow(running, st, job, func(j store.Job) bool { return j.State != store.JobRunning && j.Pending == 0 })
		if err != nil {
			return r, err
		}
		evicted += p.job.Kicked
		ratios = append(ratios, percentile(busy, 99)/percentile(idle, 99))
		before, during = append(before, percentile(idle, 99)), append(during, percentile(busy, 99))
		p50, p50During = append(p50, percentile(idle, 50)), append(p50During, percentile(busy, 50))
	}
	job, err := lower(running, st)
	if err != nil {
		return r, err
	}
	last, err := follow(running, st, job, func(j store.Job) bool { return j.State == store.JobDone })
	if err != nil {
		return r, err
	}
	evicted, seen = evicted+last.job.Kicked, int64(last.seen)
	over, err := stillOver(ctx, c)
	if err != nil {
		return r, err
	}
	r.Ratio = median(ratios)
	r.Holds = r.Ratio <= 3 && over == 0 && evicted == crowdAccounts*(crowdEach-1) && seen > 10
	r.Detail = map[string]float64{
		"idle p99 ms": median(before), "p99 meanwhile ms": median(during), "idle p50 ms": median(p50), "p50 meanwhile ms": median(p50During), "sessions evicted": float64(evicted),
		"seconds": time.Since(begin).Seconds(), "accounts over afterwards": over, "progress readings of the last kick": float64(seen),
	}
	return r, nil
}

// lower changes the rule and returns the job that applies it.
func lower(ctx context.Context, st *store.Store) (job int64, err error) {
	one := 1
	change := store.RuleChange{RuleScope: store.RuleScope{Level: rules.LevelDefault}, By: store.Actor{Subject: "bench"}, ApplyNow: true, Check: func(*store.KeptRule) error { return nil }}
	_, _, job, err = st.PutRule(ctx, change, rules.Rule{MaxSessions: rules.Of(&one)}, time.Time{})
	return job, err
}

// progress is a job as it was last, and how many different readings of how far it was were seen.
type progress struct {
	job  store.Job
	seen int
}

// follow reads a job's progress every second until it is as wanted.
func follow(ctx context.Context, st *store.Store, job int64, wanted func(store.Job) bool) (p progress, err error) {
	for last := int64(-1); ; last = p.job.Done {
		if p.job, err = st.FindJob(ctx, job, nil); err != nil {
			return p, err
		}
		if p.job.Done != last {
			p.seen++
		}
		if wanted(p.job) {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// loginStream is logins that come at a steady rate, whether those before were answered or not.
type loginStream struct {
	peer *peer
	n    int
}

// run has logins come until stop, and returns how long each took, in milliseconds.
func (s *loginStream) run(ctx context.Context, stop <-chan time.Time) ([]float64, error) {
	var mu sync.Mutex
	var all []float64
	var first error
	var open sync.WaitGroup
	defer open.Wait()
	tick := time.NewTicker(time.Second / loginRate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), context.Cause(ctx))
		case <-stop:
			open.Wait()
			return all, first
		case <-tick.C:
		}
		n := s.n
		s.n++
		open.Go(func() {
			took, err := s.peer.login(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
			all = append(all, took.Seconds()*1000)
		})
	}
}

func percentile(xs []float64, p int) float64 {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	return xs[min(len(xs)*p/100, len(xs)-1)]
}

// crowded puts the same sessions into the record and into the server.
func crowded(ctx context.Context, c *pg.Cluster, server *peer) error {
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	number := strings.NewReplacer("$N", strconv.Itoa(crowdAccounts), "$E", strconv.Itoa(crowdEach))
	for _, sql := range []string{
		`update rules set fields = '{"max_sessions": $E}' where scope = 'default'`,
		`create temp table a as select encode(substring(sha256(convert_to('user' || i || '@example.org', 'UTF8')) for 16), 'hex')::uuid as key, i from generate_series(0, $N - 1) i order by 1`,
		`insert into accounts (key, jid, domain, generation) select key, 'user' || i || '@example.org', 'example.org', $E from a`,
		`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
			select key, 's' || i || '-' || g, g, 'bench', 'web-' || g, 'active', 'unknown', 'web', '192.0.2.7', true, 'tcp', '', '', 'en', '', now(), now(), now()
			from a, generate_series(1, $E) g order by 1`,
		`analyze`,
	} {
		if _, err := conn.Exec(ctx, number.Replace(sql)); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	for i := range crowdAccounts {
		for n := range crowdEach {
			server.add(fmt.Sprintf("s%d-%d", i, n+1), "user"+strconv.Itoa(i), "web-"+strconv.Itoa(n+1))
		}
	}
	return nil
}

// stillOver counts the accounts with more than one live session.
func stillOver(ctx context.Context, c *pg.Cluster) (n float64, err error) {
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select count(*) from (select from sessions group by account having count(*) > 1) o").Scan(&n)
	return n, err
}
