package conformance

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// TestSnapshotHoldsTheThreadBriefly measures how long one part of a snapshot, and a digest of everything, hold the server's
// only thread. BINDGATE_SNAPSHOT_SESSIONS sets the number of sessions (15,000 in the benchmark, 600 here).
func TestSnapshotHoldsTheThreadBriefly(t *testing.T) {
	servers.EachProsody(t, testSnapshotHoldsTheThreadBriefly)
}

func testSnapshotHoldsTheThreadBriefly(t *testing.T, on *servers.Kind) {
	n := 600
	if s := os.Getenv("BINDGATE_SNAPSHOT_SESSIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	server, private := onProsody(t, on, prosody.Config{LogLevel: "warn"})
	c := connect(t, server, true)
	c.on(allowAll)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 32 {
		wg.Go(func() {
			for i := range next {
				client, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: private.C2S, Domain: "localhost", User: fmt.Sprintf("m%d", i), Discard: true})
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					continue
				}
				t.Cleanup(client.Cut)
				if _, err := client.Bind(ctx, "r"); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	measure := func(what string, f func()) time.Duration {
		t.Helper()
		if err := private.MeasureIQs(ctx, "localhost"); err != nil {
			t.Fatal(err)
		}
		f()
		wall, cpu, err := private.LongestIQ(ctx, "localhost")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s, %d sessions: %v, %v of processor time", what, n, wall, cpu)
		return cpu // other programs share the machine
	}
	part := measure("longest part of a snapshot", func() {
		if sessions, _ := snapshot(c); len(sessions) != n {
			t.Errorf("%d sessions, want %d", len(sessions), n)
		}
	})
	sessions, _ := snapshot(c)
	same := measure("digest of everything", func() {
		if !sameDigest(c, 0, 4096, digest(sessions)) {
			t.Error("digest differs")
		}
	})
	if part > 20*time.Millisecond || same > 20*time.Millisecond {
		t.Errorf("the thread was held for %v and %v, at most 20 ms", part, same)
	}
	for _, how := range []struct {
		name string
		do   func() error
	}{
		{"reload", func() error { return server.Reload(ctx) }},
	} {
		start := time.Now()
		if err := how.do(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s with %d sessions: %v, with the way there and back", how.name, n, time.Since(start))
	}
}
