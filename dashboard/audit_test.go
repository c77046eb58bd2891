package dashboard_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/dashboard"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1}, session{account: "eve@example.net", resource: "web", generation: 1})
	c := k.client()
	for _, n := range []int{2, 1} {
		if _, err := c.PutAccountRule(t.Context(), "ada@example.org", client.Rule{MaxSessions: client.Set(n)}, time.Time{}, client.RuleOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.PutAccountRule(t.Context(), "eve@example.net", client.Rule{}, time.Time{}, client.RuleOptions{}); err != nil {
		t.Fatal(err)
	}
	admin := k.as(dashboard.Admin)
	d := admin.get("/dashboard/audit?account=ada%40example.org").ok(http.StatusOK).says("Set a rule", "backend by the API", "sessions at once was 2 is 1", "request").lacks("eve@example.net")
	if d.link("/dashboard/account?jid=ada") == "" {
		t.Error("the account is no link")
	}
	admin.get("/dashboard/audit?domain=example.net").ok(http.StatusOK).says("eve@example.net").lacks("ada@example.org")
	admin.get("/dashboard/audit?actor=somebody").ok(http.StatusOK).says("No entry matches")
	admin.get("/dashboard/audit?action=rule.put").ok(http.StatusOK).says("ada@example.org")
	admin.get("/dashboard/audit?action=link.mode").ok(http.StatusOK).says("No entry matches")
	admin.get("/dashboard/audit").ok(http.StatusOK).says("Add a user", "End a login to the dashboard", "role is admin").lacks("user.add")
	// What it came to is in words, too.
	if _, err := c.Kick(t.Context(), "ada@example.org", client.KickRequest{All: true, Reason: "lost", BlockDevices: true}); err != nil {
		t.Fatal(err)
	}
	admin.get("/dashboard/audit?action=session.kick").ok(http.StatusOK).says("block the devices is true", "reason is lost", "sessions outcome pending resource").lacks("block_devices", "session_id")
	admin.get("/dashboard/audit?action=wrong").ok(http.StatusUnprocessableEntity).says("This must be one of")
	admin.get("/dashboard/audit?since=2001-02-03T04:05&zone=Asia/Tokyo").ok(http.StatusOK).says("ada@example.org", "Asia/Tokyo")
	admin.get("/dashboard/audit?until=2001-02-03T04:05:06").ok(http.StatusOK).says("No entry matches", "UTC")
	for _, wrong := range []string{"since=yesterday", "until=2001-02-03T04:05:06Z", "since=2001-02-30T00:00"} {
		admin.get("/dashboard/audit?" + wrong).ok(http.StatusUnprocessableEntity)
	}
	admin.get("/dashboard/audit?zone=../../etc/passwd&since=2001-02-03T04:05").ok(http.StatusOK).says("UTC")
	k.as(dashboard.Admin, "example.net").get("/dashboard/audit").ok(http.StatusOK).says("eve@example.net").lacks("ada@example.org")
	k.as(dashboard.Support).get("/dashboard/audit").ok(http.StatusForbidden)
}

func TestAuditIsPaged(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for i := range 60 {
		k.exec(`insert into audit (at, via, actor, address, request_id, action, jid, domain, target) values (now() - make_interval(secs => $1), 'api', 'backend', '', '', 'domain.change', '', 'example.org', $2)`, i, fmt.Sprintf("target%02d", i))
	}
	admin := k.as(dashboard.Admin)
	first := admin.get("/dashboard/audit?actor=backend").ok(http.StatusOK).says("target00", "target49").lacks("target50")
	second := admin.get(first.link("/dashboard/audit?actor=backend&cursor=")).ok(http.StatusOK).says("target50", "target59").lacks("target49")
	if second.link("/dashboard/audit?actor=backend") == "" {
		t.Error("there is no way back to the first page")
	}
	admin.get("/dashboard/audit?actor=else&cursor=" + "x").ok(http.StatusUnprocessableEntity)
}
