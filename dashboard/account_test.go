package dashboard_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/store"
)

// device is one put on record by SQL.
type device struct {
	account, name, resource, client string
	id                              int64
}

func (k *kit) devices(list ...device) {
	k.t.Helper()
	for _, d := range list {
		k.exec(`insert into devices (account, id, identity, name, resource, client, first_seen_at, last_seen_at) values ($1, $2, 'probable', nullif($3, ''), $4, $5, now() - interval '2 days', now())`,
			store.KeyOf(d.account), d.id, d.name, d.resource, or(d.client, "Gajim"))
	}
}

// decision is one put on record by SQL, so many minutes ago.
type decision struct {
	account, resource, code, outcome string
	generation                       int64 // of who was let in; 0: nobody
	evicted                          []int64
	explanation                      []string
	ago                              time.Duration
}

func (k *kit) decisions(list ...decision) {
	k.t.Helper()
	for _, d := range list {
		var generation *int64
		if d.generation != 0 {
			generation = &d.generation
		}
		if d.evicted == nil {
			d.evicted = []int64{}
		}
		k.exec(`insert into decisions (account, at, ask_id, resource, device, platform, generation, outcome, code, evicted, rule_level, explanation, condition, shadow)
			values ($1, now() - $2::float8 * interval '1 second', '', $3, null, 'android', $4, $5, $6, $7, 'default', $8, '', false)`,
			store.KeyOf(d.account), d.ago.Seconds(), d.resource, generation, d.outcome, d.code, d.evicted, append([]string{}, d.explanation...))
	}
}

// seedHostileAccount puts an account on record all of whose sessions, devices and decisions have hostile names.
func seedHostileAccount(k *kit) {
	k.t.Helper()
	for i, name := range hostile {
		n := int64(i + 1)
		k.seed(session{account: oddAccount, resource: name, client: name, generation: n, device: n}, session{account: oddAccount, resource: name, client: name, generation: n + 100, ended: true})
		k.devices(device{account: oddAccount, id: n, name: name, resource: name, client: name})
		k.loop(oddAccount, n, &n, name)
		k.decisions(decision{account: oddAccount, resource: name, code: "takeover", outcome: "allow", generation: n, evicted: []int64{n + 100}, explanation: []string{name}, ago: time.Minute + time.Duration(i)*time.Second},
			decision{account: oddAccount, resource: name, code: "limit", outcome: "deny", explanation: []string{name}, ago: time.Hour + time.Duration(i)*time.Second})
	}
}

func TestEveryPartOfAnAccountSurvivesHostileNames(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	seedHostileAccount(k)
	about := "jid=" + url.QueryEscape(oddAccount)
	for _, lang := range []string{"en", "ja", "zh"} {
		for _, role := range []dashboard.Role{dashboard.Viewer, dashboard.Admin} {
			r := k.as(role)
			r.header.Set("Accept-Language", lang)
			for _, part := range []string{"", "devices", "rule", "history", "more"} {
				checkPage(t, r.get("/dashboard/account?"+about+"&part="+part).ok(http.StatusOK), lang)
			}
		}
	}
	admin := k.as(dashboard.Admin)
	id := url.QueryEscape(store.DeviceID(store.KeyOf(oddAccount), 1))
	for _, page := range []string{"/dashboard/account/device", "/dashboard/account/device/block", "/dashboard/account/device/forget"} {
		checkPage(t, admin.get(page+"?"+about+"&id="+id).ok(http.StatusOK), "en")
	}
}

// What is not there and what is not the user's look the same.
func TestAccountThatIsNotThere(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1})
	limited := k.as(dashboard.Admin, "example.net")
	limited.get("/dashboard/account?jid=ada@example.org").ok(http.StatusNotFound).says("Not on record").lacks("phone")
	limited.get("/dashboard/account?jid=bob@example.org").ok(http.StatusNotFound).says("Not on record")
	limited.get("/dashboard/account/export?jid=ada@example.org").ok(http.StatusNotFound)
	limited.post("/dashboard/account/kick", "jid", "ada@example.org", "kind", "all").ok(http.StatusNotFound)
	limited.post("/dashboard/account/release", "jid", "ada@example.org").ok(http.StatusNotFound)
	k.as(dashboard.Admin).get("/dashboard/account?jid=%00").ok(http.StatusUnprocessableEntity)
	k.as(dashboard.Admin).get("/dashboard/find?q=ada@example.org/phone").redirects("/dashboard/account?jid=ada%40example.org")
	k.as(dashboard.Admin).get("/dashboard/").redirects("/dashboard")
	k.as(dashboard.Admin).get("/dashboard/find?q=ada").redirects("/dashboard/sessions?q=ada")
}

