package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/idprovider"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/signon"
	"github.com/bindgate/bindgate/store"
)

// newSignOn is a kit with a provider at that address.
func newSignOn(t *testing.T, issuer string) *kit {
	t.Helper()
	return newKitWith(t, func(k *kit, cfg *dashboard.Config) {
		p, err := signon.New(signon.Config{
			Issuer: issuer, ClientID: idprovider.ClientID, ClientSecret: idprovider.ClientSecret, RedirectURL: k.url + "/dashboard/login/callback", Scopes: []string{"profile", "email"},
			Roles: signon.Roles{Of: map[string]store.Role{"ops": store.RoleAdmin, "helpdesk": store.RoleSupport}},
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.SignOn = p
	})
}

// atProvider follows to the provider and returns where it sends the browser back to.
func (r *reader) atProvider(to string) string {
	r.k.t.Helper()
	req, err := http.NewRequestWithContext(r.k.t.Context(), http.MethodGet, to, nil)
	if err != nil {
		r.k.t.Fatal(err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.k.t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		r.k.t.Fatalf("the provider: %s", res.Status)
	}
	return back.RequestURI()
}

// signOn logs in by the provider.
func (r *reader) signOn(next string) *doc {
	r.k.t.Helper()
	return r.get(r.atProvider(r.get("/dashboard/login/provider?" + url.Values{"next": {next}}.Encode()).redirects("http://127.0.0.1")))
}

func TestLoginByTheProvider(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, map[string]any{"preferred_username": "Ada", "groups": []string{"helpdesk"}})
	k := newSignOn(t, id.URL)
	r := k.nobody()
	r.get("/dashboard/login").ok(http.StatusOK).says("Log in with 127.0.0.1")
	in := r.signOn("/dashboard/logins")
	if to := in.redirects("/dashboard/"); to != "/dashboard/logins" {
		t.Errorf("it leads to %s", to)
	}
	in.cookie("bindgate_login")
	if n := k.count("select count(*) from logins where expires_at - created_at < interval '12 hours 1 second'"); n != 1 {
		t.Error("a role that is withdrawn at the provider would last for longer than half a day")
	}
	r.get("/dashboard/logins").ok(http.StatusOK).says("ada", "Support")
	r.get("/dashboard/password").ok(http.StatusOK).says("have no password here")
	r.post("/dashboard/password", "password", password, "again", password).ok(http.StatusForbidden)
	k.nobody().login("ada", "").ok(http.StatusUnprocessableEntity)

	// Another role at the next login ends those of before.
	id.Say(map[string]any{"preferred_username": "Ada", "groups": []string{"ops"}})
	other := k.nobody()
	other.signOn("").redirects("/dashboard")
	r.get("/dashboard/logins").redirects("/dashboard/login")
	other.get("/dashboard/users/user?name=ada").ok(http.StatusOK).says("says at each login what this user may do", "4711").lacks("Reset password")
	other.post("/dashboard/users/reset", "name", "ada").ok(http.StatusForbidden)
	other.post("/dashboard/users/change", "name", "ada", "do", "rights", "role", "admin").ok(http.StatusForbidden)

	// Who is disabled here, or has no group, is refused.
	id.Say(map[string]any{"groups": []string{"staff"}})
	k.nobody().signOn("").ok(http.StatusForbidden).says("You may not use this dashboard.")
	k.user(people.Newcomer{Name: "root", Role: store.RoleAdmin})
	other.post("/dashboard/users/change", "name", "ada", "do", "disable").redirects("/dashboard/users/user")
	id.Say(map[string]any{"groups": []string{"ops"}})
	k.nobody().signOn("").ok(http.StatusForbidden).says("You may not use this dashboard.")

	// Where it leads is a page of ours.
	id.Say(map[string]any{"sub": "4712", "groups": []string{"ops"}})
	for _, next := range []string{"https://evil.example/", "//evil.example/dashboard/", "/dashboard/" + strings.Repeat("x", 5000)} {
		if to := k.nobody().signOn(next).redirects("/dashboard"); to != "/dashboard" {
			t.Errorf("next=%.30s leads to %.30s", next, to)
		}
	}
}

func TestAnswersThatTheProviderDidNotGiveThisBrowser(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, map[string]any{"preferred_username": "ada", "groups": []string{"ops"}})
	k := newSignOn(t, id.URL)
	r := k.nobody()
	back := r.atProvider(r.get("/dashboard/login/provider").redirects("http://"))
	k.nobody().get(back).ok(http.StatusUnprocessableEntity).says("was not completed") // another browser: somebody was sent a link
	r.get(back).redirects("/dashboard")
	r.post("/dashboard/logout").redirects("/dashboard/login")
	r.get(back).ok(http.StatusUnprocessableEntity).says("was not completed") // again
	for _, query := range []string{"", "?code=x", "?state=x&code=x", "?error=access_denied", "?error=%00%ff&state=x", "?state=a&state=b"} {
		r.get("/dashboard/login/provider").redirects("http://")
		r.get("/dashboard/login/callback" + query).ok(http.StatusUnprocessableEntity)
	}
	id.Say(map[string]any{"groups": []string{"ops"}, "nonce": "another"})
	k.nobody().signOn("").ok(http.StatusUnprocessableEntity)
	id.Say(map[string]any{"groups": []string{"ops"}, "aud": "another"})
	k.nobody().signOn("").ok(http.StatusUnprocessableEntity)
	if strings.Contains(k.logs.String(), "level=ERROR") {
		t.Errorf("the log: %s", k.logs)
	}
}

func TestAProviderThatIsAway(t *testing.T) {
	t.Parallel()
	k := newSignOn(t, "http://127.0.0.1:1")
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	r := k.nobody()
	r.get("/dashboard/login/provider").ok(http.StatusServiceUnavailable).says("cannot be reached right now")
	r.login("ada", password).redirects("/dashboard")
	without := newKit(t).nobody()
	without.get("/dashboard/login/provider").ok(http.StatusNotFound)
	without.get("/dashboard/login/callback").ok(http.StatusNotFound)
}
