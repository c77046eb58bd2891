package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// vault is a server that stores credentials, as Debian's does: in files.
func vault(t *testing.T, on *servers.Kind, modules ...string) (servers.Server, *prosody.Server) {
	t.Helper()
	return onProsody(t, on, prosody.Config{
		PluginPath: "../prosody/testdata/plugins", Modules: modules,
		Host: `authentication = "kit"; storage = { default = "memory"; bindgate = "internal"; auth_tokens = "internal"; fast_tokens = "internal" }`,
	})
}

// keys evaluates Lua with tokenauth and fast, the modules, and returns the words of the result.
func keys(t *testing.T, server *prosody.Server, lua string) []string {
	t.Helper()
	out, err := server.Eval(t.Context(), `local tokenauth, fast = prosody.hosts.localhost.modules.tokenauth, prosody.hosts.localhost.modules.sasl2_fast; `+lua)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)
}

// bearer makes tokens of mod_tokenauth, on 0.12 or 13.0; each lives for so many seconds.
func bearer(t *testing.T, server *prosody.Server, user string, ttls ...int) []string {
	t.Helper()
	var lua strings.Builder
	fmt.Fprintf(&lua, `local jid, out = %q, {}; `, user+"@localhost")
	for _, ttl := range ttls {
		fmt.Fprintf(&lua, `if tokenauth.create_grant then
			local grant = assert(tokenauth.create_grant(jid, jid, %d));
			out[#out + 1] = assert(tokenauth.create_token(jid, grant, "prosody:registered"));
		else
			out[#out + 1] = assert(tokenauth.create_jid_token(jid, jid, nil, %d));
		end `, ttl, ttl)
	}
	return keys(t, server, lua.String()+`return table.concat(out, " ")`)
}

// opens tells which tokens still are good.
func opens(t *testing.T, server *prosody.Server, tokens ...string) (good int) {
	t.Helper()
	for _, token := range tokens {
		if keys(t, server, fmt.Sprintf(`return tokenauth.get_token_info(%q) and "yes" or "no"`, token))[0] == "yes" {
			good++
		}
	}
	return good
}

// revoke returns what a revocation came to, "kind=count" and "kind: why", and whom it lists.
func (c *component) revoke(attrs, content string) (came []string, listed []string) {
	c.t.Helper()
	answer := c.request("set", "<revoke xmlns='"+ns+"' "+attrs+">"+content+"</revoke>")
	node := answer.Child(ns, "revoke")
	if node == nil || node.Attr("epoch") == "" || node.Attr("seq") == "" {
		c.t.Fatalf("revoke: %s", answer.Raw)
	}
	for _, e := range node.Children {
		switch e.Name.Local {
		case "revoked":
			came = append(came, e.Attr("kind")+"="+e.Attr("count"))
		case "unable":
			came = append(came, e.Attr("kind")+": "+e.Attr("why"))
		case "session":
			listed = append(listed, e.Attr("resource")+" "+e.Attr("state"))
		}
	}
	return came, listed
}

func (c *component) wantRevoked(attrs, content string, want ...string) {
	c.t.Helper()
	if got, _ := c.revoke(attrs, content); !slices.Equal(got, want) {
		c.t.Errorf("revoke %s %s: %q, want %q", attrs, content, got, want)
	}
}

const unableToTell = "tokenauth: its tokens name no device, only the whole account's can be revoked"

func TestRevokeTokens(t *testing.T) { servers.EachProsody(t, testRevokeTokens) }

func testRevokeTokens(t *testing.T, on *servers.Kind) {
	server, private := vault(t, on, "tokenauth")
	c := connect(t, server, true)
	alice, bob := bearer(t, private, "alice", 3600, 3600, -10), bearer(t, private, "bob", 3600)
	if opens(t, private, alice...) != 2 || opens(t, private, bob...) != 1 {
		t.Fatal("the tokens are no good to begin with")
	}
	c.wantRevoked("user='alice'", "<device client_id='d1'/>", unableToTell)
	c.wantRevoked("user='alice' others='1'", "", unableToTell)
	if opens(t, private, alice...) != 2 {
		t.Error("a part of an account took all of its tokens")
	}
	c.wantRevoked("user='alice'", "", "tokenauth=2")
	if opens(t, private, alice...) != 0 || opens(t, private, bob...) != 1 {
		t.Errorf("open afterwards: %d of alice's, %d of bob's", opens(t, private, alice...), opens(t, private, bob...))
	}
	c.wantRevoked("user='alice'", "", "tokenauth=0")
	c.wantRevoked("user='alice' others='1'", "<device client_id='d1'/>", "tokenauth=0")
	c.wantRevoked("user='nobody'", "", "tokenauth=0")
}

func TestRevokeByDevice(t *testing.T) { servers.EachProsody(t, testRevokeByDevice) }

