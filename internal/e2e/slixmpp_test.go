package e2e

import (
	"io"
	"net"
	"os/exec"
	"testing"

	"github.com/bindgate/bindgate/internal/clients"
)

func needsSlixmpp(t *testing.T) {
	t.Helper()
	clients.NeedsPython(t, "slixmpp")
}

// slix is a running slixmpp client that does what it is told.
type slix struct {
	t     *testing.T
	in    io.Writer
	login *clients.Login
}

// runSlixmpp runs a script on the server's address and with more arguments.
func (w *world) runSlixmpp(script string, args ...string) *slix {
	w.t.Helper()
	t := w.t.(*testing.T)
	addr, _ := w.server.Addresses()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(clients.Python, append([]string{script, host, port}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &slix{t: t, in: in, login: clients.Run(t, cmd).Of("")}
}

// wants waits for what the client says next; pairs are fields and their values. The whole line is the field "raw".
func (s *slix) wants(what string, pairs ...string) map[string]any {
	s.t.Helper()
	e := s.login.Wants(what, pairs...)
	e.Fields["raw"] = e.Line
	return e.Fields
}
