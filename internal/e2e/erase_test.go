package e2e

import (
	"encoding/json"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Whoever is forgotten is signed out, and neither the server's events nor its lists bring anything back.
func TestErasureOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	admin := w.restAs(api.ScopeAdmin)
	const path = "/v1/accounts/erin@localhost"
	clients := []*xmppclient.Client{w.login("erin", "desk"), w.loginWith("erin", "phone", xmppclient.Options{SM: true})}
	other := w.login("oscar", "desk")
	w.recorded("erin", "desk=active phone=active")
	var export map[string][]json.RawMessage
	admin.do("GET", path+"/export", "", &export, 200)
	if len(export["sessions"]) != 2 || len(export["decisions"]) != 2 || len(export["events"]) < 2 {
		t.Errorf("the export has %d sessions, %d decisions and %d events", len(export["sessions"]), len(export["decisions"]), len(export["events"]))
	}
	var e struct{ State string }
	admin.do("DELETE", path, "", &e, 200)
	if e.State != "done" {
		t.Errorf("state %s", e.State)
	}
	for _, c := range clients {
		wantError(t, w.evicted(c), "kick", "en")
	}
	w.stays(other)
	var none any
	admin.do("GET", path, "", &none, 404)
	admin.do("GET", path+"/export", "", &none, 404)
	var n int
	if err := w.store.Pool().QueryRow(t.Context(), "select count(*) from event_batches e where e::text like '%erin@%'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d batches of events name the account, %v", n, err)
	}
	// Whoever comes again comes for the first time.
	again := w.login("erin", "desk")
	w.recorded("erin", "desk=active")
	var shown struct{ Generation int64 }
	admin.do("GET", path, "", &shown, 200)
	if shown.Generation != 1 {
		t.Errorf("generation %d", shown.Generation)
	}
	w.stays(again)
}
