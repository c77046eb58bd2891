package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
)

func TestSessionsAreFoundAndPaged(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var list []session
	for i := range 60 {
		list = append(list, session{account: fmt.Sprintf("user%02d@example.org", i), resource: "phone", generation: 1, platform: "android"})
	}
	list = append(list, session{account: "other@example.net", resource: "laptop", generation: 1, platform: "desktop"})
	k.seed(list...)
	r := k.as(dashboard.Viewer)
	seen := map[string]bool{}
	path := "/dashboard/sessions?domain=example.org"
	for path != "" {
		d := r.get(path).ok(http.StatusOK).lacks("other@example.net")
		for _, a := range d.all("a") {
			if strings.HasPrefix(attr(a, "href"), "/dashboard/account?") {
				if seen[attr(a, "href")] {
					t.Errorf("%s is there twice", attr(a, "href"))
				}
				seen[attr(a, "href")] = true
			}
		}
		path = ""
		for _, a := range d.all("a") {
			if attr(a, "rel") == "next" {
				path = attr(a, "href")
			}
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d accounts, want 60", len(seen))
	}
	r.get("/dashboard/sessions?q=user07").ok(http.StatusOK).says("user07@example.org").lacks("user08@example.org")
	r.get("/dashboard/sessions?platform=desktop").ok(http.StatusOK).says("other@example.net").lacks("user01@example.org")
	r.get("/dashboard/sessions?state=ended").ok(http.StatusOK).says("No session matches")
	r.get("/dashboard/sessions?state=wrong").ok(http.StatusUnprocessableEntity).says("This must be one of")
	if r.get("/dashboard/sessions").form("/dashboard/sessions/kick") {
		t.Error("a viewer is offered to kick")
	}
	k.as(dashboard.Viewer, "example.net").get("/dashboard/sessions").ok(http.StatusOK).says("other@example.net").lacks("user01@example.org")
}

func TestKickFromTheTable(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1}, session{account: "bob@example.org", resource: "web", generation: 1})
	support := k.as(dashboard.Support)
	d := support.get("/dashboard/sessions?q=ada").ok(http.StatusOK)
	ask := support.get(d.link("/dashboard/sessions/kick?")).ok(http.StatusOK).says("End this session?", "ada@example.org")
	to := support.submit(ask, "/dashboard/sessions/kick", "reason", "stolen").redirects("/dashboard/sessions/kicked?")
	support.get(to).ok(http.StatusOK).says("pending")
	k.exec("update sessions set still_present = true where evict_code is not null")
	support.get(to).ok(http.StatusOK).says("still present", "It lives on")
	support.get("/dashboard/sessions").ok(http.StatusOK).says("still present")
	k.end("ada@example.org", 1)
	support.get(to).ok(http.StatusOK).says("its end was seen")
	var via, actor string
	if err := k.pool.QueryRow(t.Context(), "select via, actor from audit where action = 'session.kick'").Scan(&via, &actor); err != nil || via != "dashboard" || actor != support.name {
		t.Errorf("the audit says %q %q, %v", via, actor, err)
	}
}

// Support ends the sessions of one account at a time.
func TestKickMarked(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := k.seed(session{account: "ada@example.org", resource: "phone", generation: 1}, session{account: "bob@example.org", resource: "web", generation: 1})
	both := "/dashboard/sessions/kick?id=" + ids[0] + "&id=" + ids[1]
	k.as(dashboard.Support).get(both).ok(http.StatusForbidden)
	k.as(dashboard.Support).post("/dashboard/sessions/kick", "id", ids[0], "id", ids[1]).ok(http.StatusForbidden)
	k.as(dashboard.Viewer).post("/dashboard/sessions/kick", "id", ids[0]).ok(http.StatusForbidden)
	k.as(dashboard.Admin, "example.net").get(both).ok(http.StatusNotFound)
	admin := k.as(dashboard.Admin)
	ask := admin.get(both).ok(http.StatusOK).says("End 2 sessions of 2 accounts?")
	to := admin.submit(ask, "/dashboard/sessions/kick").redirects("/dashboard/sessions/kicked?")
	_ = to
	var n int
	if err := k.pool.QueryRow(t.Context(), "select count(*) from sessions where evict_code is not null").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d sessions are being ended, want 2 (%v)", n, err)
	}
}

// What could not be ended is told of, and is not among what waits for proof.
func TestKickMarkedOfWhomSomeFail(t *testing.T) {
	t.Parallel()
	var away atomic.Bool // also for the other account
	k := newKitWith(t, func(k *kit, cfg *dashboard.Config) {
		cfg.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/kick") && (away.Load() || strings.Contains(r.URL.Path, "bob@")) {
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			k.api.ServeHTTP(w, r)
		})
	})
	ids := k.seed(session{account: "ada@example.org", resource: "phone", generation: 1}, session{account: "bob@example.org", resource: "web", generation: 1})
	admin := k.as(dashboard.Admin)
	ask := admin.get("/dashboard/sessions/kick?id=" + ids[0] + "&id=" + ids[1]).ok(http.StatusOK)
	to := admin.submit(ask, "/dashboard/sessions/kick").redirects("/dashboard/sessions/kicked?")
	admin.get(to).ok(http.StatusOK).says("the sessions of bob@example.org go on", "pending", "ada@example.org")
	if strings.Contains(to, ids[1]) {
		t.Error("a session that nobody was asked to end is waited for")
	}
	away.Store(true)
	admin.post("/dashboard/sessions/kick", "id", ids[0], "id", ids[1]).ok(http.StatusServiceUnavailable)
}
