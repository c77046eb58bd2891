package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

var contractTime = flag.Duration("contract", 75*time.Second, "how long TestContract lets schemathesis try requests")

// A contract tester that others wrote (schemathesis) makes up requests from openapi.yaml, follows its links from one operation to the next, and holds
// every answer of a running bindgate against it; testdata/schemathesis says how. No parallel test runs beside it.
func TestContract(t *testing.T) {
	tester := needsSchemathesis(t)
	w := newWorld(t, servers.Any, servers.Options{Quiet: true, Domain: "example.org"}) // the domain of the contract's examples
	w.populate()
	url, token := w.serveAdmin()

	for _, run := range []struct {
		name, phases string
		share        float64 // of the time
	}{
		{"requests", "examples,coverage,fuzzing", 0.6},
		{"sequences", "stateful", 0.4}, // would get what is left otherwise, which is little
	} {
		t.Run(run.name, func(t *testing.T) {
			seconds := max(1, int(run.share*contractTime.Seconds()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second+time.Minute) // the rest of a test case, and the report
			defer cancel()
			cmd := exec.CommandContext(ctx, tester, "--config-file", "testdata/schemathesis/schemathesis.toml", "--no-color", "run", "../../openapi.yaml", "--url", url,
				"--generation-database", "none", "--phases", run.phases, "--max-time", strconv.Itoa(seconds))
			cmd.WaitDelay = 10 * time.Second
			cmd.Env = append(os.Environ(), "BINDGATE_TOKEN="+token)
			cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
			if err := cmd.Run(); err != nil {
				t.Errorf("schemathesis: %v", err)
			}
		})
	}
}

// needsSchemathesis returns the program that deploy/setup.sh --tests has installed.
func needsSchemathesis(t *testing.T) string {
	t.Helper()
	wanted, err := os.ReadFile("testdata/schemathesis/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	name, version, _ := strings.Cut(strings.TrimSpace(string(wanted)), "==")
	cache, err := os.UserCacheDir()
	if err == nil {
		program := filepath.Join(cache, "bindgate", name+"-"+version, "bin", "schemathesis")
		if _, err = os.Stat(program); err == nil {
			return program
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("schemathesis is not installed; deploy/setup.sh --tests does that: %v", err)
	}
	t.Skip("schemathesis is not installed; deploy/setup.sh --tests does that")
	return ""
}

// serveAdmin serves the API under the limits that bindgate serve has, and returns a token for everything.
func (w *world) serveAdmin() (url, token string) {
	w.t.Helper()
	secret := api.Secret(strings.Repeat("s", api.SafeSecret))
	h, err := api.New(w.t.Context(), api.Config{Store: w.store, Gate: w.running.gate, Keys: secret, Logger: w.logger()})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = api.Server(h, "", w.logger())
	srv.Start()
	w.t.Cleanup(srv.Close)
	token, err = api.Mint(secret, api.Claims{Subject: "contract", Scopes: []string{api.ScopeAdmin}, TTL: 24 * time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	return srv.URL, token
}

// populate fills the record by real logins, whose clients come back whenever they are sent away, and by what an operator would set.
func (w *world) populate() {
	w.t.Helper()
	for i := range 3 { // ended sessions, evictions, and who waits for a cooldown
		w.login("ada", fmt.Sprintf("old%d", i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	w.t.Cleanup(func() { cancel(); clients.Wait() })
	for _, c := range [][2]string{{"ada", "phone"}, {"ada", "tablet"}, {"bob", "desk"}, {"eve", "web"}, {"monitor-bot", "monitor-1"}} {
		clients.Go(func() { w.comeBack(ctx, c[0], c[1]) })
	}
	w.until("everybody has been let in", func() string {
		for _, user := range []string{"ada", "bob", "eve", "monitor-bot"} {
			if w.record(user) == "" {
				return user
			}
		}
		return ""
	})
	set := w.rest()
	set.do("PUT", "/v1/accounts/ada@example.org/group", `{"group":"staff"}`, nil, 200)
	set.do("PUT", "/v1/groups/staff/rule", `{"max_sessions":3}`, nil, 201)
	set.do("PUT", "/v1/domains/example.org/rule?apply=now", `{"max_sessions":5}`, nil, 201) // leaves a kick of many accounts behind
	set.do("PUT", "/v1/accounts/bob@example.org/rule", `{"max_per_platform":{"web":1}}`, nil, 201)
	set.do("POST", "/v1/accounts/ada@example.org/devices", `{"resource":"phone","name":"Ada's phone"}`, nil, 200, 201)
}

// comeBack logs in as often as it is sent away, refused or cut, five times a second at most.
func (w *world) comeBack(ctx context.Context, user, resource string) {
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		if c, err := w.tryDial(user, xmppclient.Options{Discard: true}); err == nil {
			if _, err := c.Bind(ctx, resource); err == nil {
				_, _ = c.WaitClosed(ctx)
			}
			c.Cut()
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}
