package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// The layout and the parts are there for every page; all other files are a page each, which defines "main" and may define "title".
//
//go:embed templates/*.html
var templateFiles embed.FS

// page is what the layout needs. Each page's data begins with one.
type page struct {
	Title       string // a key
	Section     string // of the navigation
	User        *User
	Lang        string
	LangTag     string
	Theme       string
	Here        string // the address of the page, to come back to
	Nav         []navEntry
	Languages   []choice
	Flash       *flash
	Strange     *[]oddChoice // what was asked for and is not there
	Now         time.Time
	Live        *liveOf // nil: the page does not change by itself
	ScriptTexts string  // those that the script needs, as JSON
}

// May reports whether the user's role is enough, by its name.
func (p page) May(role string) bool {
	r, err := ParseRole(role)
	return err == nil && p.User.may(r)
}

// Confined reports whether the user can do nothing but change the password.
func (p page) Confined() bool { return p.User != nil && p.User.kept.MustChange }

type navEntry struct {
	Name, Path, Icon string
	Current          bool
}

// choice is an entry of a list to choose from.
type choice struct {
	Value, Label string
	Chosen       bool
}

// page makes what the layout needs; title is a key.
func (v *visit) page(title string) page {
	if v.flashed == nil {
		v.flashed = takeFlash(v.w, v.r)
	}
	p := page{
		Title: title, Section: v.section, User: v.user, Lang: v.lang, LangTag: languageTags[v.lang], Theme: v.theme, Here: v.r.URL.RequestURI(), Flash: v.flashed, Strange: &v.odd,
		Now: v.d.cfg.Now(), ScriptTexts: v.d.words.script[v.lang],
	}
	if v.r.Method != http.MethodGet { // a form that was not accepted: its own address may be one for POST alone
		p.Here = localPath(v.r.Referer(), Root)
	}
	for _, s := range sections {
		if p.Confined() {
			break
		}
		if least, ok := v.d.least[s.path]; ok && v.user != nil && v.may(least) {
			p.Nav = append(p.Nav, navEntry{s.name, Root + s.path, s.icon, s.name == v.section})
		}
	}
	for _, l := range languages {
		p.Languages = append(p.Languages, choice{l, languageNames[l], l == v.lang})
	}
	return p
}

// views are the pages' templates, one set for each language.
type views struct {
	sets map[string]map[string]*template.Template // language → page
}

func newViews(w *words, a *assets) (*views, error) {
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	v := &views{map[string]map[string]*template.Template{}}
	for _, lang := range languages {
		v.sets[lang] = map[string]*template.Template{}
		base := template.New("base").Funcs(functions(w, a, lang))
		for _, f := range files {
			if isShared(f.Name()) {
				if err := parse(base, w, lang, f.Name()); err != nil {
					return nil, err
				}
			}
		}
		for _, f := range files {
			if isShared(f.Name()) {
				continue
			}
			t := template.Must(base.Clone())
			if err := parse(t, w, lang, f.Name()); err != nil {
				return nil, err
			}
			if t.Lookup("main") == nil {
				return nil, fmt.Errorf("%s does not define main", f.Name())
			}
			v.sets[lang][strings.TrimSuffix(f.Name(), ".html")] = t
		}
	}
	return v, nil
}

// isShared reports whether a file's templates are there for every page.
func isShared(file string) bool { return file == "layout.html" || strings.HasPrefix(file, "parts") }

// constantText is a text of ours without values.
var constantText = regexp.MustCompile(`\{\{t "([^"]+)"\}\}`)

// parse adds a file's templates to a set of one language. Texts without values are put in once and for all: a table has hundreds of them.
func parse(set *template.Template, w *words, lang, file string) error {
	source, err := templateFiles.ReadFile("templates/" + file)
	if err != nil {
		return err
	}
	text := constantText.ReplaceAllStringFunc(string(source), func(call string) string {
		key := constantText.FindStringSubmatch(call)[1]
		if !w.has(key) {
			return call // which says so
		}
		return template.HTMLEscapeString(fmt.Sprint(w.say(lang, key)))
	})
	_, err = set.New(file).Parse(text)
	return err
}

// functions are what templates may call.
func functions(w *words, a *assets, lang string) template.FuncMap {
	return template.FuncMap{
		// Texts.
		"t":     func(key string, args ...any) any { return w.say(lang, key, args...) },
		"tn":    func(key string, pairs ...any) any { return w.named(lang, key, pairs...) },
		"label": func(set string, value any) string { return w.label(lang, set, fmt.Sprint(value)) },
		// What others have chosen.
		"text": text, "clip": clip, "whole": whole, "visible": visible,
		// Figures.
		"num":  func(v any) (string, error) { n, err := toNumber(v); return number(n), err },
		"when": func(t time.Time) template.HTML { return w.when(lang, time.Now(), t) },
		"at":   at,
		"span": func(v any) (string, error) {
			n, err := toNumber(v)
			return w.span(lang, time.Duration(n)*time.Second), err
		},
		// Addresses.
		"asset": a.url,
		"link":  func(path string, pairs ...string) string { return link(path, pairs...) },
		// Parts.
		"icon": icon,
		"dict": dict,
		"formkey": func() template.HTML {
			return template.HTML(`<input type="hidden" name="form_key" value="` + rand.Text() + `">`)
		}, //nolint:gosec // no one else's text
	}
}

// dict makes the data of a part that needs more than one value. Names and values alternate.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %d values; names and values alternate", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }} // of pages while they are made

// render writes a page, or an error and nothing: it is whole before the first byte goes out.
func (v *visit) render(status int, name string, data any) error {
	t := v.d.views.sets[v.lang][name]
	if t == nil {
		return fmt.Errorf("there is no template %q", name)
	}
	b := buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // the pool's New
	defer buffers.Put(b)
	b.Reset()
	if err := t.ExecuteTemplate(b, "layout", data); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Encoding, Accept-Language, Cookie")
	if !acceptsGzip(v.r) || b.Len() < 1<<10 {
		v.w.WriteHeader(status)
		_, _ = b.WriteTo(v.w) // the reader is gone
		return nil
	}
	h.Set("Content-Encoding", "gzip")
	v.w.WriteHeader(status)
	z, _ := gzip.NewWriterLevel(v.w, gzip.BestSpeed) // the level is one of gzip's
	_, _ = b.WriteTo(z)
	_ = z.Close()
	return nil
}
