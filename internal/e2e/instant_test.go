package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// pair is the two devices of an account that bind at the same instant.
type pair struct {
	user    string
	clients [2]*xmppclient.Client
}

// dialPairs logs n accounts in twice, without binding.
func (w *world) dialPairs(prefix string, n int) []*pair {
	w.t.Helper()
	pairs := make([]*pair, n)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range pairs {
		pairs[i] = &pair{user: fmt.Sprintf("%s%d", prefix, i)}
		for j := range 2 {
			group.Go(func() error {
				c, err := w.tryDial(pairs[i].user, xmppclient.Options{Discard: true})
				pairs[i].clients[j] = c
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		w.t.Fatal(err)
	}
	return pairs
}

// bindAtOnce lets all clients bind at the same instant.
func (w *world) bindAtOnce(pairs []*pair, resource func(device int) string) {
	w.t.Helper()
	ctx := w.ctx()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for _, p := range pairs {
		for j, c := range p.clients {
			wg.Go(func() {
				<-start
				if _, err := c.Bind(ctx, resource(j)); err != nil && c.StreamError() == nil {
					w.t.Errorf("bind of %s: %v", p.user, err)
				}
			})
		}
	}
	close(start)
	wg.Wait()
}

// decidedAll waits until no session on record is binding, has to go, or is not judged.
func (w *world) decidedAll() {
	w.t.Helper()
	w.until("nothing is binding or evicting", func() string {
		var n int
		if err := w.store.Pool().QueryRow(w.t.Context(), `select count(*) from sessions where state = 'binding' or evict_code is not null or decided_at is null`).Scan(&n); err != nil {
			return err.Error()
		}
		if n > 0 {
			return fmt.Sprint(n, " sessions")
		}
		return ""
	})
}

// 200 accounts, two devices each, at the same instant, one session allowed: the account's lock says who came first. The server, the record, the
// decisions and what the clients were told agree on it.
func TestSameInstant(t *testing.T) { servers.Each(t, testSameInstant) }

func testSameInstant(t *testing.T, on *servers.Kind) {
	const accounts = 200
	for name, resource := range map[string]func(device int) string{
		"different resources":       func(device int) string { return fmt.Sprintf("tigase-%d", 10+device) },
		"the same resource":         func(int) string { return "phone" },
		"resources from the server": func(int) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, on, servers.Options{Quiet: true, Timeout: 30 * time.Second}) // a busy machine may take its time
			w.rule(`{"max_sessions": 1}`)
			pairs := w.dialPairs("p", accounts)
			w.bindAtOnce(pairs, resource)
			w.decidedAll()
			if n := w.running.gate.Stats().Asks.Load(); n != 2*accounts {
				t.Errorf("%d asks, want %d", n, 2*accounts)
			}
			server := w.everySession()
			if len(server) != accounts {
				t.Errorf("%d accounts on the server, want %d", len(server), accounts)
			}
			for _, p := range pairs {
				w.wantOneOf(p, server[p.user])
			}
		})
	}
}

// wantOneOf checks that one device of a pair is left, and everyone's word for it.
func (w *world) wantOneOf(p *pair, server []string) {
	w.t.Helper()
	record := w.sessions(p.user)
	if len(server) != 1 || len(record) != 1 || record[0].Resource != server[0] || record[0].State != "active" {
		w.t.Fatalf("%s: on the server %q, on record %+v", p.user, server, record)
	}
	// The clients: one reads why, the other is bound to what is on record.
	i := 0
	w.until("one client of "+p.user+" is gone", func() string {
		first, second := p.clients[0].Err() != nil, p.clients[1].Err() != nil
		if i = 0; first {
			i = 1
		}
		if first != second {
			return ""
		}
		return fmt.Sprint("gone: ", first, second)
	})
	winner, loser := p.clients[i], p.clients[1-i]
	e := loser.StreamError()
	if winner.StreamError() != nil || winner.Resource() != record[0].Resource {
		w.t.Errorf("%s: the winner is %s, %v, on record %+v", p.user, winner.JID(), winner.StreamError(), record)
	}
	if e == nil || e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != "takeover" {
		w.t.Errorf("%s: the loser was told %+v", p.user, e)
	}
	// The decisions: the second admission evicted the first, and it is the one that is left.
	if record[0].Generation != 2 {
		w.t.Errorf("%s: left is generation %d", p.user, record[0].Generation)
	}
	decisions := w.decided(p.user)
	if len(decisions) != 2 || !strings.HasSuffix(decisions[0], " allow/ok 1 []") || decisions[1] != record[0].Resource+" allow/takeover 2 [1]" {
		w.t.Errorf("%s: decisions %q", p.user, decisions)
	}
}
