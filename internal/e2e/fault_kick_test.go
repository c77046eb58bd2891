package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// kickKills is how often bindgate is killed between accepting a kick and doing it.
const kickKills = 50

// bindgate is killed right after it has accepted a kick: of an account while the link is down, or by filter. Each is done after the next start, once.
func TestKilledBetweenAcceptingAKickAndDoingIt(t *testing.T) {
	servers.OneOrEach(t, testKilledBetweenAcceptingAKickAndDoingIt)
}

func testKilledBetweenAcceptingAKickAndDoingIt(t *testing.T, on *servers.Kind) {
	w := dormant(t, on, servers.Options{})
	proxy := w.proxied()
	p := w.spawn()
	w.owned(p)
	var clients []*xmppclient.Client
	for i := range kickKills {
		clients = append(clients, w.login(fmt.Sprintf("kim%d", i), fmt.Sprintf("phone%d", i)))
	}
	bystander := w.login("lee", "phone")
	w.recorded(fmt.Sprintf("kim%d", kickKills-1), fmt.Sprintf("phone%d=active", kickKills-1))
	for i, c := range clients {
		if i%2 == 0 {
			proxy.shut()
			w.down(p)
			var answer shownKick
			p.rest().do("POST", "/v1/accounts/"+w.jid(fmt.Sprintf("kim%d", i))+"/kick", `{"all": true}`, &answer, http.StatusAccepted)
		} else {
			var answer struct{ State string }
			p.rest().do("POST", "/v1/kicks", fmt.Sprintf(`{"filter": {"resource": "phone%d"}}`, i), &answer, http.StatusAccepted)
		}
		p.kill()
		w.leaseless()
		proxy.open()
		p = w.spawn()
		w.kicked(c)
	}
	w.until("all is on record", func() string {
		var sessions, history, verified, twice, open int
		if err := w.store.Pool().QueryRow(t.Context(), `select (select count(*) from sessions), (select count(*) from session_history where end_reason = 'kick'),
				(select count(*) from events where type = 'kick.verified'),
				(select count(*) from (select from session_history group by account, generation having count(*) > 1) d) + (select count(*) from kicks where cardinality(sids) <> 1),
				(select count(*) from jobs where state <> 'done')`).Scan(&sessions, &history, &verified, &twice, &open); err != nil {
			return err.Error()
		}
		if sessions != 1 || history != kickKills || verified != kickKills || twice != 0 || open != 0 {
			return fmt.Sprintf("%d sessions live, %d were kicked, %d kicks are verified, %d twice, %d go on", sessions, history, verified, twice, open)
		}
		return ""
	})
	w.lives(bystander)
}

// down waits until a process knows that its link is.
func (w *world) down(p *process) {
	w.t.Helper()
	w.until("the link is down", func() string {
		var links struct{ Items []struct{ State string } }
		p.rest().do("GET", "/v1/links", "", &links, http.StatusOK)
		if len(links.Items) != 1 || links.Items[0].State != "down" {
			return fmt.Sprintf("%+v", links)
		}
		return ""
	})
}

// leaseless ends the lease of a process that is known to be dead, so that the next one need not wait for its end.
func (w *world) leaseless() {
	w.t.Helper()
	if _, err := w.store.Pool().Exec(w.t.Context(), "update links set expires_at = '-infinity'"); err != nil {
		w.t.Fatal(err)
	}
}
