package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

const manySessions = 15_000

// snapshot measures how long one part of a snapshot holds Prosody's only thread, with many real sessions, each of which differs from the record: bindgate
// connects to a server it has never seen.
func snapshot(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "snapshot", Bound: "≤ 20", Unit: "ms",
		How: fmt.Sprintf("longest time Prosody's thread is held by one part (processor time), %d real sessions, all sent in full", manySessions),
	}
	c, stop, err := rig.Cluster(ctx, nil)
	if err != nil {
		return r, err
	}
	defer stop()
	server, err := prosody.Start(ctx, prosody.Config{LogLevel: "warn"})
	if err != nil {
		return r, err
	}
	defer server.Stop()
	clients, err := crowd(ctx, server, manySessions)
	defer func() {
		for _, c := range clients {
			c.Cut()
		}
	}()
	if err != nil {
		return r, err
	}
	var walls, cpus []float64
	took := 0.0
	for i := range rounds {
		if err := server.MeasureIQs(ctx, server.Domain()); err != nil {
			return r, err
		}
		begin := time.Now()
		g, stopGate, err := rig.Bindgate(ctx, log, c, server)
		if err != nil {
			return r, err
		}
		if err := compared(ctx, g); err != nil {
			return r, err
		}
		if i == 0 {
			took = time.Since(begin).Seconds()
		}
		if err := stopGate(); err != nil {
			return r, err
		}
		wall, cpu, err := server.LongestIQ(ctx, server.Domain())
		if err != nil {
			return r, err
		}
		walls, cpus = append(walls, wall.Seconds()*1000), append(cpus, cpu.Seconds()*1000)
		if err := forget(ctx, c); err != nil { // the next round sends everything again
			return r, err
		}
	}
	r.Ratio = median(cpus)
	r.Holds = r.Ratio <= 20
	r.Detail = map[string]float64{"longest part, wall ms": median(walls), "first comparison s": took}
	return r, nil
}

// crowd logs n clients in, one an account.
func crowd(ctx context.Context, server *prosody.Server, n int) ([]*xmppclient.Client, error) {
	clients := make([]*xmppclient.Client, n)
	next := make(chan int)
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for range 32 {
		wg.Go(func() {
			for i := range next {
				c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: server.C2S, Domain: server.Domain(), User: fmt.Sprintf("user%d", i), Discard: true})
				if err == nil {
					clients[i] = c
					_, err = c.Bind(ctx, "phone")
				}
				if err != nil {
					once.Do(func() { failed = fmt.Errorf("client %d: %w", i, err) })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	all := clients[:0]
	for _, c := range clients {
		if c != nil {
			all = append(all, c)
		}
	}
	return all, failed
}
