package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/internal/prosody"
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
		{"with it", `admins = { "bindgate.localhost" }`, []string{"OK    link main: the server lets the component", "cannot conflict: Prosody ends the stream without any stream error"}},
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
