package signon_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/idprovider"
	"github.com/bindgate/bindgate/internal/signon"
	"github.com/bindgate/bindgate/store"
)

var roles = signon.Roles{Of: map[string]store.Role{"ops": store.RoleAdmin, "helpdesk": store.RoleSupport, "cn=all,dc=example": store.RoleViewer}}

func newProvider(t *testing.T, issuer string, roles signon.Roles) *signon.Provider {
	t.Helper()
	p, err := signon.New(signon.Config{
		Issuer: issuer, ClientID: idprovider.ClientID, ClientSecret: idprovider.ClientSecret, RedirectURL: "https://bindgate.example.org/dashboard/login/callback",
		Scopes: []string{"profile", "email"}, Roles: roles,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit goes to the provider as a browser does, and returns what it is to bring back.
func visit(t *testing.T, to string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(to) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("%s: %s", to, res.Status)
	}
	return back.Query()
}

func logIn(t *testing.T, p *signon.Provider) (store.Vouched, error) {
	t.Helper()
	to, pending, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Finish(t.Context(), visit(t, to), pending)
}

func TestWhoeverTheProviderKnows(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, nil)
	for name, c := range map[string]struct {
		claims  map[string]any
		roles   signon.Roles
		want    store.Vouched
		refused bool
	}{
		"an admin":            {claims: map[string]any{"preferred_username": "Ada", "groups": []string{"staff", "ops", "helpdesk"}}, roles: roles, want: store.Vouched{Name: "ada", Role: store.RoleAdmin}},
		"the order":           {claims: map[string]any{"preferred_username": "ada", "groups": []string{"helpdesk", "cn=all,dc=example"}}, roles: roles, want: store.Vouched{Name: "ada", Role: store.RoleSupport}},
		"one text":            {claims: map[string]any{"email": "ada@example.org", "groups": "cn=all,dc=example"}, roles: roles, want: store.Vouched{Name: "ada@example.org", Role: store.RoleViewer}},
		"no name":             {claims: map[string]any{"preferred_username": "\u202e", "sub": "x y\x00", "groups": "ops"}, roles: roles, want: store.Vouched{Subject: "x y\x00", Name: "user-", Role: store.RoleAdmin}},
		"a name with a space": {claims: map[string]any{"name": "Ada Lovelace", "groups": "ops"}, roles: roles, want: store.Vouched{Name: "ada.lovelace", Role: store.RoleAdmin}},
		"no group":            {claims: map[string]any{"groups": []string{"staff"}}, roles: roles, refused: true},
		"no claim":            {roles: roles, refused: true},
		"a claim of numbers":  {claims: map[string]any{"groups": []any{1, map[string]any{}}}, roles: roles, refused: true},
		"a claim of a path": {
			claims: map[string]any{"realm_access": map[string]any{"roles": []string{"ops"}}}, roles: signon.Roles{Claim: "realm_access.roles", Of: roles.Of}, want: store.Vouched{Name: "4711", Role: store.RoleAdmin},
		},
		"a claim with dots":   {claims: map[string]any{"https://a.example/g": "ops"}, roles: signon.Roles{Claim: "https://a.example/g", Of: roles.Of}, want: store.Vouched{Name: "4711", Role: store.RoleAdmin}},
		"everybody":           {roles: signon.Roles{Of: map[string]store.Role{signon.Anybody: store.RoleViewer, "ops": store.RoleAdmin}}, want: store.Vouched{Name: "4711", Role: store.RoleViewer}},
		"more than everybody": {claims: map[string]any{"groups": "ops"}, roles: signon.Roles{Of: map[string]store.Role{signon.Anybody: store.RoleViewer, "ops": store.RoleAdmin}}, want: store.Vouched{Name: "4711", Role: store.RoleAdmin}},
		"domains": {
			claims: map[string]any{"groups": "ops", "xmpp": []string{"Example.ORG", "example.net"}}, roles: signon.Roles{Of: roles.Of, DomainsClaim: "xmpp"},
			want: store.Vouched{Name: "4711", Role: store.RoleAdmin, Domains: []string{"example.org", "example.net"}},
		},
		"all domains":  {claims: map[string]any{"groups": "ops", "xmpp": "example.org *"}, roles: signon.Roles{Of: roles.Of, DomainsClaim: "xmpp"}, want: store.Vouched{Name: "4711", Role: store.RoleAdmin}},
		"no domains":   {claims: map[string]any{"groups": "ops"}, roles: signon.Roles{Of: roles.Of, DomainsClaim: "xmpp"}, refused: true},
		"empty ones":   {claims: map[string]any{"groups": "ops", "xmpp": []string{}}, roles: signon.Roles{Of: roles.Of, DomainsClaim: "xmpp"}, refused: true},
		"strange ones": {claims: map[string]any{"groups": "ops", "xmpp": "a@b"}, roles: signon.Roles{Of: roles.Of, DomainsClaim: "xmpp"}, refused: true},
	} {
		id.Say(c.claims)
		got, err := logIn(t, newProvider(t, id.URL, c.roles))
		if c.refused {
			if !errors.Is(err, signon.ErrRefused) {
				t.Errorf("%s: %+v, %v, want ErrRefused", name, got, err)
			}
			continue
		}
		if c.want.Subject == "" {
			c.want.Subject = "4711"
		}
		if err != nil || got.Issuer != id.URL || got.Subject != c.want.Subject || got.Role != c.want.Role || !slices.Equal(got.Domains, c.want.Domains) || (got.Domains == nil) != (c.want.Domains == nil) ||
			got.Name != c.want.Name && !(c.want.Name == "user-" && strings.HasPrefix(got.Name, c.want.Name)) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, nil)
	p := newProvider(t, id.URL, roles)
	for name, wrong := range map[string]map[string]any{
		"another nonce":            {"nonce": "another"},
		"no nonce":                 {"nonce": nil},
		"another audience":         {"aud": "another"},
		"no audience":              {"aud": nil},
		"two audiences, no azp":    {"aud": []string{"another", idprovider.ClientID}},
		"two audiences, other azp": {"aud": []string{"another", idprovider.ClientID}, "azp": "another"},
		"another issuer":           {"iss": "https://id.example.org"},
		"expired":                  {"exp": time.Now().Add(-time.Hour).Unix()},
		"no subject":               {"sub": nil},
		"a long subject":           {"sub": strings.Repeat("a", 256)},
	} {
		claims := map[string]any{"groups": "ops"}
		for k, v := range wrong {
			claims[k] = v
		}
		id.Say(claims)
		if v, err := logIn(t, p); !errors.Is(err, signon.ErrInvalid) {
			t.Errorf("%s: %+v, %v, want ErrInvalid", name, v, err)
		}
	}
	other := idprovider.Start(t, map[string]any{"groups": "ops", "iss": id.URL}) // signs with another key
	id.Say(map[string]any{"groups": "ops"})
	to, pending, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Finish(t.Context(), visit(t, strings.Replace(to, id.URL, other.URL, 1)), pending); !errors.Is(err, signon.ErrInvalid) {
		t.Errorf("another provider's code: %+v, %v, want ErrInvalid", v, err)
	}
}

func TestAnswersThatBelongToNoLogin(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, map[string]any{"groups": "ops"})
	p := newProvider(t, id.URL, roles)
	to, pending, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, others, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pending string
		change  func(url.Values)
		want    error
	}{
		"the browser has begun none":   {"", nil, signon.ErrInvalid},
		"another browser":              {others, nil, signon.ErrInvalid},
		"a short secret":               {"x", nil, signon.ErrInvalid},
		"another state":                {pending, func(v url.Values) { v.Set("state", "x") }, signon.ErrInvalid},
		"no state":                     {pending, func(v url.Values) { v.Del("state") }, signon.ErrInvalid},
		"two states":                   {pending, func(v url.Values) { v.Add("state", "x") }, signon.ErrInvalid},
		"another code":                 {pending, func(v url.Values) { v.Set("code", "x") }, signon.ErrInvalid},
		"no code":                      {pending, func(v url.Values) { v.Del("code") }, signon.ErrInvalid},
		"a long code":                  {pending, func(v url.Values) { v.Set("code", strings.Repeat("x", 1<<20)) }, signon.ErrInvalid},
		"another provider's answer":    {pending, func(v url.Values) { v.Set("iss", "https://id.example.org") }, signon.ErrInvalid},
		"the person said no":           {pending, func(v url.Values) { v.Set("error", "access_denied") }, signon.ErrRefused},
		"the provider cannot just now": {pending, func(v url.Values) { v.Set("error", "temporarily_unavailable") }, signon.ErrAway},
	} {
		brought := visit(t, to)
		if c.change != nil {
			c.change(brought)
		}
		if v, err := p.Finish(t.Context(), brought, c.pending); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, v, err, c.want)
		}
	}
	brought := visit(t, to)
	if _, err := p.Finish(t.Context(), brought, pending); err != nil {
		t.Fatal(err)
	}
	if v, err := p.Finish(t.Context(), brought, pending); !errors.Is(err, signon.ErrInvalid) {
		t.Errorf("the same answer again: %+v, %v, want ErrInvalid", v, err)
	}
}