func TestKickFromTheAccount(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := k.seed(
		session{account: "ada@example.org", resource: "phone", generation: 1, platform: "android", device: 7},
		session{account: "ada@example.org", resource: "laptop", generation: 2, platform: "desktop"},
		session{account: "ada@example.org", resource: "web", generation: 3, platform: "web"},
	)
	k.devices(device{account: "ada@example.org", id: 7, resource: "phone", name: "Ada's phone"})
	support := k.as(dashboard.Support)
	page := "/dashboard/account?jid=ada@example.org"
	support.get(page).ok(http.StatusOK).says("Ada's phone", "laptop", "web")
	going := func() (n int) {
		if err := k.pool.QueryRow(t.Context(), "select count(*) from sessions where evict_code is not null").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	form := support.get("/dashboard/account/kick?jid=ada@example.org&kind=except&except=" + ids[2]).ok(http.StatusOK)
	support.submit(form, "/dashboard/account/kick", "except", "").ok(http.StatusUnprocessableEntity).says("not right")
	if n := going(); n != 0 {
		t.Fatalf("%d sessions have to go for a form that was refused", n)
	}
	support.submit(form, "/dashboard/account/kick", "kind", "platform", "platform", "desktop", "reason", "lost").redirects("/dashboard/sessions/kicked?")
	if n := going(); n != 1 {
		t.Fatalf("%d sessions have to go, want the desktop's", n)
	}
	to := support.submit(form, "/dashboard/account/kick", "form_key", "", "text_en", "Good bye", "other_lang", "de", "other_text", "Auf Wiedersehen", "cooldown", "600", "block", "1", "revoke", "1").redirects("/dashboard/sessions/kicked?")
	support.get(to).ok(http.StatusOK).says("pending", "credentials")
	if n := going(); n != 2 {
		t.Fatalf("%d sessions have to go, want all but the web's", n)
	}
	var told string
	if err := k.pool.QueryRow(t.Context(), "select evict_text::text from sessions where generation = 1").Scan(&told); err != nil || !strings.Contains(told, "Good bye") || !strings.Contains(told, "Auf Wiedersehen") {
		t.Errorf("the client is told %q, %v", told, err)
	}
	support.get(page + "&part=devices").ok(http.StatusOK).says("blocked")
	support.get(page).ok(http.StatusOK).says("was kicked and has to wait")
	// Who blocks can let in again.
	devices := support.get(page+"&part=devices").ok(http.StatusOK).lacks("Forget", "Rename")
	let := support.get(devices.link("/dashboard/account/device/block?")).ok(http.StatusOK)
	support.submit(let, "/dashboard/account/device/block").redirects("/dashboard/account?")
	support.get(page + "&part=devices").ok(http.StatusOK).says("The device may log in again.")
	ask := support.get("/dashboard/account/release?jid=ada@example.org").ok(http.StatusOK)
	support.submit(ask, "/dashboard/account/release").redirects(page[:20])
	support.get(page).ok(http.StatusOK).says("Nobody is kept out", "The protection was released.")
	k.as(dashboard.Viewer).get(page).ok(http.StatusOK).lacks("End sessions", "Keep only this")
}

func TestDevices(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1, device: 7})
	k.devices(device{account: "ada@example.org", id: 7, resource: "phone"})
	admin := k.as(dashboard.Admin)
	page := "/dashboard/account?jid=ada@example.org&part=devices"
	d := admin.get(page).ok(http.StatusOK)
	admin.submit(d, "/dashboard/account/devices", "value", "tablet", "name", "Tablet & co", "platform", "ios").redirects("/dashboard/account?")
	admin.get(page).ok(http.StatusOK).says("Tablet & co", "registered", "ios")
	admin.submit(d, "/dashboard/account/devices", "known_by", "user_agent_id", "value", "no uuid \x01", "form_key", "").ok(http.StatusUnprocessableEntity).says("not right")
	about := "jid=ada%40example.org&id=" + store.DeviceID(store.KeyOf("ada@example.org"), 7)
	admin.submit(admin.get("/dashboard/account/device?"+about).ok(http.StatusOK), "/dashboard/account/device", "name", "Work").redirects("/dashboard/account?")
	admin.get(page).ok(http.StatusOK).says("Work")
	admin.submit(admin.get("/dashboard/account/device/block?"+about).ok(http.StatusOK), "/dashboard/account/device/block").redirects("/dashboard/account?")
	admin.get(page).ok(http.StatusOK).says("blocked")
	admin.submit(admin.get("/dashboard/account/device/block?"+about).ok(http.StatusOK).says("Unblock this device?"), "/dashboard/account/device/block").redirects("/dashboard/account?")
	admin.get(page).ok(http.StatusOK).lacks("blocked")
	k.end("ada@example.org", 1)
	admin.submit(admin.get("/dashboard/account/device/forget?"+about).ok(http.StatusOK), "/dashboard/account/device/forget").redirects("/dashboard/account?")
	admin.get(page).ok(http.StatusOK).lacks("Work")
	for _, role := range []dashboard.Role{dashboard.Viewer, dashboard.Support} {
		if k.as(role).get(page).ok(http.StatusOK).form("/dashboard/account/devices") {
			t.Errorf("%s is offered to register devices", role)
		}
	}
}

