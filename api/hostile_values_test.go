package api_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
)

// Values that somebody puts where an address, an id or a name belongs, as they stand in a path or a query.
var hostileValues = map[string]string{
	"NUL": "%00", "no UTF-8": "%FF", "half a pair": "%ED%A0%80", "overlong slash": "%C0%AF", "slash": "a%2Fb", "slash, twice": "a%252Fb", "override": "%E2%80%AEa@example.org",
	"line break": "a%0D%0AX:y", "dots": "..", "space": "%20", "percent": "%25", "quotes": "%22%27%3C%3E", "SQL": "a'%20or%20'1'='1", "template": "%7B%7B7*7%7D%7D",
	"no local part": "@example.org", "no domain": "ada@", "two signs": "a@b@c", "resource": "ada@example.org%2Fphone", "brackets": "a@[::1]", "long": strings.Repeat("a", 3000),
	"long in bytes": strings.Repeat("%F0%9F%98%80", 800), "number": "-9223372036854775809", "session": "ses_" + strings.Repeat("z", 39), "device": "dev_" + strings.Repeat("0", 39),
	"kick": "kick_" + strings.Repeat("z", 39), "unassigned": "%F3%A0%80%80", "noncharacter": "%EF%BF%BF", "combining": strings.Repeat("%CC%81", 300), "right to left": "%D7%90a@example.org",
}

// Bodies that fit no operation.
var hostileBodies = map[string]string{
	"null": `null`, "array": `[]`, "string": `"{}"`, "number": `1e400`, "NUL": `{"account":"\u0000"}`, "half a pair": `{"account":"\ud800"}`, "twice": `{"all":true,"all":true}`,
	"deep": strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000), "deep fields": strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000), "prototype": `{"__proto__":{},"constructor":{}}`,
	"unknown": `{"\u202e":1}`, "no UTF-8": "{\"a\":\"\xff\"}", "byte order mark": "\ufeff{}", "cut": `{"a":`, "two": `{}{}`,
	"wrong types":  `{"all":1,"session_ids":{},"device_ids":"x","platform":[],"account":1,"accounts":1,"resource":{},"name":[],"blocked":"yes","ttl_seconds":"1","level":0,"rule":1,"mode":null,"group":1,"add":{},"remove":1,"matchers":{},"max_sessions":"1","types":{},"url":1}`,
	"huge numbers": `{"ttl_seconds":1e308,"generation":99999999999999999999,"cooldown_seconds":-1,"if_revision":-9223372036854775809,"max_sessions":1e-400}`,
	"long list":    `{"add":[` + strings.Repeat(`1,`, 20000) + `1]}`,
}

// Every route stands every hostile value in every parameter, and every hostile body: an answer within a moment, never a 500, and an error that says what is
// wrong in a sentence, by a code that the contract has.
func TestHostileValuesEverywhere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1})
	good := map[string]string{"jid": "ada@example.org", "domain": "example.org", "group": "staff", "id": "ses_" + strings.Repeat("0", 39)}
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for _, r := range api.Routes() {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			t.Parallel()
			fill := func(name, value string) string {
				return parameter.ReplaceAllStringFunc(r.Path, func(p string) string {
					if p = strings.Trim(p, "{}"); p == name {
						return value
					}
					return good[p]
				})
			}
			body := ""
			if r.Method != http.MethodGet && r.Method != http.MethodDelete {
				body = `{}`
				for what, b := range hostileBodies {
					s.standsHostility(t, what, r.Method, fill("", ""), b)
				}
			}
			for what, value := range hostileValues {
				for _, p := range parameter.FindAllStringSubmatch(r.Path, -1) {
					s.standsHostility(t, p[1]+": "+what, r.Method, fill(p[1], value), body)
				}
				for _, p := range r.Params {
					s.standsHostility(t, p+": "+what, r.Method, fill("", "")+"?"+p+"="+value, body)
				}
			}
		})
	}
}

func (s *service) standsHostility(t *testing.T, what, method, target, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path, req.URL.RawPath = "", ""
	req.URL.Opaque = strings.TrimPrefix(s.url, "http:") + target // as it is
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode < 400 { // it is no hostile value there
		return
	}
	read, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 {
		t.Errorf("%s: %d, %v: %.300s", what, resp.StatusCode, err, read)
		return
	}
	checkSentence(t, what, resp, read)
}
