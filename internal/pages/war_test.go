package pages

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Two clients that reconnect for ever displace each other, where no cooldown protects the winner. The operator who watches sees the war being frozen, and whom it
// leaves in.
func TestWarIsFrozenLive(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, err := s.api.PutDefaultRule(t.Context(), client.Rule{MaxSessions: client.Set(1), TakeoverCooldown: client.Set(client.Seconds(0)), GhostAfter: client.Set(client.Seconds(1))}, client.RuleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := s.login(t, "support", browser.Visitor{})
	p.Go("/dashboard/loops")
	p.Until("the page is live", `document.getElementById('fresh').classList.contains('on')`)
	browser.Eval[bool](p, `window.marked = true`)
	ctx, stop := context.WithCancel(t.Context())
	var fight sync.WaitGroup
	for _, resource := range []string{"android-1", "laptop"} {
		fight.Go(func() { s.fight(ctx, "leo", resource) })
	}
	t.Cleanup(func() { stop(); fight.Wait() })
	p.Until("the war is in the table", `[...document.querySelectorAll('#loops tbody tr')].some(r => r.innerText.includes('leo@'))`)
	if !browser.Eval[bool](p, `window.marked === true`) {
		t.Error("the page was loaded anew; it was to change by itself")
	}
	loops, err := client.Collect(s.api.ListLoops(t.Context(), client.LoopFilter{}))
	if err != nil || len(loops) != 1 {
		t.Fatalf("loops: %+v, %v", loops, err)
	}
	sessions, err := client.Collect(s.api.ListAccountSessions(t.Context(), s.jid("leo"), client.SessionFilter{}))
	if err != nil || len(sessions) != 1 || sessions[0].Resource == loops[0].Resource {
		t.Errorf("who is in while %q is kept out: %+v, %v", loops[0].Resource, sessions, err)
	}
}

// fight is a client that comes back at once whenever it is out, until ctx ends.
func (s *stage) fight(ctx context.Context, user, resource string) {
	o := xmppclient.Options{User: user, Domain: s.server.Domain(), Addr: s.server.C2S, Transport: xmppclient.TCP}
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if c, err := xmppclient.Dial(ctx, o); err == nil {
			if _, err := c.Bind(ctx, resource); err == nil {
				select {
				case <-c.Closed():
				case <-ctx.Done():
				}
			}
			c.Cut()
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}
