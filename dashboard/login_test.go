package dashboard_test

import (
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/proxy"
	"github.com/bindgate/bindgate/store"
)

// cookie is the one of that name that an answer sets.
func (d *doc) cookie(name string) *http.Cookie {
	d.t.Helper()
	for _, c := range (&http.Response{Header: d.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	d.t.Fatalf("%s: no cookie %s in %v", d.what, name, d.header["Set-Cookie"])
	return nil
}

func (r *reader) login(name, word string) *doc {
	r.k.t.Helper()
	return r.post("/dashboard/login", "username", name, "password", word)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	r := k.nobody()
	r.get("/dashboard/login").ok(http.StatusOK).lacks("right", "Log in with")
	wrong := r.login("ada", "wrong").ok(http.StatusUnprocessableEntity).says("The name or the password is not right.")
	unknown := r.login("nobody", password).ok(http.StatusUnprocessableEntity).says("The name or the password is not right.")
	if a, b := strings.ReplaceAll(wrong.body, `value="ada"`, ""), strings.ReplaceAll(unknown.body, `value="nobody"`, ""); a != b {
		t.Errorf("the two failures differ:\n%s\n%s", a, b)
	}
	if strings.Contains(wrong.body, "wrong\"") {
		t.Error("the password is in the page")
	}
	in := r.login(" ADA ", password)
	in.redirects("/dashboard")
	c := in.cookie("bindgate_login")
	if !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 0 {
		t.Errorf("the cookie is %v", c)
	}
	r.get("/dashboard/logins").ok(http.StatusOK).says("Where you are logged in", "this one")
	r.get("/dashboard/login").redirects("/dashboard")
	if entries := k.audit("ada"); !slices.Equal(entries, []string{"user.add cli test", "user.login dashboard ada"}) {
		t.Errorf("audit: %q", entries)
	}
	r.post("/dashboard/logout").redirects("/dashboard/login")
	r.get("/dashboard/logins").redirects("/dashboard/login?next=%2Fdashboard%2Flogins")
	r.header.Set("Cookie", c.String()) // kept by somebody
	r.get("/dashboard/logins").redirects("/dashboard/login")
}

// audit is what was done to the user, and by whom.
func (k *kit) audit(user string) (list []string) {
	k.t.Helper()
	rows, err := k.pool.Query(k.t.Context(), "select action || ' ' || via || ' ' || actor from audit where target = $1 order by id", user)
	if err != nil {
		k.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			k.t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// A browser's login is never the one that it came with: who put that there knows it.
func TestLoginsAreNotFixed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	r := k.nobody()
	r.header.Set("Cookie", "bindgate_login=PLANTED")
	planted := r.login("ada", password).cookie("bindgate_login").Value
	if planted == "PLANTED" || len(planted) < 26 {
		t.Errorf("the token is %q", planted)
	}
	r = k.nobody()
	first := r.login("ada", password).cookie("bindgate_login").Value
	again := r.login("ada", password).cookie("bindgate_login").Value
	if first == again {
		t.Error("a second login has the first one's token")
	}
	k.bearing("bindgate_login=" + first).get("/dashboard/logins").redirects("/dashboard/login")
}

func TestNextIsAPageOfOurs(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	for next, want := range map[string]string{
		"/dashboard/logins":               "/dashboard/logins",
		"/dashboard/account?jid=a%40b%2F": "/dashboard/account?jid=a%40b%2F",
		"":                                "/dashboard",
		"https://evil.example/dashboard/": "/dashboard",
		"//evil.example/dashboard/":       "/dashboard",
		"/\\evil.example/dashboard/":      "/dashboard",
		"/dashboard/\\evil.example":       "/dashboard",
		"/dashboard//evil.example":        "/dashboard",
		"/v1/sessions":                    "/dashboard",
		"javascript:alert(1)":             "/dashboard",
		"/dashboard\r\nSet-Cookie: a=b":   "/dashboard",
		"http:/dashboard/x":               "/dashboard",
		"/dashboardx":                     "/dashboard",
		"\x00/dashboard/x":                "/dashboard",
	} {
		r := k.nobody()
		page := r.get("/dashboard/login?" + url.Values{"next": {next}}.Encode()).ok(http.StatusOK)
		if got := r.submit(page, "/dashboard/login", "username", "ada", "password", password).redirects("/"); got != want {
			t.Errorf("from the page, next=%q leads to %q, want %q", next, got, want)
		}
		if got := k.nobody().post("/dashboard/login", "username", "ada", "password", password, "next", next).redirects("/"); got != want {
			t.Errorf("from a form, next=%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestAttemptsAreSlowedDownAndTold(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	own := k.nobody()
	own.login("ada", password).redirects("/dashboard")
	r := k.nobody()
	for _, name := range []string{"ada", "nobody"} {
		var d *doc
		n := 0
		for d = r.login(name, "wrong"); d.status == http.StatusUnprocessableEntity && n < 10; n++ {
			d = r.login(name, "wrong")
		}
		wait, _ := strconv.Atoi(d.header.Get("Retry-After"))
		if n < 5 || d.status != http.StatusTooManyRequests || wait < 1 || wait > 60 { // a slow machine spends the first waits with the attempts themselves
			t.Fatalf("%s: after %d: %d, Retry-After %q", name, n, d.status, d.header.Get("Retry-After"))
		}
		d.says("Too many attempts have failed. Try again in " + d.header.Get("Retry-After") + " second")
	}
	k.exec("update login_attempts set refused_until = now() + interval '1 minute'")
	r.login("ada", password).ok(http.StatusTooManyRequests)
	own.login("ada", password).redirects("/dashboard") // a browser in which ada has logged in
}

func TestHostileLogins(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for what, form := range map[string]url.Values{
		"nothing":       {},
		"NUL":           {"username": {"ada\x00"}, "password": {"\x00"}},
		"invalid UTF-8": {"username": {"\xff\xfe"}, "password": {"\xff"}},
		"markup":        {"username": {`"><script>alert(1)</script>`}, "password": {"x"}},
		"twice":         {"username": {"ada", "bob"}, "password": {"x", "y"}},
		"a long name":   {"username": {strings.Repeat("a", 100_000)}, "password": {strings.Repeat("b", 100_000)}},
	} {
		d := k.nobody().do(http.MethodPost, "/dashboard/login", form)
		if d.status != http.StatusUnprocessableEntity && d.status != http.StatusTooManyRequests {
			t.Errorf("%s: %d", what, d.status)
		}
		if strings.Contains(d.body, "<script>alert") || strings.Contains(d.body, "\x00") {
			t.Errorf("%s: it is in the page as it is", what)
		}
	}
	if d := k.nobody().do(http.MethodPost, "/dashboard/login", url.Values{"username": {strings.Repeat("a", 1<<20)}}); d.status < 400 || d.status >= 500 {
		t.Errorf("a name of a megabyte: %d", d.status)
	}
	for what, cookies := range map[string]string{"long": "bindgate_login=" + strings.Repeat("a", 8000), "odd": `bindgate_login="%00'--"; bindgate_known=x; bindgate_signon=..`} {
		k.bearing(cookies).get("/dashboard/logins").redirects("/dashboard/login")
		if d := k.bearing(cookies).login("ada", "x"); d.status >= 500 {
			t.Errorf("%s: %d", what, d.status)
		}
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r := k.nobody()
		r.header.Set(name, value)
		r.login("ada", password).ok(http.StatusForbidden)
		r.post("/dashboard/logout").ok(http.StatusForbidden)
	}
	if strings.Contains(k.logs.String(), "level=ERROR") {
		t.Errorf("the log: %s", k.logs)
	}
}

func TestCookiesBehindAProxy(t *testing.T) {
	t.Parallel()
	k := newKitWith(t, func(_ *kit, cfg *dashboard.Config) {
		trusted := proxy.Trusted{netip.MustParsePrefix("127.0.0.0/8")}
		cfg.Address, cfg.Secure = trusted.Client, trusted.Secure
	})
	k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	r := k.nobody()
	r.header.Set("X-Forwarded-Proto", "https")
	r.header.Set("X-Forwarded-For", "192.0.2.7")
	in := r.login("ada", password)
	c := in.cookie("__Host-bindgate_login")
	if !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %v", c)
	}
	for cookie, let := range map[string]bool{"__Host-bindgate_login=": true, "bindgate_login=": false} { // anybody on the way could have set the other
		r := k.bearing(cookie + c.Value)
		r.header.Set("X-Forwarded-Proto", "https")
		d := r.get("/dashboard/logins")
		if let {
			d.ok(http.StatusOK).says("192.0.2.7")
		} else {
			d.redirects("/dashboard/login")
		}
	}
}

func TestAOneTimePasswordIsChangedFirst(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first, err := k.ppl.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := k.nobody()
	r.login("admin", first).redirects("/dashboard")
	for _, route := range dashboard.Routes() {
		if route.Least == dashboard.Anyone || route.Path == "/dashboard/password" {
			continue
		}
		r.do(route.Method, route.Path, nil).redirects("/dashboard/password")
	}
	page := r.get("/dashboard/password").ok(http.StatusOK).says("for your first login only").lacks("Current password", "Sessions", "Where you are logged in")
	if page.link("/dashboard/overview") != "" || page.form("/dashboard/find") {
		t.Error("a menu leads to where one is led back from")
	}
	checkPage(t, page, "en")
	change := func(word, again string) *doc {
		t.Helper()
		return r.submit(page, "/dashboard/password", "password", word, "again", again)
	}
	change(password, password+"x").ok(http.StatusUnprocessableEntity).says("The two new passwords differ.")
	change("short", "short").ok(http.StatusUnprocessableEntity).says("at least 10 characters")
	change("password123", "password123").ok(http.StatusUnprocessableEntity).says("one of the first that anybody would try")
	change("correct\x00horse", "correct\x00horse").ok(http.StatusUnprocessableEntity).says("cannot be typed everywhere")
	change(first, first).ok(http.StatusUnprocessableEntity).says("the password you have now")
	before := k.nobody()
	before.login("admin", first).redirects("/dashboard")
	done := change(password, password)
	done.redirects("/dashboard")
	done.cookie("bindgate_login")
	first = r.get("/dashboard").redirects("/dashboard/")
	r.get(first).ok(http.StatusOK).says("Your password is changed.") // told by the page that the way ends at
	r.get(first).ok(http.StatusOK).lacks("Your password is changed.")
	before.get("/dashboard/password").redirects("/dashboard/login")
	r.get("/dashboard/password").ok(http.StatusOK).says("Current password")
	r.post("/dashboard/password", "old", "wrong", "password", password+"!", "again", password+"!").ok(http.StatusUnprocessableEntity).says("The current password is not right.")
	r.post("/dashboard/password", "old", password, "password", password+"!", "again", password+"!").redirects("/dashboard")
	k.nobody().login("admin", password).ok(http.StatusUnprocessableEntity)
	k.nobody().login("admin", password+"!").redirects("/dashboard")
}

func TestOwnLoginsAreEnded(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.user(people.Newcomer{Name: "ada", Role: store.RoleViewer})
	k.user(people.Newcomer{Name: "bob", Role: store.RoleViewer})
	here, there, elsewhere, bobs := k.nobody(), k.nobody(), k.nobody(), k.nobody()
	there.header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	elsewhere.header.Set("User-Agent", "<img src=x onerror=alert(1)>\u202e")
	for _, r := range []*reader{here, there, elsewhere} {
		r.login("ada", password).redirects("/dashboard")
	}
	bobs.login("bob", password).redirects("/dashboard")
	page := here.get("/dashboard/logins").ok(http.StatusOK).says("Firefox · Linux", "<img src=x")
	checkPage(t, page, "en")
	var id string
	for _, tr := range page.all("tr") {
		if strings.Contains(text(tr), "Firefox") {
			id = attr(tr, "data-key")
		}
	}
	bobs.post("/dashboard/logins/end", "login", id).redirects("/dashboard/logins") // it is none of bob's
	there.get("/dashboard/logins").ok(http.StatusOK)
	here.post("/dashboard/logins/end", "login", id).redirects("/dashboard/logins")
	there.get("/dashboard/logins").redirects("/dashboard/login")
	here.post("/dashboard/logins/end", "login", "0x7").ok(http.StatusBadRequest)
	here.post("/dashboard/logins/end", "login", "9223372036854775808").ok(http.StatusBadRequest)
	here.post("/dashboard/logins/end", "others", "1").redirects("/dashboard/logins")
	elsewhere.get("/dashboard/logins").redirects("/dashboard/login")
	here.get("/dashboard/logins").ok(http.StatusOK)
	bobs.get("/dashboard/logins").ok(http.StatusOK)
}

// A page that is open shows nothing more when the login has ended.
func TestALiveStreamEndsWithTheLogin(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ada := k.user(people.Newcomer{Name: "ada", Role: store.RoleAdmin})
	k.user(people.Newcomer{Name: "root", Role: store.RoleAdmin})
	r := k.nobody()
	r.login("ada", password).redirects("/dashboard")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.url+"/dashboard/live?types=session", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %s", res.Status)
	}
	disabled := true
	if _, err := k.st.ChangeUser(t.Context(), ada.ID, store.UserChange{Disabled: &disabled}, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, res.Body)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the stream broke: %v", err)
		}
	case <-time.After(40 * time.Second):
		t.Error("the stream goes on")
	}
	r.get("/dashboard/live?types=session").ok(http.StatusNoContent)
}
