package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/store"
)

// grantOnce asks for a grant with an Idempotency-Key; 0: there was no answer.
func (r *rest) grantOnce(user, key string) (status int, g shownGrant) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/v1/accounts/"+user+"@localhost/grants", strings.NewReader(`{"ttl_seconds":3600}`))
	if err != nil {
		r.t.Error(err)
		return 0, g
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, g
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&g) != nil {
		return 0, g
	}
	return resp.StatusCode, g
}

// Callers whose bindgate is killed again and again, and who send their requests again with their keys, each get one grant: the one that is on record.
func TestKeysSurviveKills(t *testing.T) {
	t.Parallel()
	const kills, callers = 6, 24
	w := newWorld(t, servers.Any, servers.Options{})
	for round := range kills {
		p := w.spawn()
		api := p.rest()
		answered := make(chan struct{}, callers)
		got := make([]shownGrant, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				defer func() { answered <- struct{}{} }()
				if status, g := api.grantOnce(fmt.Sprintf("u%d", i), fmt.Sprintf("key %d %d", round, i)); status == http.StatusCreated {
					got[i] = g
				}
			})
		}
		for range round * callers / kills { // the others are somewhere between their request and its answer
			<-answered
		}
		p.kill()
		wg.Wait()
		p = w.spawn()
		api = p.rest()
		for i := range callers {
			var status int
			var g shownGrant
			// The lease of a killed process ends; its last statement may be carried out after its death.
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if _, err := w.store.Pool().Exec(t.Context(), "update idempotency_keys set lease_until = now() where answer is null"); err != nil {
					t.Fatal(err)
				}
				if status, g = api.grantOnce(fmt.Sprintf("u%d", i), fmt.Sprintf("key %d %d", round, i)); status != http.StatusConflict {
					break
				}
			}
			if status != http.StatusCreated || got[i].ID != "" && g != got[i] {
				t.Errorf("round %d: caller %d got %+v, and again %d %+v", round, i, got[i], status, g)
			}
			var n int
			if err := w.store.Pool().QueryRow(t.Context(), "select count(*) from audit where account = $1 and action = 'grant.create' and outcome ->> 'grant_id' = $2",
				store.KeyOf(fmt.Sprintf("u%d@localhost", i)), g.ID).Scan(&n); err != nil || n != 1 {
				t.Errorf("round %d: caller %d has a grant that is %d times in the audit, %v", round, i, n, err)
			}
		}
		p.kill()
	}
	var n int
	if err := w.store.Pool().QueryRow(t.Context(), "select count(*) from audit where action = 'grant.create'").Scan(&n); err != nil || n != kills*callers {
		t.Errorf("%d grants for %d requests, %v", n, kills*callers, err)
	}
}
