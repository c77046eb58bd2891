package api

import (
	"encoding/json"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"
)

// Route is an entry of the router as the tests see it.
type Route struct {
	Method, Path string
	Scopes       []string // one of them is enough
	Params       []string
	Changes      bool // something, when it is carried out
}

var param = regexp.MustCompile(`:(\w+)`)

// Routes returns what the router has, with paths written as in openapi.yaml.
func Routes() []Route {
	a := &api{metrics: &metrics{}}
	table := map[string]route{}
	for _, r := range routes() {
		table[r.method+r.path] = r
	}
	var out []Route
	for _, r := range a.router().Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		known := table[r.Method+r.Path]
		out = append(out, Route{r.Method, param.ReplaceAllString(r.Path, "{$1}"), known.scopes, known.params, known.method != "" && known.changes()})
	}
	return out
}

// ReadObject reads a body as every handler does.
func ReadObject(r *http.Request) (fields map[string]json.RawMessage, code, field string) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	o, err := readObject(r)
	if err != nil {
		f := explain(err)
		if f.field != nil {
			field = *f.field
		}
		return nil, string(f.code), field
	}
	return o.fields, "", ""
}
