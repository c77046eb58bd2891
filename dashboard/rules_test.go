package dashboard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/dashboard"
)

// call makes a request to the API as an admin and returns the answer's header; into takes its body.
func (k *kit) call(method, path, body string, into any) http.Header {
	k.t.Helper()
	ctx := api.As(context.Background(), api.Caller{Subject: "backend", Scopes: []string{api.ScopeAdmin}})
	req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if body == "" {
		req = httptest.NewRequestWithContext(ctx, method, path, http.NoBody)
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, req)
	if w.Code > 299 {
		k.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			k.t.Fatal(err)
		}
	}
	return w.Header()
}

// rule is what the API has at a path, without what stands beside it.
func (k *kit) rule(path string) string {
	k.t.Helper()
	all := map[string]any{}
	k.call("GET", path, "", &all)
	delete(all, "expires_at")
	b, _ := json.Marshal(all)
	return string(b)
}

// with returns the page's form with that action which has a hidden or chosen value.
func (d *doc) with(action, name, value string) *html.Node {
	d.t.Helper()
	for _, f := range d.all("form") {
		if attr(f, "action") == action && fieldsOf(f).Get(name) == value {
			return f
		}
	}
	d.t.Fatalf("%s: no form to %s has %s=%s: %.3000s", d.what, action, name, value, text(d.root))
	return nil
}

// send posts a form as a browser would, with these fields changed or added.
func (r *reader) send(action string, f *html.Node, pairs ...string) *doc {
	r.k.t.Helper()
	form := fieldsOf(f)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return r.do(http.MethodPost, action, form)
}

func TestRulesAtAGlance(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1})
	k.call("PUT", "/v1/rules/default", `{"max_sessions":1}`, nil)
	k.call("PUT", "/v1/domains/example.org/rule", `{"max_sessions":3,"on_excess":"deny"}`, nil)
	k.call("PUT", "/v1/groups/staff/rule", `{"max_per_platform":{"mobile":2}}`, nil)
	k.call("POST", "/v1/groups/staff/members", `{"add":["ada@example.org"]}`, nil)
	k.call("PUT", "/v1/accounts/ada@example.org/rule", `{"enforce":false,"expires_at":"2090-01-01T00:00:00Z"}`, nil)
	admin := k.as(dashboard.Admin)
	admin.get("/dashboard/rules").ok(200).says("A second login ends the oldest session.", "At most 3 sessions at once.", "whoever came first stays", "at most 2 on", "Nothing is enforced", "staff", "ada@example.org")
	admin.get("/dashboard/rules?q=ADA").ok(200).says("ada@example.org", "Nothing is enforced").lacks("At most 3 sessions")
	admin.get("/dashboard/rules?q=nobody").ok(200).says("No rule is set for that")
	admin.header.Set("Accept-Language", "ja")
	admin.get("/dashboard/rules").ok(200).says("2 つ目のログインで、最も古いセッションを終了します。", "同時に 3 セッションまでです。")
	admin.header.Set("Accept-Language", "zh")
	admin.get("/dashboard/rules").ok(200).says("第二个登录会结束最早的会话。", "同时最多 3 个会话。")

	viewer := k.as(dashboard.Viewer)
	page := viewer.get("/dashboard/rules").ok(200).says("At most 3 sessions at once.").lacks("Add a rule", "Remove")
	if edit := page.link("/dashboard/rules/edit"); edit != "" {
		t.Errorf("a viewer is offered %s", edit)
	}
	effective := viewer.get("/dashboard/rules/effective?jid=ada@example.org").ok(200).says("At most 3 sessions at once. Domain", "Nothing is enforced", "Account", "staff")
	if effective.link("/dashboard/try?account=ada") == "" {
		t.Error("the page does not lead to a try")
	}
}

