package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/people"
)

const headerRequestID = "X-Request-Id"

// maxForm bounds a form's body in bytes, maxFields the number of its values.
const (
	maxForm   = 256 << 10
	maxFields = 2000
)

// visit is one request with what is known of it.
type visit struct {
	d       *Dashboard
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context //nolint:containedctx // lives as long as the request. The API's client has the user's rights with it
	user    *User           // nil: nobody is logged in
	lang    string          // one of languages
	theme   string          // "light", "dark"; "": as the browser has it
	address netip.Addr
	query   url.Values
	flashed *flash // what this page tells of what was done; a redirect leaves it to the next
	section string // of the navigation
	odd     []oddChoice
}

// oddChoice is what a query names that is no choice, by the name of its parameter.
type oddChoice struct{ Name, Value string }

type requestIDKey struct{}

// requestID is that of the page on whose behalf a context is; "": of none.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func (d *Dashboard) mux() *http.ServeMux {
	mux := http.NewServeMux()
	paths := map[string][]string{}
	for _, r := range routes() {
		mux.HandleFunc(r.method+" "+Root+r.path, func(w http.ResponseWriter, req *http.Request) { d.serve(r, w, req) })
		paths[r.path] = append(paths[r.path], r.method)
	}
	for at, methods := range paths { // of other methods
		mux.HandleFunc(Root+at, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			d.serve(route{least: Anyone, handle: func(*Dashboard, *visit) error { return refuse(http.StatusMethodNotAllowed) }}, w, req)
		})
	}
	mux.Handle("GET "+Root+"/{$}", http.RedirectHandler(Root, http.StatusSeeOther))
	mux.HandleFunc("GET "+Root+"/live", func(w http.ResponseWriter, req *http.Request) {
		d.serve(route{least: Viewer, handle: (*Dashboard).live}, w, req)
	})
	mux.Handle("GET "+assetRoot, d.assets)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		d.serve(route{least: Anyone, handle: func(*Dashboard, *visit) error { return refuse(http.StatusNotFound) }}, w, req)
	})
	return mux
}

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()
	h := w.Header()
	h.Set(headerRequestID, id)
	secure(h)
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	d.pages.ServeHTTP(w, r)
}

// crossOrigin lets no form of another site in (Sec-Fetch-Site, or Origin where a browser does not send it).
func (d *Dashboard) crossOrigin(pages http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.serve(route{least: Anyone, handle: func(*Dashboard, *visit) error { return refuse(http.StatusForbidden) }}, w, r)
	}))
	return p.Handler(pages)
}

// serve answers a request by its route: who may not is sent to log in, or refused. It writes the page of whatever error comes of it, and logs those that are
// bindgate's own once.
func (d *Dashboard) serve(rt route, w http.ResponseWriter, r *http.Request) {
	v := &visit{d: d, w: w, r: r, ctx: r.Context(), address: d.cfg.Address(r), lang: languageOf(r), theme: themeOf(r), query: r.URL.Query()}
	v.section = strings.Trim(strings.TrimPrefix(rt.path, "/"), "/")
	v.section, _, _ = strings.Cut(v.section, "/")
	if err := v.enter(rt); err != nil {
		v.fail(err)
	}
}

func (v *visit) enter(rt route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(p)
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	user, err := v.whoever(v.ctx)
	switch {
	case err == nil:
		v.user = user
		v.ctx = v.d.cfg.As(v.ctx, Caller{User: user.kept.ID, Subject: user.Name, Scopes: user.Role.scopes(), Domains: user.Domains, Address: v.address})
	case !errors.Is(err, errNoLogin):
		return err
	case rt.least > Anyone:
		return v.sendToLogin()
	}
	if v.user != nil && v.user.kept.MustChange && rt.least > Anyone && rt.path != "/password" { // nothing else before
		if v.scripted() {
			return refuse(http.StatusUnauthorized)
		}
		return v.redirect(Root + "/password")
	}
	if !v.user.may(rt.least) {
		return refuse(http.StatusForbidden)
	}
	if v.r.Method == http.MethodPost {
		if err := v.r.ParseForm(); err != nil {
			return refuse(http.StatusBadRequest)
		}
		n := 0
		for _, values := range v.r.PostForm {
			n += len(values)
		}
		if n > maxFields {
			return refuse(http.StatusBadRequest)
		}
	}
	return rt.handle(v.d, v)
}

