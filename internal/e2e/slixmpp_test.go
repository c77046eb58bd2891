package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// python is Debian's, which has Debian's python3-slixmpp, whatever else is in PATH.
const python = "/usr/bin/python3"

// A client that others wrote (slixmpp) sees what bindgate does to it.
func TestSlixmpp(t *testing.T) { servers.Each(t, testSlixmpp) }

func testSlixmpp(t *testing.T, on *servers.Kind) {
	needsSlixmpp(t)
	w := newWorld(t, on, servers.Options{})

	first := w.slixmpp(w.jid("ann")+"/phone", "ja")
	first.wants("bound", "jid", w.jid("ann")+"/phone")
	second := w.slixmpp(w.jid("ann")+"/phone", "en")
	e := first.wants("stream_error", "condition", "conflict", "lang", "ja")
	ended, _ := e["ended"].(map[string]any)
	if e["text"] == "" || ended["code"] != "takeover" || strings.Contains(e["raw"].(string), "127.0.0.1") {
		t.Errorf("the first read %v", e)
	}
	first.wants("disconnected")
	second.wants("bound", "jid", w.jid("ann")+"/phone")
	w.recorded("ann", "phone=active")

	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	third := w.slixmpp(w.jid("ann")+"/tablet", "zh")
	if d := third.wants("denied", "condition", "resource-constraint", "type", "wait"); d["text"] == "" {
		t.Errorf("the third read %v", d)
	}
	w.rule(`{"max_sessions": 1}`)
	fourth := w.slixmpp(w.jid("ann")+"/tablet", "zh")
	fourth.wants("bound")
	second.wants("stream_error", "condition", "conflict", "lang", "en")
	w.recorded("ann", "tablet=active")

	// Mail to the bare address finds the one that is left.
	sender := w.loginWith("bob", "desk", xmppclient.Options{})
	if err := sender.SendMessage(w.jid("ann"), "which device are you on?"); err != nil {
		t.Fatal(err)
	}
	fourth.wants("message", "body", "which device are you on?")
}

func needsSlixmpp(t *testing.T) {
	t.Helper()
	if err := exec.Command(python, "-c", "import slixmpp").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("python3-slixmpp is not installed (Debian: apt-get install python3-slixmpp): %v", err)
		}
		t.Skip("python3-slixmpp is not installed (Debian: apt-get install python3-slixmpp)")
	}
}

// slix is a running slixmpp client.
type slix struct {
	t     *testing.T
	in    io.Writer
	lines chan map[string]any
}

func (w *world) slixmpp(jid, lang string) *slix {
	w.t.Helper()
	return w.runSlixmpp("testdata/slixmpp_client.py", jid, lang)
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
	cmd := exec.Command(python, append([]string{script, host, port}, args...)...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &slix{t: t, in: in, lines: make(chan map[string]any, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			line := map[string]any{}
			if err := json.Unmarshal(in.Bytes(), &line); err != nil {
				line["what"] = "gibberish"
			}
			line["raw"] = in.Text()
			s.lines <- line
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return s
}

// wants waits for what the client says next; pairs are fields and their values.
func (s *slix) wants(what string, pairs ...string) map[string]any {
	s.t.Helper()
	select {
	case line := <-s.lines:
		ok := line["what"] == what
		for i := 0; i < len(pairs); i += 2 {
			ok = ok && line[pairs[i]] == pairs[i+1]
		}
		if !ok {
			s.t.Fatalf("slixmpp said %v, want %s %v", line["raw"], what, pairs)
		}
		return line
	case <-time.After(patience):
		s.t.Fatalf("slixmpp said nothing, want %s %v", what, pairs)
		return nil
	}
}