func TestPresetIsPreviewedAndSaved(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@example.org", resource: "phone", generation: 1}, session{account: "ada@example.org", resource: "laptop", platform: "desktop", generation: 2},
		session{account: "ada@example.org", resource: "tab", platform: "web", generation: 3}, session{account: "bob@example.org", resource: "phone", generation: 1})
	admin := k.as(dashboard.Admin)
	page := admin.get("/dashboard/rules/edit?level=domain&subject=example.org").ok(200).says("One device", "Any number of devices may be logged in at once.")
	review := admin.send("/dashboard/rules/review", page.with("/dashboard/rules/review", "preset", "one_device")).ok(200)
	review.says("A second login ends the oldest session.", "accounts over a limit 1", "sessions that would end 2", "ada@example.org", "Save and end 2 sessions now", "Any number of sessions at once.", "At most 1 session at once.")
	if got := k.rule("/v1/rules/default"); got != "{}" {
		t.Errorf("a preview has changed the default: %s", got)
	}
	save := review.with("/dashboard/rules/save", "level", "domain")
	done := admin.send("/dashboard/rules/save", save, "apply", "now")
	done.redirects("/dashboard/kicks/job?id=kick_")
	if got := k.rule("/v1/domains/example.org/rule"); got != `{"exclusive":[],"max_per_platform":{},"max_sessions":1,"on_excess":"evict_oldest"}` {
		t.Errorf("the rule is %s", got)
	}
	// The same form again, as by a double click: one change.
	admin.send("/dashboard/rules/save", save, "apply", "now").redirects("/dashboard/kicks/job?id=kick_")
	admin.get("/dashboard/rules/edit?level=domain&subject=example.org").ok(200).says("applies now")
	bad := admin.send("/dashboard/rules/review", page.with("/dashboard/rules/review", "preset", "n_devices"), "n", "0").ok(422)
	bad.says("The preset’s number must be from 1 to 1,000,000.")
}

func TestRuleIsEditedRowByRow(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	const action = "/dashboard/rules/review"
	page := admin.get("/dashboard/rules/edit?level=group&subject=" + url.QueryEscape("<b>staff</b>")).ok(200)
	form := page.with(action, "max_sessions.mode", "")
	page = admin.send("/dashboard/rules/edit", form, "do", "add:exempt", "max_sessions.mode", "set", "max_sessions", "many").ok(200)
	form = page.with(action, "max_sessions", "many") // what is wrong is not lost
	page = admin.send("/dashboard/rules/edit", form, "do", "add:text", "exempt.0.account", "*-bot@example.org").ok(200)
	form = page.with(action, "exempt.0.account", "*-bot@example.org")
	page = admin.send(action, form, "text.0.code", "kick", "text.0.lang", "en", "text.0.text", "Off you go. <3").ok(422)
	page.says("This must be a whole number.", "1 entry needs another look.")
	form = page.with(action, "text.0.text", "Off you go. <3")
	page = admin.send(action, form, "max_sessions", "2", "condition.mode", "set", "condition", "session.secure &&\r\nnope").ok(422).says("Line 2, column 1")
	form = page.with(action, "condition", "session.secure &&\nnope")
	for _, n := range page.all("textarea") {
		if attr(n, "name") == "condition" && (attr(n, "aria-invalid") != "true" || attr(n, "aria-describedby") != "wrong-condition") {
			t.Error("the condition is not marked as wrong")
		}
	}
	page = admin.send(action, form, "condition", "session.secure", "exempt.0.resource", "x").ok(422).says("trust_client_claims")
	form = page.with(action, "exempt.0.resource", "x")
	review := admin.send(action, form, "exempt.0.trust_client_claims", "true").ok(200)
	review.says("At most 2 sessions at once.", "session.secure", "*-bot@example.org")
	back := admin.send("/dashboard/rules/edit", review.with("/dashboard/rules/save", "level", "group"), "do", "show").ok(200)
	back.with(action, "text.0.text", "Off you go. <3")
	admin.send("/dashboard/rules/save", review.with("/dashboard/rules/save", "level", "group"), "apply", "next_login").redirects("/dashboard/rules/group?name=%3Cb%3Estaff")
	if got := k.rule("/v1/groups/%3Cb%3Estaff%3C%2Fb%3E/rule"); got != `{"condition":"session.secure","exempt":[{"account":"*-bot@example.org","resource":"x","trust_client_claims":true}],"max_sessions":2,"text":{"kick":{"en":"Off you go. \u003c3"}}}` {
		t.Errorf("the rule is %s", got)
	}
	page = admin.get("/dashboard/rules/edit?level=group&subject=" + url.QueryEscape("<b>staff</b>")).ok(200)
	page = admin.send("/dashboard/rules/edit", page.with(action, "max_sessions", "2"), "do", "remove:exempt.0").ok(200)
	if got := fieldsOf(page.with(action, "max_sessions", "2")); got.Get("exempt.mode") != "none" || got.Has("exempt.0.account") {
		t.Errorf("the row is still there: %v", got)
	}
}

