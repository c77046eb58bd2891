package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
)

type shownLookup struct {
	Items []struct {
		Account  string
		Online   bool
		Sessions []session
	}
}

func (l shownLookup) String() string {
	var b strings.Builder
	for _, i := range l.Items {
		fmt.Fprintf(&b, "%s %t", i.Account, i.Online)
		for _, s := range i.Sessions {
			fmt.Fprintf(&b, " %s/%s=%s", s.Account, s.Resource, s.State)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Each account that is asked for has its answer, in its place.
func TestLookup(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(
		seeded{account: "strasse@example.org", resource: "phone", generation: 1}, seeded{account: "strasse@example.org", resource: "web", generation: 2, state: "hibernating"},
		seeded{account: "bob@example.com", resource: "tab", generation: 1}, seeded{account: "cat@example.org", resource: "old", generation: 1, evicting: true},
		seeded{account: "dan@example.org", resource: "new", generation: 1, state: "binding"}, seeded{account: "eve@example.org", resource: "gone", generation: 1, ended: true},
	)
	const asked = `{"accounts":["nobody@example.org","Straße@example.org","bob@example.com","cat@example.org","dan@example.org","eve@example.org","strasse@example.org"]}`
	const all = `nobody@example.org false
strasse@example.org true strasse@example.org/phone=active strasse@example.org/web=hibernating
bob@example.com true bob@example.com/tab=active
cat@example.org false cat@example.org/old=evicting
dan@example.org false dan@example.org/new=binding
eve@example.org false
strasse@example.org true strasse@example.org/phone=active strasse@example.org/web=hibernating
`
	var got shownLookup
	if s.do("POST", "/v1/sessions/lookup", asked).ok(200, &got); got.String() != all {
		t.Errorf("got\n%swant\n%s", got, all)
	}
	limited := as(mint(t, api.Claims{Domains: []string{"example.org"}, Scopes: []string{api.ScopeSessionsRead}}))
	want := strings.Replace(all, "bob@example.com true bob@example.com/tab=active", "bob@example.com false", 1)
	if s.do("POST", "/v1/sessions/lookup", asked, limited).ok(200, &got); got.String() != want {
		t.Errorf("limited: got\n%swant\n%s", got, want)
	}
}

func TestLookupRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	many := strings.Repeat(`"a@b",`, 500)
	for body, want := range map[string]struct{ code, field string }{
		`{}`:                             {"invalid_field", "/accounts"},
		`{"accounts":null}`:              {"invalid_field", "/accounts"},
		`{"accounts":[]}`:                {"invalid_field", "/accounts"},
		`{"accounts":"a@b"}`:             {"invalid_field", "/accounts"},
		`{"accounts":["a@b",5]}`:         {"invalid_field", "/accounts/1"},
		`{"accounts":["a@b","a@b/c"]}`:   {"invalid_jid", "/accounts/1"},
		`{"accounts":["a@b",""]}`:        {"invalid_jid", "/accounts/1"},
		`{"accounts":["b"]}`:             {"invalid_jid", "/accounts/0"},
		`{"accounts":[` + many + `"a"]}`: {"invalid_field", "/accounts"},
		`{"accounts":["a@b"],"limit":1}`: {"unknown_field", "/limit"},
	} {
		s.do("POST", "/v1/sessions/lookup", body).fails(422, want.code, want.field)
	}
	s.do("POST", "/v1/sessions/lookup", `{"accounts":[`+strings.TrimSuffix(many, ",")+`]}`).ok(200, nil)
	s.do("POST", "/v1/sessions/lookup", `{"accounts":["a@b"]}`, as(mint(t, api.Claims{Scopes: []string{api.ScopeRulesRead}}))).fails(403, "insufficient_scope", "-")
}
