package dashboard_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/dashboard"
)

func TestWebhooks(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	admin.get("/dashboard/webhooks").ok(http.StatusOK).says("No webhook yet")
	form := admin.get("/dashboard/webhooks/new").ok(http.StatusOK).says("one device has displaced another")
	admin.submit(form, "/dashboard/webhooks/new", "url", "http://10.0.0.1/x").ok(http.StatusUnprocessableEntity).says("https")
	admin.submit(form, "/dashboard/webhooks/new", "url", "https://app.example.org/hook", "which", "some").ok(http.StatusUnprocessableEntity).says("Tick at least one")
	if n := k.count("select count(*) from webhooks"); n != 0 {
		t.Fatalf("%d webhooks were made of forms that are not in order", n)
	}
	shown := admin.submit(form, "/dashboard/webhooks/new", "url", "https://app.example.org/hook", "which", "some", "type", "takeover", "description", "shop").ok(http.StatusOK).
		says("Keep this secret", "shown this once", "HMAC-SHA256")
	secret := regexp.MustCompile(`whsec_[A-Za-z0-9+/]{43}=`).FindString(text(shown.root))
	if secret == "" {
		t.Fatalf("no secret on %s", shown.body)
	}
	again := admin.submit(form, "/dashboard/webhooks/new", "url", "https://app.example.org/hook", "which", "some", "type", "takeover", "description", "shop").ok(http.StatusOK)
	if !strings.Contains(text(again.root), secret) || k.count("select count(*) from webhooks") != 1 {
		t.Error("the form sent again made another webhook")
	}
	page := shown.link("/dashboard/webhooks/hook?id=")
	id := must(url.Parse(page)).Query().Get("id")
	for _, path := range []string{page, "/dashboard/webhooks", "/dashboard/webhooks/edit?id=" + id, "/dashboard/audit"} {
		if strings.Contains(admin.get(path).ok(http.StatusOK).body, secret) {
			t.Errorf("%s shows the secret again", path)
		}
	}
	admin.get("/dashboard/webhooks").ok(http.StatusOK).says("https://app.example.org/hook", "shop", "takeover", "well")

	edit := admin.get("/dashboard/webhooks/edit?id=" + id).ok(http.StatusOK)
	admin.submit(edit, "/dashboard/webhooks/edit", "which", "all", "description", "").redirects(page)
	admin.get(page).ok(http.StatusOK).says("The webhook was changed", "All events").lacks("shop")
	hook, err := k.client().GetWebhook(t.Context(), id)
	if err != nil || hook.Types != nil || hook.Description != "" {
		t.Errorf("%+v, %v", hook, err)
	}
	admin.submit(admin.get(page), "/dashboard/webhooks/enable").redirects(page)
	admin.get(page).ok(http.StatusOK).says("paused", "Go on")
	admin.post("/dashboard/webhooks/enable", "id", id, "enabled", "1").redirects(page)
	admin.get(page).ok(http.StatusOK).says("It goes on")

	rotate := admin.get("/dashboard/webhooks/rotate?id=" + id).ok(http.StatusOK).says("For 24 hours the old one signs beside it")
	if d := admin.submit(rotate, "/dashboard/webhooks/rotate").ok(http.StatusOK).says("The old one signs beside it until"); strings.Contains(d.body, secret) {
		t.Error("the secret is the old one")
	}
	ask := admin.get("/dashboard/webhooks/delete?id=" + id).ok(http.StatusOK).says("Delete this webhook?")
	admin.submit(ask, "/dashboard/webhooks/delete").redirects("/dashboard/webhooks")
	admin.get(page).ok(http.StatusNotFound)
	for _, path := range []string{"/hook", "/edit", "/rotate", "/delete", "/hook?id=x", "/hook?id=whk_1"} {
		admin.get("/dashboard/webhooks" + path).ok(http.StatusNotFound)
	}
	k.as(dashboard.Support).get("/dashboard/webhooks").ok(http.StatusForbidden)
}

// Nothing is sent here: a test waits for its turn, and what ended is put on record by SQL.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	hook, err := k.client().CreateWebhook(t.Context(), client.NewWebhook{URL: "https://app.example.org/hook", Domains: []string{"example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	admin := k.as(dashboard.Admin)
	page := "/dashboard/webhooks/hook?id=" + hook.ID
	admin.get(page).ok(http.StatusOK).says("Nothing was sent", "example.org")
	k.exec(`insert into webhook_deliveries (webhook, id, state, attempts, created_at, finished_at, attempted_at, status, answer, error, duration_ms)
		select id, -1, 'failed', 12, now() - interval '1 hour', now(), now(), 503, '<h1>no</h1>', 'the answer was 503', 17 from webhooks`)
	d := admin.get(page+"&state=failed").ok(http.StatusOK).says("webhook.test", "failed", "503", "<h1>no</h1>", "17 ms")
	to := admin.submit(d, "/dashboard/webhooks/redeliver").redirects(page)
	admin.get(to).ok(http.StatusOK).says("It is sent once more")
	admin.get(page + "&state=pending").ok(http.StatusOK).says("pending")
	admin.post("/dashboard/webhooks/redeliver", "id", hook.ID).ok(http.StatusNotFound)
	other := k.as(dashboard.Admin, "example.net")
	other.get("/dashboard/webhooks").ok(http.StatusOK).lacks("app.example.org")
	other.get(page).ok(http.StatusNotFound)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
