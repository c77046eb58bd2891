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
	idleSpell     = 30 * time.Second
)

// convergence lowers the default rule from 3 sessions to 1 for 100,000 live sessions, all at once, and compares the time that logins take meanwhile with what they took
// before. Ask to answer is measured at the server's end of the component's connection.
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
	idle, err := logins.run(running, time.After(idleSpell))
	if err != nil {
		return r, err
	}
	begin := time.Now()
	done, steps, err := lower(running, st)
	if err != nil {
		return r, err
	}
	busy, err := logins.run(running, done)
	if err != nil {
		return r, err
	}
	took := time.Since(begin)
	s := <-steps
	if s.err != nil {
		return r, s.err
	}
	over, err := stillOver(ctx, c)
	if err != nil {
		return r, err
	}
	before, during := percentile(idle, 99), percentile(busy, 99)
	r.Ratio = during / before
	r.Holds = r.Ratio <= 3 && over == 0 && s.job.Kicked == crowdAccounts*(crowdEach-1) && s.seen > 10
	r.Detail = map[string]float64{
		"idle p99 ms": before, "p99 meanwhile ms": during, "idle p50 ms": percentile(idle, 50), "p50 meanwhile ms": percentile(busy, 50), "sessions evicted": float64(s.job.Kicked),
		"seconds": took.Seconds(), "accounts over afterwards": over, "progress readings": float64(s.seen),
	}
	return r, nil
}

// progress is how a job went: its end, and how many different readings of how far it was were seen before.
type progress struct {
	job  store.Job
	seen int
	err  error
}

// lower changes the rule and follows the job that applies it until it has ended, which closes done; then its progress can be had.
func lower(ctx context.Context, st *store.Store) (done <-chan time.Time, steps <-chan progress, err error) {
	one := 1
	change := store.RuleChange{RuleScope: store.RuleScope{Level: rules.LevelDefault}, By: "bench", ApplyNow: true, Check: func(*store.KeptRule) error { return nil }}
	_, _, job, err := st.PutRule(ctx, change, rules.Rule{MaxSessions: rules.Of(&one)}, time.Time{})
	if err != nil {
		return nil, nil, err
	}
	ended, out := make(chan time.Time), make(chan progress, 1)
	go func() {
		defer close(ended)
		var p progress
		last := int64(-1)
		for p.err == nil && p.job.State != store.JobDone {
			p.job, p.err = st.FindJob(ctx, job)
			if p.job.Done != last {
				p.seen, last = p.seen+1, p.job.Done
			}
			select {
			case <-ctx.Done():
				p.err = ctx.Err()
			case <-time.After(time.Second):
			}
		}
		out <- p
	}()
	return ended, out, nil
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
