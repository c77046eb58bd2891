package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

// hostile is what somebody could call a resource, a device or a client.
var hostile = []string{
	`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, "\u202egnp.exe\u2066", "\u200b\u200d\ufeff", "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306", `{{.}}'"&lt;`, strings.Repeat("界", 341),
	"javascript:alert(1)", " ", "../../x?y=z#w%00",
}

const hostileAccount = "a<b>&'♥@example.org"

// seedHostile puts sessions with such names on record, with decisions and loops about them, and returns the sessions' ids.
func seedHostile(k *kit) []string {
	var list []session
	for i, name := range hostile {
		list = append(list, session{account: hostileAccount, resource: name, client: name, platform: "android", generation: int64(i + 1), device: int64(i + 1)})
		list = append(list, session{account: hostileAccount, resource: name, client: name, generation: int64(i + 101), ended: true})
	}
	ids := k.seed(list...)
	for i, name := range hostile {
		k.decide(hostileAccount, name, "allow", "takeover", i+1, int64(i+101))
		device := int64(i + 1)
		k.loop(hostileAccount, int64(i+1), &device, name)
	}
	return ids
}

// queries are what pages need to be about something. Pages that need nothing are not in it.
func queries(k *kit, ids []string) map[string]url.Values {
	hook, job := seedOperations(k)
	oddDevice := url.Values{"jid": {oddAccount}, "id": {store.DeviceID(store.KeyOf(oddAccount), 1)}}
	return map[string]url.Values{
		"/dashboard/kicks/job":       {"id": {job}},
		"/dashboard/links/mode":      {"id": {hostile[0]}},
		"/dashboard/webhooks/hook":   {"id": {hook}},
		"/dashboard/webhooks/edit":   {"id": {hook}},
		"/dashboard/webhooks/rotate": {"id": {hook}},
		"/dashboard/webhooks/delete": {"id": {hook}},
		"/dashboard/sessions/kick":   {"id": ids},
		"/dashboard/sessions/kicked": {"id": ids},
		"/dashboard/find":            {"q": {"nobody@nowhere"}},
		"/dashboard/account":         {"jid": {oddAccount}},
		"/dashboard/account/kick":    {"jid": {oddAccount}},
		"/dashboard/account/release": {"jid": {oddAccount}},
		"/dashboard/account/export":  {"jid": {oddAccount}},
		"/dashboard/account/erase":   {"jid": {oddAccount}},

		"/dashboard/account/device":        oddDevice,
		"/dashboard/account/device/block":  oddDevice,
		"/dashboard/account/device/forget": oddDevice,
		"/dashboard/rules/edit":            {"level": {"group"}, "subject": {hostile[0]}, "all": {"1"}},
		"/dashboard/rules/delete":          {"level": {"group"}, "subject": {hostile[0]}},
		"/dashboard/rules/effective":       {"jid": {oddAccount}},
		"/dashboard/rules/domain":          {"name": {"example.org"}},
		"/dashboard/rules/group":           {"name": {hostile[0]}},
		"/dashboard/try":                   {"account": {oddAccount}},
		"/dashboard/loops/block":           {"jid": {oddAccount}, "device": {store.DeviceID(store.KeyOf(oddAccount), 1)}, "resource": {hostile[0]}},
		"/dashboard/users/user":            {"name": {"somebody"}},
		"/dashboard/users/reset":           {"name": {"somebody"}},
		"/dashboard/users/remove":          {"name": {"somebody"}},
	}
}

func TestEveryPageSurvivesHostileNames(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ids := seedHostile(k)
	seedHostileRules(k)
	seedHostileAccount(k)
	admin := k.as(dashboard.Admin)
	k.user(people.Newcomer{Name: "somebody", Role: store.RoleViewer})
	about := queries(k, ids)
	for _, lang := range []string{"en", "ja", "zh"} {
		admin.header.Set("Accept-Language", lang)
		for _, r := range dashboard.Routes() {
			if r.Method != http.MethodGet {
				continue
			}
			path := r.Path
			if q := about[path]; q != nil {
				path += "?" + q.Encode()
			}
			d := admin.get(path)
			if d.status == http.StatusSeeOther || d.root == nil || strings.HasPrefix(path, "/dashboard/login/") { // there is no provider
				continue
			}
			d.ok(http.StatusOK)
			checkPage(t, d, lang)
		}
	}
}

