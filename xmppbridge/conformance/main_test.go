// Package conformance holds the gate modules to PROTOCOL.md: what is tested here is tested on every server that has one. A test plays bindgate, over a
// raw component stream. What only one server can show is in files named for it.
package conformance

import (
	"flag"
	"os"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6") // the tests wait more than they work
	}
	code := m.Run()
	servers.Close()
	os.Exit(code)
}
