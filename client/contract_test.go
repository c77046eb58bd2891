package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/client"
)

var contract = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(bindgate.OpenAPI) })

const tag = `"7"`

// Every operation has a method, which sends what the contract says and loses nothing of an answer: neither of the contract's examples nor of answers that have
// every field.
func TestClientIsComplete(t *testing.T) {
	t.Parallel()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if notForBackends[op.OperationID] != "" {
				continue
			}
			call := operations[op.OperationID]
			if call == nil {
				t.Errorf("%s %s (%s) has no method in the client: write one, and a call of it in operations", method, path, op.OperationID)
				continue
			}
			for i, answer := range answers(op) {
				t.Run(fmt.Sprintf("%s/%d", op.OperationID, i), func(t *testing.T) {
					t.Parallel()
					checkOperation(t, &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}, call, answer)
				})
			}
		}
	}
}

func checkOperation(t *testing.T, route *routers.Route, call func(context.Context, *client.Client) (any, error), a answer) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if err := fits(route, r); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
		}
		mutates := r.Method != http.MethodGet && !slices.Contains([]string{"verify", "evaluate", "previewRule", "countKick", "lookupSessions"}, route.Operation.OperationID)
		if key := r.Header.Get("Idempotency-Key"); mutates != (key != "") {
			t.Errorf("%s %s with the idempotency key %q", r.Method, r.RequestURI, key)
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Location", "/v1/kicks/"+kick)
		if a.body != nil {
			w.Header().Set("Content-Type", a.mediaType)
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, client.StaticToken("x"), client.Config{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := call(t.Context(), c)
	if err != nil || asked != 1 {
		t.Fatalf("%v, after %d requests; the answer was %s", err, asked, a.body)
	}
	if _, ok := got.(anything); ok || a.body == nil {
		return
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	body := a.body
	if a.mediaType == eventStream {
		_, body, _ = bytes.Cut(body, []byte("data: "))
	}
	if d := cmp.Diff(essence(t, body), essence(t, b)); d != "" {
		t.Errorf("the client does not have all of the answer (-answer +client):\n%s", d)
	}
}

// fits holds a request against its operation.
func fits(route *routers.Route, r *http.Request) error {
	want, got := strings.Split(route.Path, "/"), strings.Split(r.URL.EscapedPath(), "/")
	if r.Method != route.Method || len(want) != len(got) {
		return fmt.Errorf("want %s %s", route.Method, route.Path)
	}
	params := map[string]string{}
	for i, w := range want {
		element, err := url.PathUnescape(got[i])
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(w, "{"):
			params[strings.Trim(w, "{}")] = element
		case w != got[i]:
			return fmt.Errorf("want %s %s", route.Method, route.Path)
		}
	}
	for name, sent := range map[string]string{"jid": ada, "group": aGroup, "domain": aDomain} {
		if v, ok := params[name]; ok && v != sent {
			return fmt.Errorf("%s has arrived as %q", sent, v)
		}
	}
	known := map[string]bool{}
	for _, list := range []openapi3.Parameters{route.PathItem.Parameters, route.Operation.Parameters} {
		for _, p := range list {
			known[p.Value.Name] = true
		}
	}
	for name := range r.URL.Query() {
		if !known[name] {
			return fmt.Errorf("there is no parameter %s", name)
		}
	}
	return openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, QueryParams: r.URL.Query(), Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

const eventStream = "text/event-stream"

// answer is one that says yes.
type answer struct {
	status    int
	mediaType string
	body      []byte // nil: none
}

// answers makes answers of an operation's contract: its examples, and one that has every field.
func answers(op *openapi3.Operation) []answer {
	var out []answer
	for _, code := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		if !strings.HasPrefix(code, "2") {
			continue
		}
		var status int
		_, _ = fmt.Sscan(code, &status)
		content := op.Responses.Map()[code].Value.Content
		if len(content) == 0 {
			out = append(out, answer{status: status})
		}
		for mediaType, m := range content {
			if mediaType == eventStream {
				text, _ := m.Example.(string)
				out = append(out, answer{status, mediaType, []byte(text)})
				continue
			}
			bodies := append([]any{m.Example}, m.Schema.Value.Examples...)
			bodies = append(bodies, m.Schema.Value.Example, whole(m.Schema.Value))
			for _, body := range bodies {
				if body != nil {
					b, _ := json.Marshal(body) // it was decoded from YAML
					out = append(out, answer{status, mediaType, b})
				}
			}
		}
	}
	return out
}

// whole is a value of a schema that has every field, none of them empty.
func whole(s *openapi3.Schema) any {
	switch {
	case len(s.OneOf) > 0 && len(s.Properties) == 0:
		return whole(s.OneOf[0].Value)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Const != nil:
		return s.Const
	case s.Type == nil:
		return "x"
	case s.Type.Includes("object"):
		o := map[string]any{}
		for name, p := range s.Properties {
			o[name] = whole(p.Value)
		}
		if s.AdditionalProperties.Schema != nil {
			key := "x"
			if s.PropertyNames != nil && len(s.PropertyNames.Value.Enum) > 0 {
				key, _ = s.PropertyNames.Value.Enum[0].(string)
			}
			o[key] = whole(s.AdditionalProperties.Schema.Value)
		}
		if _, page := o["items"]; page {
			o["next_cursor"] = nil
		}
		return o
	case s.Type.Includes("array"):
		return []any{whole(s.Items.Value)}
	case s.Type.Includes("boolean"):
		return true
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		return 3
	case s.Format == "date-time":
		return "2026-11-23T08:00:00.123456Z"
	}
	return "x"
}

// essence decodes JSON and leaves out what is empty: null and the zero value mean the same to who reads an answer.
func essence(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil && err != io.EOF {
		t.Fatalf("%v in %s", err, b)
	}
	return strip(v)
}

func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if v[name] = strip(field); v[name] == nil {
				delete(v, name)
			}
		}
		if len(v) == 0 {
			return nil
		}
		return v
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
		if len(v) == 0 {
			return nil
		}
		return v
	case string:
		at, err := time.Parse(time.RFC3339, v)
		switch {
		case v == "" || err == nil && at.IsZero():
			return nil
		case err == nil:
			return at.UTC().Format(time.RFC3339Nano)
		}
	case bool:
		if !v {
			return nil
		}
	case json.Number:
		if v == "0" {
			return nil
		}
	}
	return v
}