// checkPage holds what is true of every page.
func checkPage(t *testing.T, d *doc, lang string) {
	t.Helper()
	if strings.Contains(d.body, "ZgotmplZ") {
		t.Errorf("%s: html/template has refused a value", d.what)
	}
	for _, r := range d.body {
		if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && r != '\n' && r != '\t' {
			t.Errorf("%s: the page has %U in it", d.what, r)
			break
		}
	}
	if got := attr(d.all("html")[0], "lang"); !strings.HasPrefix(got, lang) {
		t.Errorf("%s: the page's language is %q, want %s", d.what, got, lang)
	}
	if texts := attr(d.all("html")[0], "data-texts"); !json.Valid([]byte(texts)) {
		t.Errorf("%s: the script's texts are %.100q: does the page's data have a field that hides one of the frame's?", d.what, texts)
	}
	if n := len(d.all("h1")); n != 1 {
		t.Errorf("%s: %d h1", d.what, n)
	}
	if missing := regexp.MustCompile(`⟦[^⟧]*⟧`).FindString(d.body); missing != "" {
		t.Errorf("%s: the text %s is missing", d.what, missing)
	}
	ids := map[string]bool{}
	for n := range d.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("%s: <%s %s=%q>: the policy forbids it", d.what, n.Data, a.Key, a.Val)
			}
			switch a.Key {
			case "href", "src", "action", "formaction":
				if !strings.HasPrefix(a.Val, "/dashboard") && !strings.HasPrefix(a.Val, "#") && a.Val != "/docs" || strings.HasPrefix(a.Val, "//") {
					t.Errorf("%s: <%s %s=%q> leads elsewhere", d.what, n.Data, a.Key, a.Val)
				}
			case "id":
				if ids[a.Val] {
					t.Errorf("%s: the id %q is there twice", d.what, a.Val)
				}
				ids[a.Val] = true
			}
		}
		if err := checkElement(n); err != nil {
			t.Errorf("%s: %v", d.what, err)
		}
	}
}

func checkElement(n *html.Node) error {
	switch n.Data {
	case "script":
		if attr(n, "src") == "" {
			return fmt.Errorf("a script within the page")
		}
	case "style":
		return fmt.Errorf("a style within the page")
	case "img":
		return fmt.Errorf("<img src=%q>", attr(n, "src"))
	case "input", "select", "textarea":
		if attr(n, "type") == "hidden" || attr(n, "aria-label") != "" || attr(n, "aria-labelledby") != "" {
			return nil
		}
		for p := n.Parent; p != nil; p = p.Parent {
			if p.Data == "label" {
				return nil
			}
		}
		return fmt.Errorf("<%s name=%q> has no label", n.Data, attr(n, "name"))
	case "button", "a":
		if text(n) == "" && attr(n, "aria-label") == "" && has(n, "href") {
			return fmt.Errorf("a <%s href=%q> without words", n.Data, attr(n, "href"))
		}
	case "form":
		if strings.EqualFold(attr(n, "method"), "post") && strings.Contains(attr(n, "action"), "?") {
			return fmt.Errorf("a form with the query in its action: %s", attr(n, "action"))
		}
	}
	return nil
}

// Who may not is refused on every route, and sent to log in if nobody.
func TestRoles(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	readers := map[dashboard.Role]*reader{dashboard.Anyone: k.nobody(), dashboard.Viewer: k.as(dashboard.Viewer), dashboard.Support: k.as(dashboard.Support), dashboard.Admin: k.as(dashboard.Admin, "example.org"), dashboard.Unlimited: k.as(dashboard.Admin)}
	for _, r := range dashboard.Routes() {
		if strings.HasSuffix(r.Path, "/logout") || strings.HasPrefix(r.Path, "/dashboard/login") || strings.HasPrefix(r.Path, "/dashboard/logins") {
			continue // they end the others' turns, and have tests of their own
		}
		for role, reader := range readers {
			var d *doc
			if r.Method == http.MethodGet {
				d = reader.get(r.Path)
			} else {
				d = reader.post(r.Path)
			}
			switch {
			case role == dashboard.Anyone && r.Least > dashboard.Anyone:
				d.redirects("/dashboard/login")
			case role < r.Least:
				d.ok(http.StatusForbidden)
			case d.status == http.StatusForbidden, d.status >= http.StatusInternalServerError && d.status != http.StatusServiceUnavailable:
				t.Errorf("%s %s as %q: %d: %.500s", r.Method, r.Path, role, d.status, d.body)
			}
		}
	}
}

// Every answer has the headers that keep others out, and assets alone are kept.
func TestHeaders(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, path := range []string{"/dashboard/login", "/dashboard/nothing", "/dashboard/sessions"} {
		d := k.nobody().get(path)
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"} {
			if got := d.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if csp := d.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	page := k.nobody().get("/dashboard/login").ok(http.StatusOK)
	total := len(page.body)
	for _, n := range append(page.all("link"), page.all("script")...) {
		r := k.nobody()
		r.header.Set("Accept-Encoding", "gzip")
		d := r.get(attr(n, "href") + attr(n, "src")).ok(http.StatusOK)
		if d.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %v", d.what, d.header)
		}
		total += len(d.body)
	}
	if total > 60_000 {
		t.Errorf("the first page has %d bytes", total)
	}
}

// A form of another site does nothing.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	r := k.as(dashboard.Admin)
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r.header = http.Header{name: {value}}
		r.post("/dashboard/sessions/columns", "column", "ip").ok(http.StatusForbidden)
	}
}

func TestNothingElseIsThere(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	r := k.as(dashboard.Admin)
	r.get("/dashboard/nothing").ok(http.StatusNotFound).says("Not found")
	r.get("/dashboard/static/x.css").ok(http.StatusNotFound)
	r.do(http.MethodPut, "/dashboard/sessions", nil).ok(http.StatusMethodNotAllowed)
	for _, to := range []string{"//evil.example", "https://evil.example/dashboard", "/dashboard/../x", "/dashboard//x", `/dashboard\evil`, "/docs"} {
		if got := r.post("/dashboard/preferences", "theme", "dark", "to", to).redirects("/dashboard"); got != "/dashboard" {
			t.Errorf("%s leads to %s", to, got)
		}
	}
}
