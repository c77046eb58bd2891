// Command run fights a thousand wars (see package war) on a Prosody, a PostgreSQL and a bindgate of its own, and prints how they went. It fails when one of
// them was not won by the one that a person logged in last.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/rig"
	"github.com/bindgate/bindgate/internal/war"
	"github.com/bindgate/bindgate/store"
)

func main() {
	n := flag.Int("trials", 1000, "how many")
	attempts := flag.Int("attempts", 20, "of the loser in each, at least")
	sideBySide := flag.Int("parallel", 500, "trials at once")
	diaries := flag.Int("diaries", 3, "of how many failed trials all that happened is printed")
	flag.Parse()
	if err := run(war.Plan(*n, func(war.Policy) int { return *attempts }), *sideBySide, *diaries); err != nil {
		fmt.Fprintln(os.Stderr, "war:", err)
		os.Exit(1)
	}
}

// settings give up durability, which is not on trial: a disk that other programs keep busy is not to delay answers until the server's failure policy decides.
var settings = map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

func run(trials []war.Trial, sideBySide, diaries int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cluster, stopCluster, err := rig.Cluster(ctx, settings)
	if err != nil {
		return err
	}
	defer stopCluster()
	server, err := prosody.Start(ctx, prosody.Config{LogLevel: "warn", Timeout: war.AnswerTimeout})
	if err != nil {
		return err
	}
	defer server.Stop()
	g, stopGate, err := rig.Bindgate(ctx, log, cluster, server)
	if err != nil {
		return err
	}
	defer func() {
		if err := stopGate(); err != nil {
			log.Error("bindgate", "error", err)
		}
	}()
	st, err := store.Open(ctx, store.Config{URL: cluster.URL()})
	if err != nil {
		return err
	}
	defer st.Close()

	began, over, failed := time.Now(), 0, 0
	told := began
	results := (&war.Field{Server: server, Store: st}).FightAll(ctx, trials, sideBySide, func(r war.Result) {
		if over++; !r.Held() {
			failed++
			fmt.Fprintf(os.Stderr, "%s: %s\n", &r, strings.Join(r.Reasons, "; "))
		}
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "after %s %d of %d trials are over, %d failed\n", time.Since(began).Round(time.Second), over, len(trials), failed)
		}
	})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	failed, err = war.Table(os.Stdout, results)
	fmt.Printf("%s\n%d trials in %s\n", war.Legend, len(trials), time.Since(began).Round(time.Second))
	if n := g.Stats().Judged.Load(); n > 0 {
		fmt.Printf("%d logins were let in by the server's failure policy: this machine is too busy for so many trials at once (-parallel)\n", n)
	}
	if err != nil || failed == 0 {
		return err
	}
	war.Tell(os.Stdout, results, diaries)
	return fmt.Errorf("%d of %d trials failed", failed, len(trials))
}
