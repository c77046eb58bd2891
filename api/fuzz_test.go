package api_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bindgate/bindgate/api"
)

// What is taken is one object that any reader reads the same way; what is not taken has a known code.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":{"a":[{}]}}`, `{"a":1,"a":2}`, `{"\u0061":"\ud83d\ude00"}`, `{"a":"\ud800\\u"}`, `{"a":"\\\ud800"}`, `[[[]]]`, `{"a":1}{`, "{\"\xff\":0}", `{"":""}`, ` { "a" : null , "b" : -0e1 } `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("PUT", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		fields, code, field := api.ReadObject(r)
		if code != "" {
			switch code {
			case "malformed_request", "invalid_field", "body_too_large":
			default:
				t.Fatalf("%q: %s at %q", body, code, field)
			}
			return
		}
		if !utf8.Valid(body) || !json.Valid(body) {
			t.Fatalf("taken: %q", body)
		}
		var all map[string]any
		if err := json.Unmarshal(body, &all); err != nil || len(all) != len(fields) {
			t.Fatalf("%q: %v, %d fields, %d read", body, err, len(all), len(fields))
		}
		if again, _ := json.Marshal(all); bytes.Contains(again, []byte(`\u0000`)) && !bytes.Contains(again, []byte(`\\u0000`)) {
			t.Fatalf("a NUL was taken: %q", body)
		}
		if strings.Contains(string(body), `\ud800"`) && !strings.Contains(string(body), `\\ud800"`) {
			t.Fatalf("half a pair was taken: %q", body)
		}
	})
}
