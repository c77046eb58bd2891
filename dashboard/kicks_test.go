package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
)

// The links are down here: a kick is accepted, counted and goes on.
func TestBulkKick(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	list := []session{{account: "eve@example.net", resource: "web-1", platform: "web", generation: 1}}
	for i := range 30 {
		list = append(list, session{account: fmt.Sprintf("user%d@example.org", i), resource: "web-1", platform: "web", generation: 1}, session{account: fmt.Sprintf("user%d@example.org", i), resource: "phone", platform: "ios", generation: 2})
	}
	k.seed(list...)
	admin := k.as(dashboard.Admin)
	form := admin.get("/dashboard/kicks/new?domain=example.org&platform=web").ok(http.StatusOK)
	ask := admin.submit(form, "/dashboard/kicks/ask", "reason", "web client recalled", "text_en", "Please update.", "cooldown", "60").ok(http.StatusOK).
		says("End 30 sessions of 30 accounts?", "domain example.org", "platform web", "web client recalled", "Please update.", "kept out for 60 s", "Type 30 to confirm")
	admin.submit(ask, "/dashboard/kicks/new", "confirm", "3").ok(http.StatusUnprocessableEntity).says("Nothing was done")
	if n := k.count("select count(*) from jobs"); n != 0 {
		t.Fatalf("%d kicks although the number was mistyped", n)
	}
	// Ten more have come in since: it is asked again.
	var more []session
	for i := range 10 {
		more = append(more, session{account: fmt.Sprintf("late%d@example.org", i), resource: "web-1", platform: "web", generation: 1})
	}
	k.seed(more...)
	again := admin.submit(ask, "/dashboard/kicks/new", "confirm", "30").ok(http.StatusConflict).says("There are 40 sessions now; it was 30", "Type 40 to confirm")
	checkPage(t, again, "en")
	if n := k.count("select count(*) from jobs"); n != 0 {
		t.Fatalf("%d kicks although there are more sessions than were confirmed", n)
	}
	k.exec("delete from sessions where resource = 'web-1' and account in (select key from accounts where jid like 'late%')")
	ask = again
	to := admin.submit(ask, "/dashboard/kicks/new", "confirm", "40").redirects("/dashboard/kicks/job?id=kick_")
	// Sent twice it leads to the same kick, whatever its filter finds by now.
	if again := admin.submit(ask, "/dashboard/kicks/new", "confirm", "40").redirects("/dashboard/kicks/job?id=kick_"); again != to {
		t.Errorf("the form sent twice made %s and %s", to, again)
	}
	eventually(t, "its accounts are counted", func() bool {
		return strings.Contains(text(admin.get(to).ok(http.StatusOK).root), "0 of 30 accounts looked at")
	})
	viewer := k.as(dashboard.Viewer)
	d := viewer.get(to).ok(http.StatusOK).says("web client recalled", "running", "platform web")
	if d.form("/dashboard/kicks/cancel") {
		t.Error("a viewer is offered to cancel")
	}
	viewer.get("/dashboard/kicks").ok(http.StatusOK).says("web client recalled").lacks("New bulk kick")
	admin.submit(admin.get(to), "/dashboard/kicks/cancel").redirects(to)
	admin.get(to).ok(http.StatusOK).says("Cancelled", "cancelled")
	admin.get("/dashboard/kicks?state=running").ok(http.StatusOK).says("Nothing in this state")
	admin.get("/dashboard/kicks?state=cancelled").ok(http.StatusOK).says("web client recalled")
	admin.get("/dashboard/kicks?state=wrong").ok(http.StatusUnprocessableEntity)
	for _, id := range []string{"", "x", "kick_000"} {
		admin.get("/dashboard/kicks/job?id=" + id).ok(http.StatusNotFound)
		admin.post("/dashboard/kicks/cancel", "id", id).ok(http.StatusNotFound)
	}
}

func TestBulkKickIsAskedWithCare(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "web-1", platform: "web", generation: 1}, session{account: "eve@example.net", resource: "web-1", platform: "web", generation: 1})
	admin := k.as(dashboard.Admin)
	for _, c := range []struct {
		says  string
		pairs []string
	}{
		{"Say which sessions", nil},
		{"With this there can be no other field", []string{"all", "1", "platform", "web"}},
		{"Keep them out for (seconds): This has to be a whole number.", []string{"platform", "web", "cooldown", "soon"}},
		{"This has to be a whole number.", []string{"age", "99999999999999999999", "platform", "web"}},
		{"Domain: Something in what was entered is not right. There is no such domain", []string{"domain", "exampel.org"}},
		{"Group: Something in what was entered is not right. There is no such group", []string{"group", "stuff"}},
		{"This must be one of", []string{"state", "evicting"}},
	} {
		admin.post("/dashboard/kicks/ask", c.pairs...).ok(http.StatusUnprocessableEntity).says(c.says)
	}
	admin.post("/dashboard/kicks/ask", "platform", "fridge").ok(http.StatusOK).says("No session fits", "fridge")
	admin.post("/dashboard/kicks/ask", "domain", "example.org").ok(http.StatusOK).says("End 1 session?").lacks("to confirm")
	ask := admin.post("/dashboard/kicks/ask", "all", "1").ok(http.StatusOK).says("End 2 sessions of 2 accounts?", "Type 2 to confirm")
	admin.submit(ask, "/dashboard/kicks/new").ok(http.StatusUnprocessableEntity)
	// Of an admin who is limited to domains it concerns those alone.
	k.as(dashboard.Admin, "example.net").post("/dashboard/kicks/ask", "all", "1").ok(http.StatusOK).says("End 1 session?")
	support := k.as(dashboard.Support)
	support.get("/dashboard/kicks/new").ok(http.StatusForbidden)
	support.post("/dashboard/kicks/ask", "all", "1").ok(http.StatusForbidden)
	support.post("/dashboard/kicks/new", "all", "1", "confirm", "2", "counted", "2").ok(http.StatusForbidden)
	if n := k.count("select count(*) from jobs"); n != 0 {
		t.Errorf("%d kicks were accepted", n)
	}
}