// within bounds the calls of a page.
func (v *visit) within(d time.Duration) context.CancelFunc {
	ctx, cancel := context.WithTimeout(v.ctx, d)
	v.ctx = ctx
	return cancel
}

// sendToLogin leads a reader to the login page and from there to where they wanted to go. The page's own script gets nothing (which ends a stream), and
// loads the page anew.
func (v *visit) sendToLogin() error {
	if v.scripted() {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	to := Root + "/login"
	if v.r.Method == http.MethodGet && v.r.URL.Path != Root {
		to += "?" + url.Values{"next": {v.r.URL.RequestURI()}}.Encode()
	}
	return v.redirect(to)
}

// scripted reports whether the page's own script asks.
func (v *visit) scripted() bool {
	return v.r.Header.Get("X-Bindgate-Live") != "" || v.r.URL.Path == Root+"/live"
}

// api is the REST API; calls take v.ctx.
func (v *visit) api() *client.Client { return v.d.api }

// may reports whether the user's role is enough.
func (v *visit) may(least Role) bool { return v.user.may(least) }

// form returns a field of the posted form, without spaces around it; "": it is not there.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }

// has reports whether a box of the posted form is ticked.
func (v *visit) ticked(name string) bool { return v.r.PostForm.Get(name) != "" }

// once returns a context for a change of a posted form: sent twice, by a double click or a reload, it is made once. The form has {{formkey}} in it. A form that
// makes several changes tells them apart by what each is about.
func (v *visit) once(about ...string) context.Context {
	key := v.formKey()
	if key == "" {
		return v.ctx
	}
	if len(about) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(about, "\x00")))
		key += hex.EncodeToString(sum[:])
	}
	return client.WithIdempotencyKey(v.ctx, key)
}

// formKey is what tells the posted form from all others, by {{formkey}} in it; "": it has none that is one.
func (v *visit) formKey() string {
	key := v.r.PostForm.Get("form_key")
	if len(key) != len(rand.Text()) || strings.ContainsFunc(key, func(r rune) bool { return r < '2' || r > 'Z' }) {
		return ""
	}
	return key
}

// formOnce is once for a change of users, who are not the API's.
func (v *visit) formOnce() people.Form { return people.Form{User: v.user.kept.ID, Key: v.formKey()} }

// redirect answers a form (or a GET that stands for another page) with where to go on.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(v.w, v.r, to, http.StatusSeeOther) //nolint:gosec // paths of our own, see localPath
	return nil
}

// localPath returns a path with a query if it leads to a page of the dashboard, else the other. It is for what a request says about where to go.
func localPath(to, otherwise string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || path.Clean(u.Path) != u.Path || u.Path != Root && !strings.HasPrefix(u.Path, Root+"/") || strings.ContainsAny(to, "\\\r\n\t") {
		return otherwise
	}
	return u.RequestURI()
}

// link makes the address of a page. Names and values alternate; empty values are left out.
func link(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return Root + path
	}
	return Root + path + "?" + q.Encode()
}

// chosen returns what a parameter of the query names if it is one of the list, else the first; the page tells of what is not.
func (v *visit) chosen(name string, list ...string) string {
	value := v.query.Get(name)
	if odd := (oddChoice{name, value}); value != "" && !slices.Contains(list, value) && !slices.Contains(v.odd, odd) {
		v.odd = append(v.odd, odd)
	}
	return oneOf(value, list...)
}

// oneOf returns the value if it is one of the list, else the first.
func oneOf(value string, list ...string) string {
	if slices.Contains(list, value) {
		return value
	}
	return list[0]
}
