package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/servers"
)

// TestRevokeOnEjabberd: tokens of ejabberd_oauth that log in, and of mod_auth_fast, which 24.12 has.
func TestRevokeOnEjabberd(t *testing.T) { servers.EachEjabberd(t, testRevokeOnEjabberd) }

func testRevokeOnEjabberd(t *testing.T, on *servers.Kind) {
	hasFast := on.Able(servers.SASL2)
	host := ejabberd.Host{Gate: true}
	if hasFast {
		host.Modules = "mod_auth_fast: {}"
	}
	var private *ejabberd.Server
	server := servers.Ejabberd(on, ejabberd.Config{Accounts: true, Hosts: []ejabberd.Host{host}}, &private).Start(t, servers.Options{})
	c := connect(t, server, true)
	eval := func(erlang string, args ...any) string {
		t.Helper()
		out, err := private.Eval(t.Context(), fmt.Sprintf(erlang, args...))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// Debian's ejabberd issues none without a library that it only recommends.
	issue := func(user, scope string) string {
		token := user + scope
		eval(`ejabberd_oauth_mnesia:store({oauth_token, <<%q>>, {<<%q>>, <<"localhost">>}, [<<%q>>], erlang:system_time(second) + 3600})`, token, user, scope)
		return token
	}
	kept := func(token string) bool {
		return eval(`ejabberd_oauth_mnesia:lookup(<<%q>>)`, token) != "error"
	}
	alice, bob := issue("alice", "sasl_auth"), issue("bob", "sasl_auth")
	other := issue("alice", "get_roster") // logs nobody in
	fast := func(id string) string {
		return eval(`integer_to_binary(length(mod_auth_fast_mnesia:get_tokens(<<"localhost">>, <<"alice">>, crypto:hash(sha256, <<%q>>))))`, id)
	}
	want := func(attrs, content string, oauth string, fasts ...string) {
		t.Helper()
		expected := []string{oauth}
		if hasFast {
			expected = append(fasts, oauth)
		}
		if came, _ := c.revoke(attrs, content); !slices.Equal(came, expected) {
			t.Errorf("revoke %s %s: %q, want %q", attrs, content, came, expected)
		}
	}
	if hasFast {
		for _, id := range []string{"one", "two", "three"} {
			eval(`[ok = mod_auth_fast_mnesia:set_token(<<"localhost">>, <<"alice">>, crypto:hash(sha256, <<%q>>), Which, <<"secret">>, erlang:system_time(second) + 3600) || Which <- [current, next]]`, id)
		}
	}
	const unable = "oauth: its tokens name no device, only the whole account's can be revoked"
	want("user='alice'", "<device client_id='one'/>", unable, "fast=2")
	if hasFast && (fast("one") != "0" || fast("two") != "2") {
		t.Errorf("tokens left: %s, %s", fast("one"), fast("two"))
	}
	want("user='alice' others='1'", "<device client_id='two'/>", unable, "fast=2")
	if hasFast && (fast("two") != "2" || fast("three") != "0") {
		t.Errorf("tokens left: %s, %s", fast("two"), fast("three"))
	}
	if !kept(alice) {
		t.Error("the account's token went for a device")
	}
	want("user='alice'", "", "oauth=1", "fast=2")
	want("user='alice'", "", "oauth=0", "fast=0")
	if kept(alice) || !kept(bob) || !kept(other) {
		t.Errorf("tokens left: alice's %t, bob's %t, alice's for something else %t", kept(alice), kept(bob), kept(other))
	}
}
