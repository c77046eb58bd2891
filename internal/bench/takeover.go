package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// trials of each kind in a round.
const trials = 80

// takeover compares the time from a new client's bind to the old client's <conflict/> with the same on a server without the gate, which by itself
// replaces a session at once. What the gate adds is one durable transaction, so it is measured in those.
func takeover(on serverKind) measure {
	return func(ctx context.Context, log *slog.Logger) (row, error) {
		r := row{
			Name: "takeover" + on.suffix, Bound: fmt.Sprint("≤ ", on.takeoverMost), Unit: "× pgbench latency",
			How: fmt.Sprintf("p50 of bind sent → old client has read <conflict/>, %s, %d trials, minus the same with built-in %s, ÷ pgbench -c 1 latency", on.name, trials*rounds, on.replaces),
		}
		pair, stop, err := gatedAndPlain(ctx, log, on, 0)
		if err != nil {
			return r, err
		}
		defer stop()
		if _, err := pgbench(ctx, pair.cluster, "-i", "-q", "-s", "10"); err != nil {
			return r, err
		}
		var ratios, with, without, latency []float64
		for range rounds {
			out, err := pgbench(ctx, pair.cluster, "-n", "-N", "-M", "prepared", "-c", "1", "-T", "3")
			if err != nil {
				return r, err
			}
			one, err := figure(latencyLine, out)
			if err != nil {
				return r, err
			}
			ours, err := replace(ctx, pair.gated)
			if err != nil {
				return r, fmt.Errorf("with the gate: %w", err)
			}
			builtIn, err := replace(ctx, pair.plain)
			if err != nil {
				return r, fmt.Errorf("built in: %w", err)
			}
			ratios = append(ratios, (ours-builtIn)/one)
			with, without, latency = append(with, ours), append(without, builtIn), append(latency, one)
		}
		r.Ratio = median(ratios)
		r.Holds = r.Ratio <= on.takeoverMost
		r.Detail = map[string]float64{"gate p50 ms": median(with), "built-in p50 ms": median(without), "pgbench 1-client ms": median(latency)}
		return r, nil
	}
}

// replace logs a client in to each of many accounts and then a second one with the same resource, and returns the median in milliseconds from the second's bind to the first's end.
func replace(ctx context.Context, server rig.Server) (float64, error) {
	addr, _ := server.Addresses()
	login := func(i int) (*xmppclient.Client, xmppclient.BindResult, error) {
		c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: addr, Domain: server.Domain(), User: fmt.Sprintf("user%d", i), Discard: true})
		if err != nil {
			return nil, xmppclient.BindResult{}, err
		}
		bound, err := c.Bind(ctx, "phone")
		return c, bound, err
	}
	var old []*xmppclient.Client
	for i := range trials {
		c, _, err := login(i)
		if err != nil {
			return 0, err
		}
		defer c.Cut()
		old = append(old, c)
	}
	var all []float64
	for i, c := range old {
		next, bound, err := login(i)
		if err != nil {
			return 0, err
		}
		defer next.Cut()
		end, err := c.WaitClosed(ctx)
		if err != nil {
			return 0, err
		}
		if end == nil {
			return 0, errors.New("the old client's stream was closed without a stream error")
		}
		if end.Condition != "conflict" {
			return 0, fmt.Errorf("the old client was ended otherwise: %w", end)
		}
		all = append(all, end.At.Sub(bound.SentAt).Seconds()*1000)
	}
	return median(all), nil
}
