package dashboard_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

func TestUsersAreKept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	root := k.as(dashboard.Admin)
	page := root.get("/dashboard/users/add").ok(http.StatusOK)
	add := func(name, role, domains string) *doc {
		t.Helper()
		return root.submit(page, "/dashboard/users/add", "name", name, "role", role, "domains", domains)
	}
	shown := add("Ada", "support", "Example.org, example.net\n").ok(http.StatusOK).says("One-time password", "It is shown only now")
	if cc := shown.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control %q", cc)
	}
	once := byID(shown, "password")
	ada := k.nobody()
	ada.login("ada", once).redirects("/dashboard")
	ada.post("/dashboard/password", "password", password, "again", password).redirects("/dashboard")
	root.get("/dashboard/users").ok(http.StatusOK).says("ada", "Support", "example.org , example.net", "enabled").lacks(once)

	add("ADA", "viewer", "").ok(http.StatusUnprocessableEntity).says("That name is taken.")
	add("a b", "viewer", "").ok(http.StatusUnprocessableEntity).says("That cannot be a name")
	add("bob", "viewer", "a@b").ok(http.StatusUnprocessableEntity).says("not a domain name")
	add("bob", "viewer", strings.Repeat("x.example ", 3)+manyDomains(101)).ok(http.StatusUnprocessableEntity).says("100 domains at most")
	add("bob", "boss", "").ok(http.StatusBadRequest)
	add("bob\x00", "viewer", "").ok(http.StatusUnprocessableEntity)

	// Each change of rights ends the logins.
	user := root.get("/dashboard/users/user?name=ada").ok(http.StatusOK)
	checkPage(t, user, "en")
	ada.get("/dashboard/logins").ok(http.StatusOK)
	root.post("/dashboard/users/change", "name", "ada", "do", "rights", "role", "admin", "domains", "example.org").redirects("/dashboard/users/user?name=ada")
	ada.get("/dashboard/logins").redirects("/dashboard/login")
	ada.login("ada", password).redirects("/dashboard")
	ada.get("/dashboard/users").ok(http.StatusForbidden) // an admin, but not of all domains
	root.post("/dashboard/users/change", "name", "ada", "do", "rights", "role", "admin", "domains", "").redirects("/dashboard/users/user?name=ada")
	ada.login("ada", password).redirects("/dashboard")
	ada.get("/dashboard/users").ok(http.StatusOK)

	root.post("/dashboard/users/change", "name", "ada", "do", "disable").redirects("/dashboard/users/user")
	ada.get("/dashboard/users").redirects("/dashboard/login")
	ada.login("ada", password).ok(http.StatusUnprocessableEntity).says("The name or the password is not right.")
	root.post("/dashboard/users/change", "name", "ada", "do", "enable").redirects("/dashboard/users/user")
	ada.login("ada", password).redirects("/dashboard")
	root.post("/dashboard/users/logins", "name", "ada", "all", "1").redirects("/dashboard/users/user")
	ada.get("/dashboard/users").redirects("/dashboard/login")

	root.get("/dashboard/users/reset?name=ada").ok(http.StatusOK).says("Reset the password?")
	again := byID(root.post("/dashboard/users/reset", "name", "ada").ok(http.StatusOK), "password")
	ada.login("ada", password).ok(http.StatusUnprocessableEntity)
	ada.login("ada", again).redirects("/dashboard")
	ada.get("/dashboard/users").redirects("/dashboard/password")

	// The forms sent twice, by a double click: the answer that is seen has the password that counts.
	twice := root.get("/dashboard/users/add").ok(http.StatusOK)
	carol := byID(root.submit(twice, "/dashboard/users/add", "name", "carol", "role", "viewer").ok(http.StatusOK), "password")
	if seen := byID(root.submit(twice, "/dashboard/users/add", "name", "carol", "role", "viewer").ok(http.StatusOK), "password"); seen != carol {
		t.Error("adding a user twice shows another password")
	}
	twice = root.get("/dashboard/users/reset?name=carol").ok(http.StatusOK)
	carol = byID(root.submit(twice, "/dashboard/users/reset").ok(http.StatusOK), "password")
	if seen := byID(root.submit(twice, "/dashboard/users/reset").ok(http.StatusOK), "password"); seen != carol {
		t.Error("resetting a password twice shows another one")
	}
	k.nobody().login("carol", carol).redirects("/dashboard")

	root.get("/dashboard/users/remove?name=ada").ok(http.StatusOK).says("Remove the user?")
	root.post("/dashboard/users/remove", "name", "ada").redirects("/dashboard/users")
	ada.get("/dashboard/password").redirects("/dashboard/login")
	for _, d := range []*doc{
		root.get("/dashboard/users/user?name=ada"), root.get("/dashboard/users/user"), root.get("/dashboard/users/user?name=%00%ff"), root.post("/dashboard/users/change", "name", "ada", "do", "disable"),
		root.post("/dashboard/users/remove", "name", "ada"), root.post("/dashboard/users/reset", "name", "ada"),
	} {
		d.ok(http.StatusNotFound)
	}
	var done []string
	for _, e := range k.audit("ada") {
		what, _, _ := strings.Cut(e, " dashboard")
		done = append(done, what)
	}
	want := []string{"user.add", "user.login", "user.password", "user.login", "user.change", "user.login", "user.change", "user.login", "user.change", "user.change", "user.login", "user.login_end",
		"user.password", "user.login", "user.remove"}
	if !slices.Equal(done, want) {
		t.Errorf("audit: %q, want %q", done, want)
	}
	if strings.Contains(k.logs.String(), once) || strings.Contains(k.logs.String(), "level=ERROR") {
		t.Errorf("the log: %s", k.logs)
	}
}

func manyDomains(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("d", i+1) + ".example ")
	}
	return b.String()
}

// byID is the text of the element with that id.
func byID(d *doc, id string) string {
	d.t.Helper()
	for _, n := range d.all("dd") {
		if attr(n, "id") == id {
			return text(n)
		}
	}
	d.t.Fatalf("%s: nothing has the id %s", d.what, id)
	return ""
}

func TestTheLastAdminStaysOnThePages(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	r := k.nobody()
	r.login("ada", password).redirects("/dashboard")
	for _, form := range []url.Values{
		{"do": {"disable"}}, {"do": {"rights"}, "role": {"viewer"}}, {"do": {"rights"}, "role": {"admin"}, "domains": {"example.org"}},
	} {
		form.Set("name", "ada")
		r.do(http.MethodPost, "/dashboard/users/change", form).ok(http.StatusUnprocessableEntity).says("the last admin of all domains")
	}
	r.post("/dashboard/users/remove", "name", "ada").ok(http.StatusUnprocessableEntity).says("the last admin of all domains")
	r.get("/dashboard/users").ok(http.StatusOK)
}

func TestUsersArePaged(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	r := k.as(dashboard.Admin)
	k.exec(`insert into users (name, role, password, created_at, created_by) select 'z' || lpad(n::text, 3, '0'), 'viewer', 'x', now(), '' from generate_series(1, 150) n`)
	first := r.get("/dashboard/users").ok(http.StatusOK).says("z099").lacks("z100")
	second := r.get(first.link("/dashboard/users?after=")).ok(http.StatusOK).says("z100", "z150").lacks("z099")
	if second.link("/dashboard/users?after=") != "" {
		t.Error("there is a page after the last")
	}
	r.get("/dashboard/users?after=zzz").ok(http.StatusOK).says("No more users")
	r.get("/dashboard/users?after=%00").ok(http.StatusBadRequest)
}
