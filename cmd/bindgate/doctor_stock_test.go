package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/selftest"
	"github.com/bindgate/bindgate/xmppbridge"
)

// Doctor says of a server that is to be administered by ad-hoc commands what is missing, or what they cannot.
func TestDoctorOnAdHocCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		admins string
		want   []string
	}{
		{"without the right", "", []string{"FAIL  link main: localhost: this component may not run", `admins = { "bindgate.localhost" }`, "delete users and shut the server down"}},
		{"with it", `admins = { "bindgate.localhost" }`, []string{"OK    link main: the server lets the component", "cannot conflict: Prosody ends the stream without any stream error", "OK    link main: cannot at_once: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := prosody.ForTest(t, prosody.Config{WithoutGate: true, Modules: []string{"admin_adhoc"}, Global: tt.admins})
			var out bytes.Buffer
			r := &report{out: &out}
			r.stock(t.Context(), linkConfig{
				Name: "main", Addr: server.Component, Component: server.ComponentJID(), Secret: secret(server.Secret()), Driver: xmppbridge.DriverAdmin, Domains: []string{"localhost"},
			})
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
		})
	}
}

// Doctor tries what a stock ejabberd has to allow, and says what works without.
func TestDoctorStock(t *testing.T) {
	t.Parallel()
	s := ejabberd.ForTest(t, ejabberd.Config{API: `{"half": {from: [mod_http_api], who: {access: {allow: [{ip: 127.0.0.1}]}}, what: [connected_users_info, user_sessions_info]}}`})
	out, err := exec.CommandContext(t.Context(), "bindgate", "doctor", "--data-dir", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--xmpp-addr", s.Component,
		"--xmpp-component", s.ComponentJID(), "--xmpp-secret", s.Secret(), "--xmpp-driver", "ejabberd", "--xmpp-api-url", "http://"+s.HTTP+"/api").CombinedOutput()
	if err == nil {
		t.Error("doctor is content")
	}
	for _, want := range []string{
		"FAIL  link bindgate.localhost: ejabberd's API does not let bindgate call kick_session; ejabberd.yml needs",
		"WARN  link bindgate.localhost: whether the domains of the link are the server's own is not checked",
		"connected_users_info, user_sessions_info",
		"OK    link bindgate.localhost: " + s.Component + " takes the component",
		"WARN  link bindgate.localhost: localhost does not let the component see presence (XEP-0356): it works without, slower",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
}

// A trial that shows what the link is known not to do is no failure; anything else that is not right is.
func TestDoctorSelfTest(t *testing.T) {
	t.Parallel()
	kicked := &client.SelfTestKick{Outcome: client.OutcomeKicked}
	cannot := `{"abilities":[{"name":"conflict","can":false}]}`
	for name, tt := range map[string]struct {
		link string
		test client.SelfTest
		want string
	}{
		"all is well":            {cannot, client.SelfTest{OK: true, Kick: kicked}, "OK  "},
		"known, no stream error": {cannot, client.SelfTest{Kick: kicked, Findings: []string{"a", "b"}}, "WARN"},
		"known, another error":   {cannot, client.SelfTest{Kick: &client.SelfTestKick{Outcome: client.OutcomeKicked, Condition: "policy-violation"}}, "WARN"},
		"not known":              {`{"abilities":[{"name":"conflict","can":true}]}`, client.SelfTest{Kick: kicked}, "FAIL"},
		"still open":             {cannot, client.SelfTest{Kick: kicked, Findings: []string{selftest.StillOpen}}, "FAIL"},
		"no proof":               {cannot, client.SelfTest{Kick: &client.SelfTestKick{Outcome: client.OutcomePending}}, "FAIL"},
		"no login":               {cannot, client.SelfTest{Findings: []string{"cannot log in"}}, "FAIL"},
	} {
		var l runningLink
		if err := json.Unmarshal([]byte(tt.link), &l); err != nil {
			t.Fatal(err)
		}
		l.SelfTest = &tt.test
		var out bytes.Buffer
		(&report{out: &out}).selfTest("link main", l)
		if !strings.HasPrefix(out.String(), tt.want) {
			t.Errorf("%s: %s, want %s", name, out.String(), tt.want)
		}
	}
}
