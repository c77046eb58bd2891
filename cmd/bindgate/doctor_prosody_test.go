package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Doctor speaks of a Prosody's configuration only if that has our component, and of nothing that is there.
func TestDoctorReadsProsodysConfiguration(t *testing.T) {
	t.Parallel()
	const (
		good = `-- Component "gate.example.com"
network_settings = { nagle = false }
modules_enabled = { "roster", "bindgate" }
VirtualHost "example.org"
Include "conf.d/*.cfg.lua"
`
		component = `Component "bindgate.example.org"
	component_conflict_resolve = "kick_old"
`
		has = "/prosody.cfg.lua, which has the component "
	)
	for _, tt := range []struct {
		name, main, included, component, addr, want string
	}{
		{"all is there", good, component, "bindgate.example.org", "127.0.0.1:5347", "OK    prosody: DIR" + has + "bindgate.example.org, has what bindgate asks for\n"},
		{"it is another server's", good, "", "bindgate.example.org", "127.0.0.1:5347", ""},
		{"the component is commented out", good, component, "gate.example.com", "127.0.0.1:5347", ""},
		{"the link goes elsewhere", good, component, "bindgate.example.org", "192.0.2.1:5347", ""},
		{"there is none", "", component, "bindgate.example.org", "127.0.0.1:5347", ""},
		{
			"a component with another name", good, "Component(\"gate.example.org\")\ncomponent_conflict_resolve = 'kick_old'\n", "gate.example.org", "localhost:5347",
			"WARN  prosody: DIR" + has + "gate.example.org: no bindgate_component = \"gate.example.org\": the hosts ask another component\n",
		},
		{
			"a component and no more", "Include \"conf.d/*.cfg.lua\"\n-- nagle = false\n", "Component \"bindgate.example.org\"\n", "bindgate.example.org", "[::1]:5347",
			"WARN  prosody: DIR" + has + "bindgate.example.org: the module \"bindgate\" is not in modules_enabled: no host asks\n" +
				"WARN  prosody: DIR" + has + "bindgate.example.org: no component_conflict_resolve = \"kick_old\": after a broken connection the next one is refused until Prosody notices\n" +
				"WARN  prosody: DIR" + has + "bindgate.example.org: no network_settings = { nagle = false }: each login takes about 40 ms longer\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(name, text string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.main != "" {
				write("prosody.cfg.lua", tt.main)
			}
			write("conf.d/gate.cfg.lua", tt.included)
			var out bytes.Buffer
			r := &report{out: &out}
			r.prosody(&config{Links: []linkConfig{{Addr: tt.addr, Component: tt.component}}}, filepath.Join(dir, "prosody.cfg.lua"))
			if got := string(bytes.ReplaceAll(out.Bytes(), []byte(dir), []byte("DIR"))); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
