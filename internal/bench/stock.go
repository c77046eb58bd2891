package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/httpapi"
)

const (
	stockSessions = 1000
	stockTrials   = 200                   // of each kind
	stockPause    = 30 * time.Millisecond // between two logins: they meet every phase of the poll
	stockBound    = 2 * time.Second
	stockSettle   = 30 * time.Second
	stockAtOnce   = 25
)

// stockEjabberd measures how long a session that has to go lives on beside a newer one on an ejabberd without our module, which a bindgate watches from outside: for
// clients that send presence and for those that do not.
func stockEjabberd(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "stock", Bound: "≤ 2", Unit: "s",
		How: fmt.Sprintf("p99 of bind sent → the older session's client has read <conflict/>, stock ejabberd with %d sessions, %d logins without presence", stockSessions, stockTrials),
	}
	c, stop, err := rig.Cluster(ctx, nil)
	if err != nil {
		return r, err
	}
	defer stop()
	server, err := ejabberd.Start(ctx, ejabberd.Config{Spinning: true, Hosts: []ejabberd.Host{{Modules: ejabberd.SeePresence}}})
	if err != nil {
		return r, err
	}
	defer server.Stop()
	st, stopGate, err := watchStock(ctx, log, c, server)
	if err != nil {
		return r, err
	}
	defer func() {
		if err := stopGate(); err != nil {
			log.Error("bindgate", "error", err)
		}
	}()
	w := stockWorld{server: server, store: st}
	defer w.cut()
	if err := w.fill(ctx); err != nil {
		return r, err
	}
	blind, err := w.evictions(ctx, "blind", false)
	if err != nil {
		return r, fmt.Errorf("without presence: %w", err)
	}
	seen, err := w.evictions(ctx, "seen", true)
	if err != nil {
		return r, fmt.Errorf("with presence: %w", err)
	}
	p := func(xs []float64, percent int) float64 { return xs[len(xs)*percent/100] }
	r.Ratio = p(blind, 99)
	r.Holds = max(r.Ratio, p(seen, 99)) <= stockBound.Seconds()
	r.Detail = map[string]float64{
		"no presence p50 s": p(blind, 50), "no presence p99 s": p(blind, 99), "presence p50 s": p(seen, 50), "presence p99 s": p(seen, 99),
	}
	return r, nil
}

// watchStock runs a bindgate beside the server until stop. It is linked when it returns.
func watchStock(ctx context.Context, log *slog.Logger, c *pg.Cluster, server *ejabberd.Server) (st *store.Store, stop func() error, err error) {
	if st, err = store.Open(ctx, store.Config{URL: c.URL()}); err != nil {
		return nil, nil, err
	}
	if _, err := st.Pool().Exec(ctx, `update rules set fields = '{"max_sessions": 1}' where scope = 'default'`); err != nil {
		st.Close()
		return nil, nil, err
	}
	g := gate.New(st, gate.Config{Logger: log})
	o := stock.New(xmppbridge.Config{
		Name: "stock", Addr: server.Component, Component: server.ComponentJID(), Secret: xmppbridge.Secret(server.Secret()), Driver: xmppbridge.DriverEjabberd,
		Domains: []string{server.Domain()}, Logger: log,
	}, httpapi.New("http://"+server.HTTP+"/api"), g)
	if stop, err = rig.Own(ctx, st, g, "stock", xmppbridge.DriverEjabberd, server.ComponentJID(), o.Run); err != nil {
		return nil, nil, err
	}
	return st, stop, nil
}

type stockWorld struct {
	server  *ejabberd.Server
	store   *store.Store
	clients []*xmppclient.Client
}

func (w *stockWorld) cut() {
	for _, c := range w.clients {
		c.Cut()
	}
}

func (w *stockWorld) login(ctx context.Context, user, resource string, presence bool) (*xmppclient.Client, time.Time, error) {
	c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: w.server.C2S, Domain: w.server.Domain(), User: user, Discard: true})
	if err != nil {
		return nil, time.Time{}, err
	}
	bound, err := c.Bind(ctx, resource)
	if err == nil && presence {
		err = c.SendPresence(0)
	}
	return c, bound.SentAt, err
}

// first logs many accounts in and waits until all are on record.
func (w *stockWorld) first(ctx context.Context, kind string, n int, presence bool) ([]*xmppclient.Client, error) {
	out := make([]*xmppclient.Client, n)
	group, at := errgroup.WithContext(ctx)
	group.SetLimit(stockAtOnce)
	for i := range out {
		group.Go(func() (err error) {
			out[i], _, err = w.login(at, fmt.Sprint(kind, i), "phone", presence)
			return err
		})
	}
	err := group.Wait()
	for _, c := range out {
		if c != nil {
			w.clients = append(w.clients, c)
		}
	}
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(stockSettle); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var live int
		if err := w.store.Pool().QueryRow(ctx, `select count(*) from sessions s join accounts a on a.key = s.account where a.jid ~ $1 and s.decided_at is not null`, "^"+kind+"[0-9]").Scan(&live); err != nil {
			return nil, err
		}
		if live == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("of %d sessions not all were found", n)
}

func (w *stockWorld) fill(ctx context.Context) error {
	_, err := w.first(ctx, "user", stockSessions, false)
	return err
}

// evictions logs accounts in a second time and returns how long the first session of each lived on, in seconds, sorted.
func (w *stockWorld) evictions(ctx context.Context, kind string, presence bool) ([]float64, error) {
	old, err := w.first(ctx, kind, stockTrials, presence)
	if err != nil {
		return nil, err
	}
	took, next := make([]float64, stockTrials), make([]*xmppclient.Client, stockTrials)
	group, at := errgroup.WithContext(ctx)
	for i, c := range old {
		time.Sleep(stockPause)
		group.Go(func() error {
			n, sent, err := w.login(at, fmt.Sprint(kind, i), "laptop", presence)
			if next[i] = n; err != nil {
				return err
			}
			end, err := c.WaitClosed(at)
			switch {
			case err != nil:
				return err
			case end == nil || end.Condition != "conflict":
				return fmt.Errorf("the older session ended with %v", end)
			}
			took[i] = end.At.Sub(sent).Seconds()
			return nil
		})
	}
	err = group.Wait()
	for _, c := range next {
		if c != nil {
			w.clients = append(w.clients, c)
		}
	}
	slices.Sort(took)
	return took, err
}
