package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/servers"
)

// A backend that has the Go client sees who is logged in, ends a session for sure, and lowers a limit for who is there.
func TestGoClient(t *testing.T) { servers.OneOrEach(t, testGoClient) }

func testGoClient(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	api := w.rest()
	c, err := client.New(api.url, client.StaticToken(api.token), client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const user = "go"
	for _, resource := range []string{"android-1", "web-1", "web-2", "web-♥"} {
		w.login(user, resource)
	}
	w.recorded(user, "android-1=active web-1=active web-2=active web-♥=active")
	jid := w.jid(user)
	sessions, err := client.Collect(c.ListAccountSessions(t.Context(), jid, client.SessionFilter{Platform: "web", ListOptions: client.ListOptions{PageSize: 1}}))
	if err != nil || len(sessions) != 3 {
		t.Fatalf("%+v, %v", sessions, err)
	}
	var heart client.Session
	for _, s := range sessions {
		if s.Resource == "web-♥" {
			heart = s
		}
	}
	report, err := c.Kick(t.Context(), jid, client.KickRequest{SessionIDs: []string{heart.ID}, Reason: "test"})
	if err != nil || !report.Done() || len(report.Results) != 1 || report.Results[0].Outcome != client.OutcomeKicked {
		t.Fatalf("%+v, %v", report, err)
	}
	if v, err := c.Verify(t.Context(), jid, client.VerifyRequest{SessionID: heart.ID}); err != nil || v.Current || v.Reason != "ended" {
		t.Errorf("%+v, %v", v, err)
	}
	if s, err := c.GetSession(t.Context(), heart.ID); err != nil || s.State != client.StateEnded || s.EndReason != "kick" || s.EndedAt.Before(s.StartedAt) {
		t.Errorf("%+v, %v", s, err)
	}

	put, err := c.PutAccountRule(t.Context(), jid, client.Rule{MaxPerPlatform: map[string]int{"web": 1}}, time.Time{}, client.RuleOptions{Apply: client.ApplyNow, IfNoneMatch: "*"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.WaitBulkKick(w.ctx(), put.KickID, nil)
	if err != nil || done.State != client.BulkKickDone || done.Sessions != (client.KickCounts{Kicked: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	w.recorded(user, "android-1=active web-2=active")
	if _, err := c.PutAccountRule(t.Context(), jid, client.Rule{}, time.Time{}, client.RuleOptions{IfNoneMatch: "*"}); !errors.Is(err, client.ErrPreconditionFailed) {
		t.Errorf("put over what is there: %v", err)
	}
	if _, err := c.GetAccount(t.Context(), w.jid("nobody")); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("an account that never was: %v", err)
	}
	links, err := client.Collect(c.ListLinks(t.Context()))
	if err != nil || len(links) != 1 || links[0].State != client.LinkUp || len(links[0].Domains) == 0 {
		t.Errorf("%+v, %v", links, err)
	}
}
