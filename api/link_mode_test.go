package api_test

import (
	"testing"

	"github.com/bindgate/bindgate/api"
)

func TestLinkMode(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.exec("insert into links (name, state) values ('main/1', '{}')")
	const path = "/v1/links/main%2F1/mode"
	var got struct {
		ID, Mode, State string
		Applied         bool
		Domains         []any
	}
	s.do("PUT", path, `{"mode":"observe"}`).ok(202, &got)
	if got.ID != "main/1" || got.Mode != "observe" || got.State != "unowned" || got.Applied || got.Domains == nil {
		t.Errorf("%+v", got)
	}
	var mode string
	if err := s.pool.QueryRow(t.Context(), "select mode from links").Scan(&mode); err != nil || mode != "observe" {
		t.Errorf("on record: %s, %v", mode, err)
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
		code       string
		field      string
	}{
		"unknown":       {"/v1/links/main/mode", `{"mode":"off"}`, 404, "not_found", "-"},
		"NUL":           {"/v1/links/%00/mode", `{"mode":"off"}`, 404, "not_found", "-"},
		"not UTF-8":     {"/v1/links/%FF/mode", `{"mode":"off"}`, 404, "not_found", "-"},
		"bad mode":      {path, `{"mode":"on"}`, 422, "invalid_field", "/mode"},
		"no string":     {path, `{"mode":true}`, 422, "invalid_field", "/mode"},
		"no mode":       {path, `{}`, 422, "invalid_field", "/mode"},
		"unknown field": {path, `{"mode":"off","for":"1h"}`, 422, "unknown_field", "/for"},
		"no JSON":       {path, `off`, 400, "malformed_request", "-"},
	} {
		t.Log(name)
		s.do("PUT", c.path, c.body).fails(c.status, c.code, c.field)
	}
	for name, token := range map[string]string{
		"no admin":     mint(t, api.Claims{Scopes: []string{api.ScopeSessionsKick, api.ScopeRulesWrite}}),
		"some domains": mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.org"}}),
	} {
		t.Log(name)
		s.do("PUT", path, `{"mode":"off"}`, as(token)).fails(403, "insufficient_scope", "-")
	}
}