func TestRuleThatSomebodyElseChanged(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.call("PUT", "/v1/domains/example.org/rule", `{"max_sessions":5}`, nil)
	admin := k.as(dashboard.Admin)
	const action, path = "/dashboard/rules/review", "/v1/domains/example.org/rule"
	page := admin.get("/dashboard/rules/edit?level=domain&subject=example.org").ok(200)
	review := admin.send(action, page.with(action, "max_sessions", "5"), "max_sessions", "4").ok(200)
	k.call("PUT", path, `{"max_sessions":7}`, nil)
	save := review.with("/dashboard/rules/save", "level", "domain")
	page = admin.send("/dashboard/rules/save", save, "apply", "next_login").ok(409).says("Somebody else has changed this rule", "At most 7 sessions at once.")
	if got := k.rule(path); got != `{"max_sessions":7}` {
		t.Fatalf("it was overwritten: %s", got)
	}
	review = admin.send(action, page.with(action, "max_sessions", "4")).ok(200).says("At most 7 sessions at once.", "At most 4 sessions at once.")
	admin.send("/dashboard/rules/save", review.with("/dashboard/rules/save", "level", "domain"), "apply", "next_login").redirects("/dashboard/rules/domain?name=example.org")
	if got := k.rule(path); got != `{"max_sessions":4}` {
		t.Errorf("the rule is %s", got)
	}

	asked := admin.get("/dashboard/rules/delete?level=domain&subject=example.org").ok(200).says("At most 4 sessions at once.", "Any number of devices may be logged in at once.")
	k.call("PUT", path, `{"max_sessions":9}`, nil)
	again := admin.submit(asked, "/dashboard/rules/delete", "apply", "next_login").ok(409).says("Somebody else has changed this rule", "At most 9 sessions at once.")
	admin.submit(again, "/dashboard/rules/delete", "apply", "next_login").redirects("/dashboard/rules/domain")
	admin.get("/dashboard/rules/delete?level=domain&subject=example.org").ok(404)
	if said := admin.get("/dashboard/rules/domain?name=example.org").ok(200); !strings.Contains(text(said.root), "no rule of its own") {
		t.Error("the rule is still there")
	}

	// One that did not exist when the editor was opened, and does now.
	page = admin.get("/dashboard/rules/edit?level=domain&subject=new.example").ok(200)
	review = admin.send(action, page.with(action, "preset", "n_devices"), "n", "2").ok(200)
	k.call("PUT", "/v1/domains/new.example/rule", `{"max_sessions":8}`, nil)
	admin.send("/dashboard/rules/save", review.with("/dashboard/rules/save", "level", "domain"), "apply", "next_login").ok(409).says("At most 8 sessions at once.")
}

