package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/ejabberd"
)

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
