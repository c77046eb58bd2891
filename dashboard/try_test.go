package dashboard_test

import (
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
)

func TestTryALogin(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "laptop", platform: "desktop", generation: 1}, session{account: "ada@example.org", resource: "tab", platform: "web", generation: 2},
		session{account: "eve@theirs.example", resource: "phone", generation: 1})
	k.call("PUT", "/v1/domains/example.org/rule", `{"max_sessions":2}`, nil)
	viewer := k.as(dashboard.Viewer)
	page := viewer.get("/dashboard/try?account=ada@example.org&resource=phone-7").ok(200).says("The answer comes here")
	verdict := viewer.submit(page, "/dashboard/try").ok(200)
	verdict.says("Let in; 1 session would end", "It takes the place of another device.", "laptop", "At most 2 sessions at once.", "max_sessions Domain", "Login on resource \"phone-7\"", "Allowed: takeover.")
	verdict.lacks("The answer comes here")
	k.call("PUT", "/v1/accounts/ada@example.org/rule", `{"on_excess":"deny","enforce":false}`, nil)
	viewer.submit(page, "/dashboard/try").ok(200).says("Denied", "A limit is reached, and who came first stays.", "recorded only")
	viewer.submit(page, "/dashboard/try", "account", "").ok(422).says("Name an account.")
	viewer.submit(page, "/dashboard/try", "ip", "no").ok(422).says("This must be an IP address")
	viewer.submit(page, "/dashboard/try", "grant", "nonsense").ok(422).says("This is no token of this account.")
	viewer.submit(page, "/dashboard/try", "device_id", "dev_nope").ok(422)
	viewer.submit(page, "/dashboard/try", "account", "new@example.org").ok(200).says("Let in", "It is within all limits.")
	viewer.submit(page, "/dashboard/try", "account", "<b>@@", "resource", "<img src=x onerror=alert(1)>").ok(422)

	ours := k.as(dashboard.Viewer, "example.org")
	ours.submit(page, "/dashboard/try", "account", "eve@theirs.example").ok(422).says("There is no such account that you may see.")
	if got := k.nobody().post("/dashboard/try", "account", "ada@example.org"); got.status != http.StatusSeeOther {
		t.Errorf("nobody gets %d", got.status)
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "kiosk-1", platform: "unknown", generation: 1}, session{account: "bob@example.org", resource: "<b>kiosk", platform: "unknown", generation: 1})
	admin := k.as(dashboard.Admin)
	const list, edit = "/dashboard/rules/platforms", "/dashboard/rules/platform"
	admin.get(list + "?resource=kiosk-1").ok(200).says("Unknown: no matcher fits.")
	admin.get(list + "?resource=android-1").ok(200).says("android , by matcher 1.")
	admin.get(list + "?q=slixmpp").ok(200).says("software slixmpp*").lacks("software gajim*")
	page := admin.get(edit).ok(200)
	admin.submit(page, edit, "platform", "kiosk", "do", "preview").ok(422).says("must have at least one pattern")
	admin.submit(page, edit, "platform", "kiosk", "resource", "kiosk-[0-9]", "do", "preview").ok(422).says("write ? for it")
	admin.submit(page, edit, "platform", "kiosk", "resource", "kiosk*", "place", "99999", "do", "preview").ok(422).says("whole number")
	preview := admin.submit(page, edit, "platform", "kiosk", "resource", "*kiosk*", "do", "preview").ok(200).says("2 of 2 live sessions looked at", "ada@example.org / kiosk-1 : unknown → kiosk", "It fits resource *kiosk*")
	admin.submit(preview, edit, "do", "save").redirects(list)
	first := admin.get(list+"?resource=kiosk-1").ok(200).says("kiosk , by matcher 1.", "The matcher for kiosk is saved.")
	// Somebody else is faster.
	stale := first.with(list, "etag", fieldsOf(first.with(list, "do", "groups")).Get("etag"))
	admin.send(list, stale, "do", "down:1").redirects(list)
	admin.get(list + "?resource=kiosk-1").ok(200).says("kiosk , by matcher 2.")
	admin.send(list, stale, "do", "down:1").ok(409).says("Somebody else has changed the platforms")
	admin.submit(preview, edit, "do", "save").ok(409)
	groups := admin.get(list).ok(200).with(list, "do", "groups")
	admin.send(list, groups, "group.1.name", "public", "group.1.members", "kiosk\r\nweb").redirects(list)
	groups = admin.get(list).ok(200).with(list, "do", "groups")
	admin.send(list, groups, "group.2.name", "kiosk", "group.2.members", "web").ok(422).says("is a platform of a matcher already")
	ask := admin.get(edit+"?n=2&delete=1").ok(200).says("Remove matcher 2?", "2 of 2 live sessions")
	admin.submit(ask, edit, "do", "save").redirects(list)
	admin.get(list+"?resource=kiosk-1").ok(200).says("Unknown: no matcher fits.", "A matcher for kiosk is removed.")
	for _, role := range []dashboard.Role{dashboard.Viewer, dashboard.Support} {
		k.as(role).get(list).ok(http.StatusForbidden)
	}
}

// The table of matchers is read in pages; the one that decides what is tried is on the page that is shown.
func TestMatchersArePaged(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	seen := map[string]int{}
	last := ""
	for path := "/dashboard/rules/platforms"; path != ""; {
		d := admin.get(path).ok(http.StatusOK)
		path = ""
		for _, a := range d.all("a") {
			if attr(a, "rel") == "next" {
				path = attr(a, "href")
			}
		}
		rows := all(d.all("tbody")[0], "tr")
		if len(rows) > 40 {
			t.Errorf("a page has %d rows", len(rows))
		}
		for _, tr := range rows {
			last = attr(tr, "id")
			seen[last]++
		}
	}
	if len(seen) < 100 || seen[last] != 1 {
		t.Fatalf("%d matchers are on the pages, the last one %d times", len(seen), seen[last])
	}
	d := admin.get("/dashboard/rules/platforms?client=slixmpp").ok(http.StatusOK)
	tried := 0
	for _, tr := range d.all("tr") {
		if attr(tr, "class") == "tried" {
			tried++
		}
	}
	if tried != 1 {
		t.Errorf("%d rows are marked as deciding", tried)
	}
	for _, from := range []string{"-1", "x", "99999999999999999999", "1000000"} {
		admin.get("/dashboard/rules/platforms?from=" + from).ok(http.StatusOK)
	}
}
