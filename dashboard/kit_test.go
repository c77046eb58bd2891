package dashboard_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/net/html"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/proxy"
	"github.com/bindgate/bindgate/store"
)

// kit is a dashboard on a database of its own, with an API and a gate whose links are down.
type kit struct {
	t    *testing.T
	pool *pgxpool.Pool
	st   *store.Store
	ppl  *people.People
	dash *dashboard.Dashboard
	api  http.Handler
	url  string
	logs *logs
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newKit(t *testing.T) *kit {
	t.Helper()
	return newKitWith(t, nil)
}

// newKitWith makes a kit by whose configuration as it is changed; nil: as it is.
func newKitWith(t *testing.T, change func(*kit, *dashboard.Config)) *kit {
	t.Helper()
	pool := pgtest.New(t)
	k := &kit{t: t, pool: pool, logs: &logs{}}
	logger := slog.New(slog.NewTextHandler(k.logs, nil))
	st := store.FromPool(pool)
	g := gate.New(st, gate.Config{Logger: logger, Name: "test"})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	var err error
	k.api, err = api.New(t.Context(), api.Config{Store: st, Gate: g, Keys: api.Secret("0123456789abcdef0123456789abcdef"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	k.st = st
	if k.ppl, err = people.New(st, logger); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	k.url = "http://" + srv.Listener.Addr().String()
	cfg := dashboard.Config{
		API: k.api, As: func(ctx context.Context, c dashboard.Caller) context.Context { return api.As(ctx, api.Caller(c)) },
		Events: g.Events(), Store: st, People: k.ppl, Logger: logger, Address: proxy.Trusted(nil).Client, Stopping: api.Stopping,
	}
	if change != nil {
		change(k, &cfg)
	}
	if k.dash, err = dashboard.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	srv.Config = api.Server(k.dash, "", logger)
	srv.Start()
	t.Cleanup(srv.Close)
	return k
}

// reader is a browser without scripts.
type reader struct {
	k      *kit
	name   string // of the user that it is logged in as, by as
	http   *http.Client
	header http.Header
}

// nobody is a reader who has not logged in.
func (k *kit) nobody() *reader {
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return &reader{k: k, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, header: http.Header{}}
}

// as is a reader who has logged in with a role, limited to domains if there are any.
func (k *kit) as(role dashboard.Role, domains ...string) *reader {
	k.t.Helper()
	if len(domains) == 0 {
		domains = nil
	}
	by := store.Actor{Via: store.ViaCLI, Subject: "test"}
	u, err := k.st.AddUser(k.t.Context(), store.NewUser{Name: strings.ToLower(role.String() + "-" + rand.Text()), Role: store.Role(role.String()), Domains: domains, Password: "none that could be typed"}, by)
	if err != nil {
		k.t.Fatal(err)
	}
	token, _, err := k.st.StartLogin(k.t.Context(), store.NewLogin{User: u.ID}, by)
	if err != nil {
		k.t.Fatal(err)
	}
	at, err := url.Parse(k.url)
	if err != nil {
		k.t.Fatal(err)
	}
	r := k.nobody()
	r.name = u.Name
	r.http.Jar.SetCookies(at, []*http.Cookie{{Name: "bindgate_login", Value: string(token), Path: "/"}})
	return r
}

// bearing is a reader with these cookies.
func (k *kit) bearing(cookies string) *reader {
	r := k.nobody()
	r.header.Set("Cookie", cookies)
	return r
}

// password is that of every user of the tests.
const password = "correct horse battery"

// user is somebody who can log in by password.
func (k *kit) user(n people.Newcomer) store.User {
	k.t.Helper()
	u, err := k.ppl.Add(k.t.Context(), n, password, store.Actor{Via: store.ViaCLI, Subject: "test"})
	if err != nil {
		k.t.Fatal(err)
	}
	return u
}

// doc is a page that has been read.
type doc struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
	root   *html.Node
}

func (r *reader) do(method, path string, form url.Values) *doc {
	r.k.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(r.k.t.Context(), method, r.k.url+path, body)
	if err != nil {
		r.k.t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.k.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.k.t.Fatalf("%s %s: %v", method, path, err)
	}
	d := &doc{t: r.k.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: string(b)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		if d.root, err = html.Parse(bytes.NewReader(b)); err != nil {
			r.k.t.Fatalf("%s: %v", d.what, err)
		}
	}
	return d
}

func (r *reader) get(path string) *doc {
	r.k.t.Helper()
	return r.do(http.MethodGet, path, nil)
}

// post sends a form; names and values alternate.
func (r *reader) post(path string, pairs ...string) *doc {
	r.k.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return r.do(http.MethodPost, path, form)
}

// submit sends the form of a page with that action as a browser would, with these fields changed or added.
func (r *reader) submit(d *doc, action string, pairs ...string) *doc {
	r.k.t.Helper()
	for _, f := range d.all("form") {
		if attr(f, "action") != action {
			continue
		}
		form := fieldsOf(f)
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		if strings.EqualFold(attr(f, "method"), "post") {
			return r.do(http.MethodPost, action, form)
		}
		return r.get(action + "?" + form.Encode())
	}
	r.k.t.Fatalf("%s: there is no form with the action %s", d.what, action)
	return nil
}

func fieldsOf(form *html.Node) url.Values {
	v := url.Values{}
	for n := range form.Descendants() {
		name := attr(n, "name")
		if n.Type != html.ElementNode || name == "" || has(n, "disabled") {
			continue
		}
		switch n.Data {
		case "input":
			switch attr(n, "type") {
			case "checkbox", "radio":
				if has(n, "checked") {
					v.Add(name, attr(n, "value"))
				}
			case "submit", "button":
			default:
				v.Add(name, attr(n, "value"))
			}
		case "textarea":
			v.Add(name, typed(n))
		case "select":
			chosen := ""
			for i, o := range all(n, "option") {
				if i == 0 || has(o, "selected") {
					chosen = attr(o, "value")
				}
			}
			v.Add(name, chosen)
		}
	}
	return v
}

// ok wants a page.
func (d *doc) ok(status int) *doc {
	d.t.Helper()
	if d.status != status {
		d.t.Fatalf("%s: %d, want %d: %.2000s", d.what, d.status, status, d.body)
	}
	return d
}

// redirects wants to be led to an address that begins so, and returns it.
func (d *doc) redirects(prefix string) string {
	d.t.Helper()
	to := d.header.Get("Location")
	if d.status != http.StatusSeeOther || !strings.HasPrefix(to, prefix) {
		d.t.Fatalf("%s: %d to %q, want 303 to %s: %.2000s", d.what, d.status, to, prefix, d.body)
	}
	return to
}

// says wants texts on the page, as a reader sees them.
func (d *doc) says(texts ...string) *doc {
	d.t.Helper()
	have := text(d.root)
	for _, want := range texts {
		if !strings.Contains(have, want) {
			d.t.Errorf("%s: the page does not say %q: %s", d.what, want, have)
		}
	}
	return d
}

// lacks wants that texts are not on the page.
func (d *doc) lacks(texts ...string) *doc {
	d.t.Helper()
	have := text(d.root)
	for _, unwanted := range texts {
		if strings.Contains(have, unwanted) {
			d.t.Errorf("%s: the page says %q", d.what, unwanted)
		}
	}
	return d
}

func (d *doc) all(tag string) []*html.Node { return all(d.root, tag) }

// link returns the address of the first link that begins so; "": there is none.
func (d *doc) link(prefix string) string {
	for _, a := range d.all("a") {
		if href := attr(a, "href"); strings.HasPrefix(href, prefix) {
			return href
		}
	}
	return ""
}

// form reports whether there is a form with that action.
func (d *doc) form(action string) bool {
	for _, f := range d.all("form") {
		if attr(f, "action") == action {
			return true
		}
	}
	return false
}

func all(root *html.Node, tag string) (list []*html.Node) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag {
			list = append(list, n)
		}
	}
	return list
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// text is what a reader sees, with single spaces.
func text(root *html.Node) string {
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			b.WriteString(n.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// session is one put on record by SQL.
type session struct {
	account, resource, platform, state, client, ip string
	generation                                     int64
	device                                         int64
	evicting, ended                                bool
}

func (k *kit) exec(sql string, args ...any) {
	k.t.Helper()
	if _, err := k.pool.Exec(k.t.Context(), sql, args...); err != nil {
		k.t.Fatalf("%s: %v", sql, err)
	}
}

// seed puts sessions on record, with their accounts, and returns their public ids.
func (k *kit) seed(list ...session) []string {
	k.t.Helper()
	ids := make([]string, len(list))
	for i, v := range list {
		_, domain, _ := strings.Cut(v.account, "@")
		key := store.KeyOf(v.account)
		v.state, v.platform, v.client, v.ip = or(v.state, "active"), or(v.platform, "android"), or(v.client, "Test 1"), or(v.ip, "192.0.2.1")
		sid := fmt.Sprintf("S%d", v.generation)
		var device *int64
		identity := "unknown"
		if v.device != 0 {
			device, identity = &v.device, "certain"
		}
		k.exec(`insert into accounts (key, jid, domain, generation, revision) values ($1, $2, $3, $4, $4)
			on conflict (key) do update set generation = greatest(accounts.generation, excluded.generation), revision = accounts.revision + 1`, key, v.account, domain, v.generation)
		if v.ended {
			k.exec(`insert into session_history (account, ended_at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, end_reason)
				values ($1, clock_timestamp(), $2, $3, 'main', $4, $5, $6, $7, $9, true, 'tcp', $8, now(), now(), now(), 'logout')`, key, v.generation, sid, v.resource, device, identity, v.platform, v.client, v.ip)
		} else {
			k.exec(`insert into sessions (account, sid, generation, link, resource, state, device, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
				values ($1, $2, $3, 'main', $4, $5, $6, $7, $8, $10, true, 'tcp', '', $9, 'en', '', now(), now(), now())`, key, sid, v.generation, v.resource, v.state, device, identity, v.platform, v.client, v.ip)
		}
		if v.evicting {
			k.exec(`update sessions set evict_code = 'takeover', evict_at = now(), evict_next = now() where account = $1 and sid = $2`, key, sid)
		}
		ids[i] = store.SessionID(key, v.generation)
	}
	return ids
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// end moves a live session to the history, as the gate does when its unbind is seen.
func (k *kit) end(account string, generation int64) {
	k.t.Helper()
	k.exec(`with gone as (delete from sessions where account = $1 and generation = $2 returning *)
		insert into session_history (account, ended_at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, end_reason)
		select account, clock_timestamp(), generation, sid, link, resource, device, identity, platform, ip, secure, transport, client, decided_at, started_at, last_seen_at, 'kick' from gone`,
		store.KeyOf(account), generation)
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// typed is the text of a textarea, as it is sent.
func typed(n *html.Node) string {
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(c.Data)
	}
	return b.String()
}
