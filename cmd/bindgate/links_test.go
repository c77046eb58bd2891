package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// One process has a Prosody with our module and an ejabberd with nothing of ours. Single login holds on both, each link has its own state, and one that is down leaves the
// other alone.
func TestTwoLinks(t *testing.T) {
	t.Parallel()
	gated := prosody.ForTest(t, prosody.Config{Domains: []string{"gated.localhost"}, Component: "bindgate.gated.localhost"})
	plain := ejabberd.ForTest(t, ejabberd.Config{Hosts: []ejabberd.Host{{Domain: "plain.localhost", Modules: "mod_privilege: {presence: {managed_entity: [{allow: {server: bindgate.plain.localhost}}]}}"}}})
	dir := t.TempDir()
	file := filepath.Join(dir, "bindgate.toml")
	secretFile := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := fmt.Sprintf("[[link]]\nname = 'stock'\naddr = %q\ncomponent = 'bindgate.plain.localhost'\nsecret_file = %q\ndriver = 'ejabberd'\napi_url = 'http://%s/api'\n",
		plain.Component, secretFile("plain", plain.Secret()), plain.HTTP)
	text += fmt.Sprintf("[link.self_test]\njid = 'tester@plain.localhost'\npassword_file = %q\naddr = %q\ntls = 'none'\n", secretFile("tester", "pw"), plain.C2S)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, gated, gated.Secret(), "--database-url", pgtest.Empty(t), "--config", file)
	api, err := client.New(p.url, client.StaticToken(p.token), client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	links := func() map[string]client.Link {
		out := map[string]client.Link{}
		for l, err := range api.ListLinks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			out[l.ID] = l
		}
		return out
	}
	const gate, stock = "bindgate.gated.localhost", "stock"
	compared := func(l client.Link) bool {
		return l.State == client.LinkUp && len(l.Domains) == 1 && !l.Domains[0].LastSnapshotAt.IsZero()
	}
	p.within(20e9, "has compared both links", func() bool { l := links(); return compared(l[gate]) && compared(l[stock]) })
	p.within(20e9, "has tried the stock link", func() bool { return links()[stock].SelfTest != nil })
	all := links()
	if s := all[stock].SelfTest; !s.OK || s.Held == nil || *s.Held || s.Kick == nil || s.Kick.Condition != "conflict" || s.Kick.Text == "" || s.Kick.EndedCode != "" || len(s.Findings) != 2 {
		t.Errorf("self-test: %+v, kick %+v", s, s.Kick)
	}
	if a, b := all[gate].Domains[0].Domain, all[stock].Domains[0].Domain; a != "gated.localhost" || b != "plain.localhost" || all[stock].Driver != "ejabberd" {
		t.Errorf("the links' domains are %s and %s", a, b)
	}
	can := func(l client.Link) string {
		var out []string
		for _, a := range l.Abilities {
			if a.Can {
				out = append(out, a.Name)
			} else if a.Why == "" {
				t.Errorf("link %s cannot %s and does not say why", l.ID, a.Name)
			}
		}
		return strings.Join(out, " ")
	}
	if got := can(all[gate]); !strings.Contains(got, "ask kick probe") || !strings.Contains(got, "at_once") {
		t.Errorf("the module's link can %s", got)
	}
	if got := can(all[stock]); got != "kick probe snapshot mode at_once conflict text" {
		t.Errorf("the stock link can %s", got)
	}

	if _, err := api.PutDefaultRule(t.Context(), client.Rule{MaxSessions: client.Set(1)}, client.RuleOptions{}); err != nil {
		t.Fatal(err)
	}
	login := func(addr, domain, user, resource string) *xmppclient.Client {
		t.Helper()
		c, err := xmppclient.Dial(t.Context(), xmppclient.Options{Addr: addr, Domain: domain, User: user})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Cut)
		if _, err := c.Bind(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
		if err := c.SendPresence(0); err != nil {
			t.Fatal(err)
		}
		return c
	}
	single := func(addr, domain, user string) {
		t.Helper()
		first := login(addr, domain, user, "phone")
		p.within(10e9, "knows "+domain, func() bool { return len(p.resources(user+"@"+domain)) == 1 })
		login(addr, domain, user, "laptop")
		if e, err := first.WaitClosed(t.Context()); err != nil || e == nil || e.Condition != "conflict" {
			t.Errorf("on %s the first session ended with %v, %v", domain, e, err)
		}
		p.within(10e9, "has one session on "+domain, func() bool { return len(p.resources(user+"@"+domain)) == 1 })
	}
	single(gated.C2S, "gated.localhost", "ann")
	single(plain.C2S, "plain.localhost", "ann")

	plain.Kill()
	p.within(10e9, "notices that the ejabberd is gone", func() bool { l := links()[stock]; return l.State == client.LinkDown && l.LastError != "" })
	if l := links()[gate]; l.State != client.LinkUp {
		t.Errorf("the other link is %s: %s", l.State, l.LastError)
	}
	single(gated.C2S, "gated.localhost", "bob")
	if err := plain.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	p.within(20e9, "is linked to the ejabberd again", func() bool { return compared(links()[stock]) })
	single(plain.C2S, "plain.localhost", "bob")
}