func testRevokeByDevice(t *testing.T, on *servers.Kind) {
	server, private := vault(t, on, "sasl2_fast")
	c := connect(t, server, true)
	give := func() []string {
		return keys(t, private, `local out = {}
			for _, d in ipairs({ "d1", "d2", "d3" }) do out[#out + 1] = fast.give("alice", d, "cur", 3600) end
			fast.give("alice", "d1", "new", 3600) fast.give("alice", "d2", "new", -1)
			return table.concat(out, " ")`)
	}
	left := func(secrets []string) string {
		t.Helper()
		return strings.Join(keys(t, private, fmt.Sprintf(`local out = {}
			for d, secret in pairs({ d1 = %q, d2 = %q, d3 = %q }) do if fast.is_valid("alice", d, secret) then out[#out + 1] = d end end
			table.sort(out) return table.concat(out, " ")`, secrets[0], secrets[1], secrets[2])), " ")
	}
	for _, tt := range []struct{ attrs, content, want, left string }{
		{"", "<device client_id='d1'/>", "fast=2", "d2 d3"},
		{"", "<device client_id='d2'/><device client_id='d3'/><device client_id='d9'/>", "fast=2", "d1"},
		{"others='1'", "<device client_id='d2'/>", "fast=3", "d2"},
		{"others='1'", "", "fast=4", ""},
		{"others='0'", "", "fast=4", ""},
	} {
		secrets := give()
		c.wantRevoked("user='alice' "+tt.attrs, tt.content, tt.want, "tokenauth=0")
		if got := left(secrets); got != tt.left {
			t.Errorf("%s %s: left %q, want %q", tt.attrs, tt.content, got, tt.left)
		}
	}
}

func TestRevokeWhereNothingIsStored(t *testing.T) {
	servers.EachVersion(t, testRevokeWhereNothingIsStored)
}

func testRevokeWhereNothingIsStored(t *testing.T, on *servers.Kind) {
	server := on.Start(t, servers.Options{})
	c := connect(t, server, true)
	c.on(allowAll)
	mustBind(t, login(t, server, xmppclient.TCP, "alice", "en"), "phone")
	begun := login(t, server, xmppclient.TCP, "alice", "en")
	came, listed := c.revoke("user='alice'", "")
	if e := mustEnd(t, begun); e.Condition != "reset" {
		t.Errorf("a stream that was to bind ended with %s", e.Raw)
	}
	if len(came) > 0 || !slices.Equal(listed, []string{"phone active"}) {
		t.Errorf("%q, %q", came, listed)
	}
	for content, want := range map[string]string{
		"<revoke xmlns='" + ns + "'/>":                           "revoke: the attribute user is missing",
		"<revoke xmlns='" + ns + "' user='a' others='maybe'/>":   "revoke: the attribute others must be 0 or 1",
		"<revoke xmlns='" + ns + "' user='a'><device/></revoke>": "revoke: a device has no client_id",
	} {
		if condition, text := conditionOf(c.request("set", content)); condition != "bad-request" || text != want {
			t.Errorf("%s: %s %q", content, condition, text)
		}
	}
}

// A stream that has logged in and is not bound yet begins anew, also while its bind is held.
func TestRevokeEndsUnboundStreams(t *testing.T) { servers.EachProsody(t, testRevokeEndsUnboundStreams) }

func testRevokeEndsUnboundStreams(t *testing.T, on *servers.Kind) {
	server, _ := vault(t, on, "tokenauth")
	c := connect(t, server, true)
	begun := map[string]*xmppclient.Client{}
	for i, transport := range transports {
		begun[fmt.Sprint("all", i)] = loginWith(t, server, xmppclient.Options{Transport: transport, User: "alice"})
	}
	other := login(t, server, xmppclient.TCP, "bob", "en")
	held := loginWith(t, server, xmppclient.Options{User: "alice"})
	go func() { _, _ = held.Bind(within(t), "held") }()
	c.ask(1) // and never answered
	if _, listed := c.revoke("user='alice'", ""); len(listed) > 0 {
		t.Errorf("listed: %q", listed)
	}
	begun["held"] = held
	for name, client := range begun {
		if e := mustEnd(t, client); e.Condition != "reset" {
			t.Errorf("%s: %s", name, e.Raw)
		}
	}
	c.event("gone", "alice", "held")
	c.on(allowAll)
	mustBind(t, other, "phone")

	mine, theirs := loginWith(t, server, xmppclient.Options{User: "cat", Password: "pw#d1"}), loginWith(t, server, xmppclient.Options{User: "cat", Password: "pw#d2"})
	none := loginWith(t, server, xmppclient.Options{User: "cat", Password: "pw"})
	c.revoke("user='cat' others='1'", "<device client_id='d1'/>")
	if e := mustEnd(t, theirs); e.Condition != "reset" {
		t.Error(e.Raw)
	}
	mustBind(t, mine, "mine")
	mustBind(t, none, "none")
}