func TestHistoryPairsWinnerAndLoser(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "old-phone", generation: 1, ended: true}, session{account: "ada@example.org", resource: "new-phone", generation: 2})
	k.decisions(
		decision{account: "ada@example.org", resource: "old-phone", code: "ok", outcome: "allow", generation: 1, ago: 3 * time.Minute},
		decision{account: "ada@example.org", resource: "new-phone", code: "takeover", outcome: "allow", generation: 2, evicted: []int64{1}, explanation: []string{"Goes: the old one."}, ago: 2 * time.Minute},
		decision{account: "ada@example.org", resource: "old-phone", code: "cooldown", outcome: "deny", ago: time.Minute},
	)
	d := k.as(dashboard.Viewer).get("/dashboard/account?jid=ada@example.org&part=history").ok(http.StatusOK)
	d.says("Winner new-phone", "Loser old-phone", "Goes: the old one.", "2 min ago")
	if n := strings.Count(d.body, `class="duel"`); n != 1 {
		t.Errorf("%d pairs, want 1", n)
	}
}

func TestGrantIsShownOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1})
	support := k.as(dashboard.Support)
	more := "/dashboard/account?jid=ada@example.org&part=more"
	d := support.get(more).ok(http.StatusOK)
	made := support.submit(d, "/dashboard/account/grant").ok(http.StatusOK).says("It is shown this once.")
	tokens := made.all("code")
	if len(tokens) != 1 || len(text(tokens[0])) < 20 {
		t.Fatalf("no token is shown: %s", made.body)
	}
	support.get(more).ok(http.StatusOK).lacks(text(tokens[0]))
	support.submit(d, "/dashboard/account/grant", "minutes", "none").ok(http.StatusUnprocessableEntity)
	support.get(more + "&by=resource&value=phone").ok(http.StatusOK).says("It still stands.")
	support.get(more + "&by=resource&value=other").ok(http.StatusOK).says("There is none.")
	support.get(more + "&by=session&value=x&generation=first").ok(http.StatusUnprocessableEntity)
	if k.as(dashboard.Viewer).get(more).ok(http.StatusOK).form("/dashboard/account/grant") {
		t.Error("a viewer is offered to make grants")
	}
}

func TestGroupAndLanguage(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1})
	admin := k.as(dashboard.Admin)
	more := "/dashboard/account?jid=ada@example.org&part=more"
	d := admin.get(more).ok(http.StatusOK)
	admin.submit(d, "/dashboard/account/group", "group", "staff").redirects("/dashboard/account?")
	admin.submit(d, "/dashboard/account/lang", "lang", "ja").redirects("/dashboard/account?")
	admin.get("/dashboard/account?jid=ada@example.org").ok(http.StatusOK).says("staff", "ja")
	admin.submit(d, "/dashboard/account/lang", "lang", "not a language", "form_key", "").ok(http.StatusUnprocessableEntity).says("not right")
}

func TestExportAndErase(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1, ended: true})
	admin := k.as(dashboard.Admin)
	d := admin.get("/dashboard/account/export?jid=ada@example.org").ok(http.StatusOK)
	if !json.Valid([]byte(d.body)) || !strings.Contains(d.body, "ada@example.org") || !strings.HasPrefix(d.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v %.500s", d.header, d.body)
	}
	admin.get("/dashboard/account/export?jid=bob@example.org").ok(http.StatusNotFound)
	ask := admin.get("/dashboard/account/erase?jid=ada@example.org").ok(http.StatusOK)
	admin.submit(ask, "/dashboard/account/erase", "typed", "bob@example.org").ok(http.StatusUnprocessableEntity).says("not the account's name")
	admin.submit(ask, "/dashboard/account/erase", "typed", "ada@example.org").redirects("/dashboard/")
	eventually(t, "the account is gone", func() bool { return admin.get("/dashboard/account?jid=ada@example.org").status == http.StatusNotFound })
	k.as(dashboard.Support).get("/dashboard/account/export?jid=ada@example.org").ok(http.StatusForbidden)
}
