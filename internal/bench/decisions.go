package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/store"
)

const (
	benchLink   = "bench"
	benchDomain = "example.org"
	accounts    = 100_000
	callers     = 64
	rounds      = 5
	spell       = 5 * time.Second
)

// decisions compares admissions by the gate, each a takeover, with pgbench's simplest writes on the same cluster. Every ask names the account's
// live session, as a server's does, so each one also ends the session that the takeover before evicted: all tables are written.
func decisions(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "decisions", Bound: "≥ 2", Unit: "× pgbench tps",
		How: fmt.Sprintf("gate.Ask, %d callers, each a takeover, %d accounts, synchronous_commit=on ÷ pgbench -s 10 -N -M prepared -c 32", callers, accounts),
	}
	c, stop, err := rig.Cluster(ctx, nil)
	if err != nil {
		return r, err
	}
	defer stop()
	if err := seed(ctx, c, accounts); err != nil {
		return r, err
	}
	if _, err := pgbench(ctx, c, "-i", "-q", "-s", "10"); err != nil {
		return r, err
	}
	st, err := store.Open(ctx, store.Config{URL: c.URL()})
	if err != nil {
		return r, err
	}
	defer st.Close()
	g := gate.New(st, gate.Config{Logger: log})
	running, cancel := context.WithCancel(ctx)
	finished := make(chan error, 1)
	go func() { finished <- g.Run(running) }()
	defer func() { cancel(); <-finished }()

	server := make([]atomic.Int64, accounts)
	var ours, theirs, latencies []float64
	for range rounds {
		out, err := pgbench(ctx, c, "-n", "-N", "-M", "prepared", "-c", "32", "-j", "2", "-T", strconv.Itoa(int(spell.Seconds())))
		if err != nil {
			return r, err
		}
		tps, err := figure(tpsLine, out)
		if err != nil {
			return r, err
		}
		rate, p50, err := takeovers(ctx, g, server)
		if err != nil {
			return r, err
		}
		ours, theirs, latencies = append(ours, rate), append(theirs, tps), append(latencies, p50)
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = ours[i] / theirs[i]
	}
	r.Ratio = median(ratios)
	r.Holds = r.Ratio >= 2
	r.Detail = map[string]float64{"decisions/s": median(ours), "pgbench tps": median(theirs), "decision p50 ms": median(latencies)}
	return r, nil
}

// takeovers has the callers log in to random accounts for a spell, each account's server session being that of its last login.
func takeovers(ctx context.Context, g *gate.Gate, server []atomic.Int64) (rate, p50 float64, err error) {
	var n, bad atomic.Int64
	var mu sync.Mutex
	var all []float64
	var wg sync.WaitGroup
	begin := time.Now()
	for range callers {
		wg.Go(func() {
			var mine []float64
			answers := make(chan gate.Answer, 1)
			for time.Since(begin) < spell && ctx.Err() == nil {
				i := rand.IntN(len(server))
				was := server[i].Load()
				if !server[i].CompareAndSwap(was, -1) || was == -1 {
					continue // another caller is logging in to it
				}
				start := time.Now()
				g.Ask(loginTo(i, was), func(a gate.Answer) { answers <- a })
				a := <-answers
				mine = append(mine, time.Since(start).Seconds()*1000)
				server[i].Store(was + 1)
				if a.Outcome != gate.Allow || len(a.Kicks) == 0 {
					bad.Add(1)
				}
				n.Add(1)
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if bad.Load() > 0 {
		return 0, 0, fmt.Errorf("%d of %d asks were no takeover", bad.Load(), n.Load())
	}
	return float64(n.Load()) / time.Since(begin).Seconds(), median(all), ctx.Err()
}

func loginTo(account int, was int64) gate.Ask {
	sid := func(n int64) string { return "s" + strconv.Itoa(account) + "-" + strconv.FormatInt(n, 10) }
	resource := func(n int64) string { return [3]string{"phone", "laptop", "tablet"}[n%3] }
	return gate.Ask{
		Source: gate.Source{Link: benchLink, Domain: benchDomain}, ID: "a" + sid(was+1), Received: time.Now(), Deadline: time.Hour, // so that none is given up for want of a report
		User: "user" + strconv.Itoa(account), SID: sid(was + 1), Resource: resource(was + 1), Chosen: true,
		Peer:  gate.Peer{IP: "192.0.2.7", Secure: true, Transport: "tcp", Client: "Client 1.0", Lang: "en"},
		Epoch: "e", Seq: 0,
		Sessions: []gate.Listed{{SID: sid(was), Resource: resource(was), State: "active", Age: time.Minute, Peer: gate.Peer{IP: "192.0.2.7", Transport: "tcp", Lang: "en"}}},
	}
}

// seed makes accounts that each have three devices, last seen hours ago, a live session on one of them, and one that was evicted and has not been seen
// to end, and a rule of one session.
func seed(ctx context.Context, c *pg.Cluster, n int) error {
	conn, err := pgx.Connect(ctx, c.URL()) // one connection: the temporary table is its own
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var devices []string
	for _, resource := range []string{"phone", "laptop", "tablet"} {
		devices = append(devices, fmt.Sprintf("(%d, '%s')", store.DeviceOf("resource", resource), resource))
	}
	for _, sql := range []string{
		`update rules set fields = '{"max_sessions": 1, "takeover_cooldown_seconds": 0}' where scope = 'default'`,
		`create temp table a as select encode(substring(sha256(convert_to('user' || i || '@example.org', 'UTF8')) for 16), 'hex')::uuid as key, i from generate_series(0, $N - 1) i order by 1`,
		`insert into accounts (key, jid, domain, generation) select key, 'user' || i || '@example.org', 'example.org', 2 from a`,
		`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
			select key, 's' || i || '-' || (g - 2), g, 'bench', (array['tablet', 'phone'])[g], 'active', 'probable', 'unknown', '192.0.2.7', true, 'tcp', '', 'Client 1.0', 'en', '', now(), now(), now()
			from a, generate_series(1, 2) g order by 1`,
		`update sessions set evict_code = 'takeover', evict_winner = 2, evict_own = false, evict_device = '', evict_platform = 'unknown', evict_at = now() where generation = 1`,
		`insert into devices (account, id, identity, resource, client, first_seen_at, last_seen_at)
			select key, d.id, 'probable', d.resource, 'Client 1.0', now() - interval '30 days', now() - interval '2 hours' from a, (values $D) d(id, resource) order by 1`,
		`analyze`,
	} {
		if _, err := conn.Exec(ctx, strings.NewReplacer("$N", strconv.Itoa(n), "$D", strings.Join(devices, ", ")).Replace(sql)); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}
