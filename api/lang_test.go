package api_test

import (
	"testing"

	"github.com/bindgate/bindgate/api"
)

func TestLanguages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "a", generation: 1})
	var v struct {
		Lang     *string
		Revision int
	}
	is := func(want string) {
		t.Helper()
		if got := v.Lang; got == nil && want != "" || got != nil && *got != want {
			t.Errorf("lang %v, want %q", got, want)
		}
	}
	for _, path := range []string{"/v1/accounts/ada@example.org", "/v1/domains/Example.ORG", "/v1/domains/new.example"} {
		s.do("PATCH", path, `{"lang":"zh-Hant"}`).ok(200, &v)
		is("zh-Hant")
		s.do("PATCH", path, `{"lang":null}`).ok(200, &v)
		is("")
		s.do("PATCH", path, `{"lang":"ja"}`).ok(200, &v)
		is("ja")
		for body, code := range map[string]string{`{}`: "invalid_field", `{"lang":""}`: "invalid_field", `{"lang":"xx_YY"}`: "invalid_field", `{"lang":"no such"}`: "invalid_field", `{"lang":7}`: "invalid_field"} {
			s.do("PATCH", path, body).fails(422, code, "/lang")
		}
		s.do("PATCH", path, `{"lang":"ja","name":"x"}`).fails(422, "unknown_field", "/name")
	}
	s.get("/v1/accounts/ada@example.org").ok(200, &v)
	is("ja")
	if v.Revision != 4 { // each change is one
		t.Errorf("revision %d", v.Revision)
	}
	var domains struct {
		Items []struct {
			Domain string
			Lang   *string
		}
	}
	if s.get("/v1/domains").ok(200, &domains); len(domains.Items) != 2 || *domains.Items[0].Lang != "ja" || *domains.Items[1].Lang != "ja" {
		t.Errorf("%+v", domains)
	}
	s.do("PATCH", "/v1/accounts/nobody@example.org", `{"lang":"ja"}`).fails(404, "not_found", "-")
	limited := as(mint(t, api.Claims{Domains: []string{"example.com"}, Scopes: []string{api.ScopeRulesWrite}}))
	for _, path := range []string{"/v1/accounts/ada@example.org", "/v1/domains/example.org", "/v1/domains/nowhere.example"} {
		s.do("PATCH", path, `{"lang":"ja"}`, limited).fails(404, "not_found", "-")
	}
}
