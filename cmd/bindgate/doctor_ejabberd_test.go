package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Doctor speaks of an ejabberd's configuration only if that has our component, and of nothing that is there.
func TestDoctorReadsEjabberdsConfiguration(t *testing.T) {
	t.Parallel()
	const good = `hosts: [example.org, example.net]
listen:
  - {port: 5222, module: ejabberd_c2s, backlog: 1000}
  - port: 5347
    module: ejabberd_service
    hosts:
      "bindgate.example.org": {password: "secret"}
shaper_rules: {max_user_sessions: infinity}
modules:
  mod_bindgate: {component: bindgate.example.org}
`
	with := func(old, text string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, text, 1)
	}
	for _, tt := range []struct {
		name, text, addr string
		want             []string // in the lines, in order
	}{
		{"all is there", good, "127.0.0.1:5347", []string{"OK    ejabberd: DIR/ejabberd.yml, which has the component bindgate.example.org, has what bindgate asks for"}},
		{"it is another server's", with("bindgate.example.org\":", "other.example.org\":"), "127.0.0.1:5347", nil},
		{"the link goes elsewhere", good, "192.0.2.1:5347", nil},
		{"there is none", "", "127.0.0.1:5347", nil},
		{"no YAML", "hosts: [", "127.0.0.1:5347", nil},
		{"another port", good, "127.0.0.1:5348", []string{"its listener is on port 5347"}},
		{"another password", with(`"secret"`, "12345"), "127.0.0.1:5347", []string{"another than the link's secret"}},
		{"no module", with("mod_bindgate", "mod_ping"), "127.0.0.1:5347", []string{"no host has mod_bindgate"}},
		{
			"one host of two", with("modules:", "append_host_config: {example.org: {modules: {mod_bindgate: {}}}}\nmodules:\n  mod_ping: {}\nignored:"), "127.0.0.1:5347",
			[]string{"example.net has no mod_bindgate, but example.org has"},
		},
		{
			"a host with modules of its own", with("modules:", "host_config:\n  example.net: {modules: {mod_ping: {}}}\nmodules:"), "127.0.0.1:5347",
			[]string{"example.net has no mod_bindgate, but example.org has"},
		},
		{"everything else", with("shaper_rules: {max_user_sessions: infinity}", "resource_conflict: closenew\nshaper_rules: {max_user_sessions: 10}\n") + "\n", "127.0.0.1:5347", []string{"resource_conflict: closenew", "max_user_sessions"}},
		{"as Debian has it", with(", backlog: 1000", ""), "127.0.0.1:5347", []string{"set backlog: 1000"}},
		{
			"two listeners", with("shaper_rules", "  - {port: 5348, module: ejabberd_service, hosts: {bindgate.example.org: {password: secret}}}\nshaper_rules"), "127.0.0.1:5347",
			[]string{"2 listeners name it"},
		},
		{"another component", with("{component: bindgate.example.org}", "{component: gate.example.org}"), "127.0.0.1:5347", []string{"no host has mod_bindgate with component: bindgate.example.org"}},
		{"included files", good + "include_config_file: other.yml\n", "127.0.0.1:5347", []string{"includes other files"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ejabberd.yml")
			if tt.text != "" {
				if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			r := &report{out: &out}
			r.ejabberd(&config{Links: []linkConfig{{Name: "main", Addr: tt.addr, Component: "bindgate.example.org", Secret: "secret", Driver: "gate"}}}, file)
			got := strings.Split(strings.TrimSuffix(strings.ReplaceAll(out.String(), filepath.Dir(file), "DIR"), "\n"), "\n")
			if out.Len() == 0 {
				got = nil
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("got %q, want %q in it", got[i], tt.want[i])
				}
			}
		})
	}
}
