package dashboard_test

import (
	"net/http"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
)

const linkState = `{"up": true, "since": "2026-11-01T00:00:00Z", "last_error": "the component <b> refused", "domains": [
	{"domain": "example.org", "server": "Prosody", "server_version": "0.12.3", "module": "0.1.0", "protocol": "1", "mode": "enforce", "on_failure": "allow", "sessions": 1500,
		"abilities": ["ask", "kick", "future"], "missing": ["probe", "revoke"], "last_hello_at": "2026-11-01T00:00:00Z", "last_snapshot_at": "2026-11-01T00:00:00Z", "problem": "its bindgate_timeout is too short"},
	{"domain": "example.net", "mode": "off"}]}`

const stockState = `{"up": true, "since": "2026-11-01T00:00:00Z", "domains": [{"domain": "example.com", "server": "ejabberd", "server_version": "23.01", "mode": "enforce", "abilities": ["kick"],
	"last_hello_at": "2026-11-01T00:00:00Z"}], "self_test": {"at": "2026-11-01T00:00:00Z", "account": "trial@example.com", "ok": false, "findings": ["The kick <b> came without a stream error."]}, "abilities": [{"name": "kick", "can": true, "why": "By its API <b>."}, {"name": "ask", "can": false, "why": "There is no module."}, {"name": "future", "can": false}]}`

// A link without a module says what it can and cannot, and why.
func TestStockLink(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.exec(`insert into links (name, driver, component, owner, owner_name, expires_at, state) values ('stock', 'ejabberd', 'b.example.com', gen_random_uuid(), 'host/42', now() + interval '1 day', $1)`, stockState)
	k.as(dashboard.Viewer).get("/dashboard/links").ok(http.StatusOK).says("ejabberd 23.01", "by its API, just after a login", "what this link can do (1) and cannot (2)", "A login is held until it is decided",
		"There is no module.", "Sessions can be ended", "By its API <b>.", "future", "Self-test", "not as it should be", "The kick <b> came without a stream error.").lacks("Update the module", "the module can do")
}

func TestLinks(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin, viewer := k.as(dashboard.Admin), k.as(dashboard.Viewer)
	admin.get("/dashboard/links").ok(http.StatusOK).says("No link is configured")
	k.exec(`insert into links (name, driver, component, owner, owner_name, expires_at, state) values ('main/1', 'gate', 'bindgate.example.org', gen_random_uuid(), 'host/42', now() + interval '1 day', $1), ('spare', 'admin', 'b.example.com', null, '', now(), '{}')`, linkState)
	d := viewer.get("/dashboard/links").ok(http.StatusOK).says("main/1", "connected", "Prosody 0.12.3", "host/42", "Asks before each login", "future", "Ghost sessions are not found out", "lets everybody in",
		"its bindgate_timeout is too short", "the component <b> refused", "late", "no hello", "spare", "held by nobody", "example.net")
	if d.link("/dashboard/links/mode") != "" {
		t.Error("a viewer is offered the brake")
	}
	viewer.get("/dashboard/links/mode?id=spare").ok(http.StatusForbidden)
	viewer.post("/dashboard/links/mode", "id", "spare", "mode", "off").ok(http.StatusForbidden)
	limited := k.as(dashboard.Admin, "example.org")
	limited.get("/dashboard/links").ok(http.StatusOK).says("example.org").lacks("example.net", "Brake…")
	limited.post("/dashboard/links/mode", "id", "main/1", "mode", "off").ok(http.StatusForbidden)

	ask := admin.get(admin.get("/dashboard/links").link("/dashboard/links/mode?id=main")).ok(http.StatusOK).says("The brake of main/1", "everybody is let in")
	admin.submit(ask, "/dashboard/links/mode", "mode", "observe").redirects("/dashboard/links")
	admin.get("/dashboard/links").ok(http.StatusOK).says("the mode is to be observing", "The brake is on")
	admin.post("/dashboard/links/mode", "id", "main/1", "mode", "sideways").ok(http.StatusUnprocessableEntity).says("This must be one of")
	for _, id := range []string{"", "none", "main"} {
		admin.get("/dashboard/links/mode?id=" + id).ok(http.StatusNotFound)
	}
}
