package api_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

var contract = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(bindgate.OpenAPI)
	if err != nil {
		return nil, err
	}
	return doc, nil
})

func loadContract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := contract()
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return doc
}

// routeOf finds the operation of a request, by its escaped path.
func routeOf(doc *openapi3.T, req *http.Request) (*routers.Route, map[string]string) {
	got := strings.Split(req.URL.EscapedPath(), "/")
	var route *routers.Route
	params := map[string]string{}
	for path, item := range doc.Paths.Map() {
		want := strings.Split(path, "/")
		if len(want) != len(got) {
			continue
		}
		fits, found := true, map[string]string{}
		for i, w := range want {
			if strings.HasPrefix(w, "{") {
				found[strings.Trim(w, "{}")], _ = url.PathUnescape(got[i])
			} else if w != got[i] {
				fits = false
			}
		}
		if op := item.GetOperation(req.Method); fits && op != nil && (route == nil || len(found) < len(params)) {
			route, params = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: req.Method, Operation: op}, found
		}
	}
	return route, params
}

// checkContract holds a response, and a request that was carried out, against openapi.yaml.
func checkContract(t *testing.T, req *http.Request, sent string, resp *http.Response, body []byte) {
	t.Helper()
	route, params := routeOf(loadContract(t), req)
	if req.Method == http.MethodOptions && resp.StatusCode == http.StatusNoContent {
		return // for every path, said once in the description
	}
	if route == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d, and openapi.yaml does not have it", req.Method, req.URL.Path, resp.StatusCode)
		}
		return
	}
	req = req.Clone(t.Context())
	req.Body = io.NopCloser(strings.NewReader(sent))
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, QueryParams: req.URL.Query(), Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: true,
	}}
	if resp.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s was carried out, and openapi.yaml says: %v", req.Method, req.URL, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: in.Options}
	if resp.Header.Get("Content-Type") == "" {
		out.Options.ExcludeResponseBody = true
	}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s answered what openapi.yaml does not say: %v\n%s", req.Method, req.URL, err, body)
	}
}

func TestContractIsValid(t *testing.T) {
	t.Parallel()
	doc := loadContract(t)
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Errorf("openapi.yaml: %v", err)
	}
}

// Every path and method of the contract is routed with the scope it says, and nothing else is.
func TestContractHasEveryRoute(t *testing.T) {
	t.Parallel()
	doc := loadContract(t)
	routed := map[string]api.Route{}
	for _, r := range api.Routes() {
		routed[r.Method+" "+r.Path] = r
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			r, ok := routed[name]
			if !ok {
				t.Errorf("%s is in openapi.yaml and is not routed", name)
				continue
			}
			delete(routed, name)
			if got := scopesOf(t, name, op); !slices.Equal(got, r.Scopes) {
				t.Errorf("%s: openapi.yaml says the scopes %q, the route %q", name, got, r.Scopes)
			}
			if r.Scopes != nil && op.Responses.Value("429") == nil {
				t.Errorf("%s: openapi.yaml has no 429, which every route with a scope answers", name)
			}
			if op.RequestBody != nil && op.Responses.Value("408") == nil {
				t.Errorf("%s: openapi.yaml has no 408, which every route with a body answers", name)
			}
			var params []string
			for _, list := range []openapi3.Parameters{item.Parameters, op.Parameters} {
				for _, p := range list {
					if p.Value.In == openapi3.ParameterInQuery {
						params = append(params, p.Value.Name)
					}
				}
			}
			if slices.Sort(params); !slices.Equal(params, slices.Sorted(slices.Values(r.Params))) {
				t.Errorf("%s: openapi.yaml has the query parameters %q, the route %q", name, params, r.Params)
			}
		}
	}
	for name := range routed {
		t.Errorf("%s is routed and is not in openapi.yaml", name)
	}
}

// scopesOf are the scopes of an operation, each of which is enough.
func scopesOf(t *testing.T, name string, op *openapi3.Operation) (list []string) {
	t.Helper()
	if op.Security == nil {
		t.Errorf("%s has no security in openapi.yaml", name)
		return nil
	}
	for _, requirement := range *op.Security {
		list = append(list, requirement["bearer"]...)
	}
	return list
}

func TestContractIsServed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	r := s.get("/openapi.yaml", func(r *http.Request) { r.Header.Del("Authorization") })
	if r.status != http.StatusOK || !bytes.Equal(r.body, bindgate.OpenAPI) {
		t.Errorf("%d, %d bytes", r.status, len(r.body))
	}
}

// Every route that changes something takes an Idempotency-Key, and can answer that it conflicts.
func TestContractHasIdempotencyKeys(t *testing.T) {
	t.Parallel()
	doc := loadContract(t)
	for _, r := range api.Routes() {
		item := doc.Paths.Value(r.Path)
		if item == nil || item.GetOperation(r.Method) == nil {
			continue // said elsewhere
		}
		op := item.GetOperation(r.Method)
		takes := op.Parameters.GetByInAndName(openapi3.ParameterInHeader, "Idempotency-Key") != nil
		if conflicts := op.Responses.Value("409") != nil; takes != r.Changes || conflicts != r.Changes {
			t.Errorf("%s %s: changes something is %t, and openapi.yaml says Idempotency-Key %t, 409 %t", r.Method, r.Path, r.Changes, takes, conflicts)
		}
	}
	schema := doc.Components.Schemas["AuditAction"].Value
	var actions []string
	for _, a := range schema.Enum {
		actions = append(actions, a.(string))
	}
	for _, a := range store.Actions() {
		if !slices.Contains(actions, string(a)) {
			t.Errorf("openapi.yaml does not know the action %s", a)
		}
	}
	if len(actions) != len(store.Actions()) {
		t.Errorf("openapi.yaml has %d actions, the store %d", len(actions), len(store.Actions()))
	}
}