func TestClaimsThatAreToldApart(t *testing.T) {
	t.Parallel()
	id := idprovider.Start(t, nil)
	id.SayApart(map[string]any{"sub": "4711", "groups": []string{"ops"}, "preferred_username": "ada"})
	if v, err := logIn(t, newProvider(t, id.URL, roles)); err != nil || v.Role != store.RoleAdmin || v.Name != "ada" {
		t.Errorf("%+v, %v", v, err)
	}
	id.SayApart(map[string]any{"sub": "somebody else", "groups": []string{"ops"}})
	if v, err := logIn(t, newProvider(t, id.URL, roles)); !errors.Is(err, signon.ErrInvalid) {
		t.Errorf("of somebody else: %+v, %v, want ErrInvalid", v, err)
	}
}

func TestAProviderThatIsAwayStopsNothing(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, _, err := newProvider(t, gone.URL, roles).Begin(t.Context()); !errors.Is(err, signon.ErrAway) {
		t.Errorf("nobody listens: %v, want ErrAway", err)
	}
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"http://` + r.Host + `","authorization_endpoint":"javascript:alert(1)","token_endpoint":"https://id.example.org/token"}`))
	}))
	defer strange.Close()
	if to, _, err := newProvider(t, strange.URL, roles).Begin(t.Context()); !errors.Is(err, signon.ErrAway) {
		t.Errorf("an address that is none: %q, %v, want ErrAway", to, err)
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	if _, _, err := newProvider(t, endless.URL, roles).Begin(t.Context()); !errors.Is(err, signon.ErrAway) {
		t.Errorf("a long answer: %v, want ErrAway", err)
	}
	for _, issuer := range []string{"", "id.example.org", "http://id.example.org", "https://u:p@id.example.org", "ftp://id.example.org"} {
		if _, err := signon.New(signon.Config{Issuer: issuer, ClientID: "x", RedirectURL: "x"}); err == nil {
			t.Errorf("the issuer %q is taken", issuer)
		}
	}
}
