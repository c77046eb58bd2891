package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/pg"
	"github.com/bindgate/bindgate/internal/prosody"
)

func TestDemoOnceGoesAsTold(t *testing.T) {
	t.Parallel()
	needServers(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	if status := run(ctx, []string{"demo", "--once"}, &out, &errs); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out.String(), errs.String())
	}
	for _, want := range []string{"<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", "<resource-constraint", "xml:lang='ja'", "steps went as told"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not tell %q:\n%s", want, out.String())
		}
	}
}

func TestDoctorChecksTheComponentsSecret(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{Secret: "right", WithoutGate: true})
	for _, tt := range []struct {
		name, component, secret, want string
	}{
		{"right secret", server.ComponentJID(), "right", "OK    link " + server.ComponentJID() + ": " + server.Component + " takes the component"},
		{"wrong secret", server.ComponentJID(), "wrong", "refuses the secret of the component " + server.ComponentJID() + ": it has to be the component_secret"},
		{"unknown component", "elsewhere.localhost", "right", "FAIL  link elsewhere.localhost: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var out, errs bytes.Buffer
			run(ctx, []string{
				"doctor", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--xmpp-addr", server.Component, "--xmpp-component", tt.component, "--xmpp-secret", tt.secret,
			}, &out, &errs)
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("doctor does not say %q:\n%s%s", tt.want, out.String(), errs.String())
			}
		})
	}
}

// needServers skips, or fails when CI is set, if the demo cannot run here.
func needServers(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("prosody")
	if err == nil {
		err = pg.Check(t.TempDir())
	}
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
