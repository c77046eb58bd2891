// Command bench measures bindgate against what it stands on. Every row is a ratio of two things measured in one run, interleaved, median of five,
// because machines differ and are noisy. It prints a table and writes bench.json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one figure.
type row struct {
	Name   string             `json:"name"`
	Ratio  float64            `json:"ratio"`
	Unit   string             `json:"unit"`
	Bound  string             `json:"bound"` // "≥ 2", "≤ 100"
	Holds  bool               `json:"holds"`
	Detail map[string]float64 `json:"detail"` // medians of what the ratio is made of
	How    string             `json:"how"`
}

// measure takes a row's figure.
type measure func(ctx context.Context, log *slog.Logger) (row, error)

var rows = []struct {
	name    string
	measure measure
}{
	{"decisions", decisions},
	{"takeover", takeover(onProsody)},
	{"takeover-ejabberd", takeover(onEjabberd)},
	{"logins", logins(onProsody)},
	{"logins-ejabberd", logins(onEjabberd)},
	{"snapshot", snapshot},
	{"memory", memory},
	{"condition", condition},
	{"convergence", convergence},
	{"sessions", sessionsOf},
	{"kicks", kicksAccepted},
	{"lookup", lookup},
	{"lists", lists},
	{"pages", pages},
	{"stock", stockEjabberd},
}

func main() {
	only := flag.String("only", "", "comma-separated rows; empty: all")
	out := flag.String("json", "bench.json", "where the JSON goes; empty: nowhere")
	profile := flag.String("cpuprofile", "", "where a profile of this process goes, which has bindgate in it; empty: nowhere")
	verbose := flag.Bool("v", false, "tell what the rows are made of while they are measured")
	flag.Parse()
	debug.SetGCPercent(400) // as bindgate serve does
	err := profiled(*profile, func() error { return run(*only, *out, *verbose) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func profiled(path string, what func() error) error {
	if path == "" {
		return what()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return what()
}

func run(only, out string, verbose bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	wanted := strings.Split(only, ",")
	var done []row
	for _, r := range rows {
		if only != "" && !slices.Contains(wanted, r.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s …\n", r.name)
		result, err := r.measure(ctx, log)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		done = append(done, result)
	}
	if err := show(done); err != nil {
		return err
	}
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(done, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func show(done []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\tfigure\tbound\tholds\tmade of")
	for _, r := range done {
		holds := "yes"
		if !r.Holds {
			holds = "NO"
		}
		var parts []string
		for k, v := range r.Detail {
			parts = append(parts, fmt.Sprintf("%s %.4g", k, v))
		}
		slices.Sort(parts)
		fmt.Fprintf(w, "%s\t%.3g %s\t%s\t%s\t%s\n", r.Name, r.Ratio, r.Unit, r.Bound, holds, strings.Join(parts, ", "))
	}
	return w.Flush()
}

func median(xs []float64) float64 {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	return xs[len(xs)/2]
}
