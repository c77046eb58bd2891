package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/rules"
)

func TestPlatforms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var got rules.Platforms
	shipped := s.get("/v1/platforms").ok(200, &got)
	if d := cmp.Diff(rules.ShippedPlatforms(), got); d != "" {
		t.Errorf("shipped: %s", d)
	}
	// What was read can be sent back as it is.
	changed := s.do("PUT", "/v1/platforms", string(shipped.body), header("If-Match", shipped.header.Get("ETag"))).ok(200, nil)
	if changed.header.Get("ETag") == shipped.header.Get("ETag") {
		t.Error("the ETag did not change")
	}
	s.do("PUT", "/v1/platforms", `{"matchers":[]}`, header("If-Match", shipped.header.Get("ETag"))).fails(412, "precondition_failed", "If-Match")

	var answer struct {
		rules.Platforms
		Warnings []string
	}
	s.do("PUT", "/v1/platforms", `{"matchers":[{"platform":"kiosk","resource":"kiosk-*"}],"groups":{"public":["kiosk","tv"]}}`).ok(200, &answer)
	if len(answer.Warnings) != 1 || len(answer.Matchers) != 1 {
		t.Errorf("%+v", answer)
	}
	got = rules.Platforms{}
	if s.get("/v1/platforms").ok(200, &got); len(got.Matchers) != 1 || len(got.Groups["public"]) != 2 {
		t.Errorf("%+v", got)
	}
	if e := s.events("rule.changed"); len(e) != 2 || e[1].Data["level"] != "platforms" {
		t.Errorf("events: %+v", e)
	}
	// A rule may name what nobody matches; that is said.
	var rule struct{ Warnings []string }
	s.do("PUT", "/v1/rules/default", `{"max_per_platform":{"public":1,"kiosk":1,"ios":1}}`).ok(200, &rule)
	if len(rule.Warnings) != 1 {
		t.Errorf("default rule: %q", rule.Warnings)
	}
	rule.Warnings = nil
	s.do("PUT", adasRule, `{"exclusive":[["kiosk","web"]]}`).ok(201, &rule)
	if len(rule.Warnings) != 1 {
		t.Errorf("account's rule: %q", rule.Warnings)
	}
}

func TestBadPlatforms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", "/matchers"},
		{`[]`, "invalid_field", ""},
		{`{"matchers":[],"matcher":[]}`, "unknown_field", "/matcher"},
		{`{"matchers":[{"platform":"tv","resorce":"x"}]}`, "unknown_field", "/matchers/0/resorce"},
		{`{"matchers":[{"platform":"tv","resource":""}]}`, "invalid_field", "/matchers/0/resource"},
		{`{"matchers":[{"platform":"tv","resource":"[a"}]}`, "invalid_field", "/matchers/0/resource"},
		{`{"matchers":[{"platform":"tv"}]}`, "invalid_field", "/matchers/0"},
		{`{"matchers":[{"resource":"x"}]}`, "invalid_field", "/matchers/0/platform"},
		{`{"matchers":[],"groups":{"a":[]}}`, "invalid_field", "/groups/a"},
	} {
		s.do("PUT", "/v1/platforms", c.body).fails(422, c.code, c.field)
	}
	for _, token := range []string{
		mint(t, api.Claims{Scopes: []string{api.ScopeRulesRead, api.ScopeRulesWrite}}),
		mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.org"}}),
	} {
		s.get("/v1/platforms", as(token)).fails(403, "insufficient_scope", "-")
		s.do("PUT", "/v1/platforms", `{"matchers":[]}`, as(token)).fails(403, "insufficient_scope", "-")
	}
	if len(s.events("rule.changed")) != 0 {
		t.Error("something was written")
	}
}

// A kick of a platform that nobody has is most likely a slip, and is said to be.
func TestKicksWarnOfPlatforms(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.linked()
	s.seed(seeded{account: "ada@example.org", resource: "phone", platform: "web", generation: 1})
	for _, c := range []struct {
		path, body string
		status     int
		at         string
	}{
		{"/v1/accounts/ada@example.org/kick", `{"platform":"phone"}`, 200, "/platform: "},
		{"/v1/accounts/ada@example.org/kick", `{"platform":"mobile"}`, 200, ""},
		{"/v1/accounts/ada@example.org/kick", `{"platform":"bot"}`, 200, ""},
		{"/v1/kicks", `{"filter":{"platform":"mobiles"}}`, 202, "/filter/platform: "},
		{"/v1/kicks", `{"filter":{"platform":"mobile"}}`, 202, ""},
	} {
		var got struct{ Warnings []string }
		s.do("POST", c.path, c.body).ok(c.status, &got)
		if c.at == "" && got.Warnings != nil || c.at != "" && (len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], c.at)) {
			t.Errorf("%s %s: %q", c.path, c.body, got.Warnings)
		}
	}
}
