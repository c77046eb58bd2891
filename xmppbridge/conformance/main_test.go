// Package conformance holds the gate modules to PROTOCOL.md: what is tested here is tested on every server that has one. A test plays bindgate, over a
// raw component stream. What only one server can show is in files named for it.
package conformance

import (
	"os"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
)

func TestMain(m *testing.M) {
	code := m.Run()
	servers.Close()
	os.Exit(code)
}