func TestAccountOverrideExpires(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	const action, save = "/dashboard/rules/review", "/dashboard/rules/save"
	k.call("PUT", "/v1/accounts/ada@example.org/rule", `{"max_sessions":5,"expires_at":"2090-01-31T12:00:01.123456Z"}`, nil)
	expires := func() string {
		var r struct {
			ExpiresAt string `json:"expires_at"`
		}
		k.call("GET", "/v1/accounts/ada@example.org/rule", "", &r)
		return r.ExpiresAt
	}
	page := admin.get("/dashboard/rules/edit?level=account&subject=ada@example.org").ok(200)
	review := admin.send(action, page.with(action, "max_sessions", "5"), "max_sessions", "6").ok(200)
	form := review.with(save, "expires.at", "2090-01-31T12:00:01")
	admin.send(save, form, "apply", "next_login").redirects("/dashboard/account?jid=ada")
	if got := expires(); got != "2090-01-31T12:00:01.123456Z" {
		t.Errorf("an end that was not touched is %s now", got)
	}
	review = admin.send(action, admin.get("/dashboard/rules/edit?level=account&subject=ada@example.org").ok(200).with(action, "max_sessions", "6")).ok(200)
	form = review.with(save, "expires.mode", "at")
	admin.send(save, form, "apply", "next_login", "expires.at", "2001-01-01T00:00").ok(422).says("This must be in the future.")
	admin.send(save, form, "apply", "next_login", "expires.at", "soon").ok(422).says("This must be a time.")
	admin.send(save, form, "apply", "next_login", "expires.at", "2091-05-06T07:08").redirects("/dashboard/account")
	if got := expires(); got != "2091-05-06T07:08:00Z" {
		t.Errorf("it ends %s", got)
	}
}

func TestWhoMayChangeRules(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@ours.example", resource: "phone", generation: 1}, session{account: "eve@theirs.example", resource: "phone", generation: 1})
	k.call("PUT", "/v1/domains/theirs.example/rule", `{"max_sessions":3}`, nil)
	k.call("PUT", "/v1/groups/bees/rule", `{"max_sessions":4}`, nil)
	k.call("POST", "/v1/groups/bees/members", `{"add":["eve@theirs.example"]}`, nil)
	ours := k.as(dashboard.Admin, "ours.example")
	page := ours.get("/dashboard/rules").ok(200).says("ours.example").lacks("theirs.example", "bees", "At most 3 sessions")
	for _, path := range []string{"/dashboard/rules/edit?level=default", "/dashboard/rules/edit?level=group"} {
		if href := page.link(path); href != "" {
			t.Errorf("who is limited to a domain is offered %s", href)
		}
	}
	for _, path := range []string{"/dashboard/rules/edit?level=default", "/dashboard/rules/edit?level=group&subject=staff", "/dashboard/rules/platforms"} {
		ours.get(path).ok(http.StatusForbidden)
	}
	ours.get("/dashboard/rules/edit?level=domain&subject=ours.example").ok(200)
	ours.get("/dashboard/rules/edit?level=account&subject=ada@ours.example").ok(200)
	for _, path := range []string{"/dashboard/rules/group?name=bees", "/dashboard/rules/effective?jid=eve@theirs.example"} {
		theirs, none := ours.get(path).ok(http.StatusNotFound), ours.get(strings.NewReplacer("bees", "none", "eve@", "nobody@").Replace(path)).ok(http.StatusNotFound)
		if text(all(theirs.root, "main")[0]) != text(all(none.root, "main")[0]) {
			t.Errorf("%s tells what is not theirs from what is not there", path)
		}
	}
	ours.post("/dashboard/rules/save", "level", "domain", "subject", "theirs.example", "etag", `"1"`).ok(http.StatusNotFound)
	ours.post("/dashboard/rules/review", "level", "default", "preset", "one_device").ok(http.StatusForbidden)
	support := k.as(dashboard.Support)
	for _, path := range []string{"/dashboard/rules/edit?level=default", "/dashboard/rules/delete?level=domain&subject=theirs.example"} {
		support.get(path).ok(http.StatusForbidden)
	}
	support.post("/dashboard/rules/save", "level", "default").ok(http.StatusForbidden)
	if got := k.rule("/v1/domains/theirs.example/rule"); got != `{"max_sessions":3}` {
		t.Errorf("the rule is %s", got)
	}
}

func TestGroupMembers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	const action = "/dashboard/rules/group"
	page := admin.get(action + "?name=staff").ok(200).says("Nobody is in this group")
	admin.submit(page, action, "accounts", " ").ok(422).says("Name at least one account.")
	admin.submit(page, action, "accounts", "ada@example.org\nno jid@@\n").ok(422).says("jid@@", "ada@example.org")
	admin.submit(page, action, "accounts", "ada@example.org\r\nbob@example.org, ada@example.org").redirects(action + "?name=staff")
	page = admin.get(action+"?name=staff").ok(200).says("ada@example.org", "bob@example.org", "Added to staff : 2")
	remove := page.with(action, "do", "remove")
	admin.send(action, remove, "jid", "bob@example.org").redirects(action)
	admin.get(action+"?name=staff").ok(200).says("ada@example.org", "Removed from staff : 1").lacks("bob@example.org")
	k.as(dashboard.Viewer).get(action+"?name=staff").ok(200).says("ada@example.org").lacks("Add members", "Remove marked")
}

func TestRuleForNobody(t *testing.T) {
	t.Parallel()
	admin := newKit(t).as(dashboard.Admin)
	for _, subject := range []string{"level=account&subject=no+jid@@", "level=domain&subject=a@b", "level=group&subject=" + strings.Repeat("x", 70)} {
		admin.get("/dashboard/rules/edit?" + subject).redirects("/dashboard/rules")
		admin.get("/dashboard/rules").ok(200).says("That cannot have a rule.")
	}
	admin.get("/dashboard/rules/edit?level=nonsense&subject=x").ok(404)
	admin.get("/dashboard/rules/edit?level=domain").ok(404)
}

func TestDomainLanguage(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	page := admin.get("/dashboard/rules/domain?name=example.org").ok(200)
	admin.submit(page, "/dashboard/rules/domain", "lang", "klingon-xx-y").ok(422).says("BCP 47")
	admin.submit(page, "/dashboard/rules/domain", "lang", "ja").redirects("/dashboard/rules/domain?name=example.org")
	page = admin.get("/dashboard/rules/domain?name=example.org").ok(200).says("Texts to example.org are in ja now.")
	admin.submit(page, "/dashboard/rules/domain", "lang", "").redirects("/dashboard/rules/domain?name=example.org")
	admin.get("/dashboard/rules/domain?name=example.org").ok(200).says("has no language of its own now")
}

// oddAccount is as odd as an account can be that the API knows by its name.
const oddAccount = "a♥界{{.}}@example.org"

// seedHostileRules puts rules on record whose names, patterns and texts are hostile, and an account into a hostile group.
func seedHostileRules(k *kit) {
	k.t.Helper()
	quote := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	rule := `{"max_sessions":1,"max_per_platform":{` + quote(hostile[0]) + `:1},"exclusive":[[` + quote(hostile[1]) + `]],"condition":"account.jid != '<script>alert(1)</script>'",` +
		`"exempt":[{"group":` + quote(hostile[0]) + `},{"account":` + quote(strings.Repeat("界", 200)) + `}],"text":{"kick":{"en":` + quote(hostile[0]) + `}}}`
	group := url.PathEscape(hostile[0])
	k.call("PUT", "/v1/groups/"+group+"/rule", rule, nil)
	k.call("POST", "/v1/groups/"+group+"/members", `{"add":[`+quote(oddAccount)+`]}`, nil)
	k.call("PUT", "/v1/accounts/"+url.PathEscape(oddAccount)+"/rule", rule, nil)
}

// Of presets that come to the same, one says that it holds.
func TestOnePresetSaysThatItHolds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	admin := k.as(dashboard.Admin)
	for n, rule := range map[string]string{"One device": `{"max_sessions":1}`, "A number of devices": `{"max_sessions":2}`} {
		k.call("PUT", "/v1/rules/default", rule, nil)
		d := admin.get("/dashboard/rules/edit?level=default").ok(http.StatusOK)
		var hold []string
		for _, section := range d.all("h3") {
			if strings.Contains(text(section), "applies now") {
				hold = append(hold, text(section))
			}
		}
		if len(hold) != 1 || !strings.Contains(hold[0], n) {
			t.Errorf("%s: %q say that they hold, want %s", rule, hold, n)
		}
	}
}
