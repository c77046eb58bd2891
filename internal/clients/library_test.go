package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/clients/mellium"
)

// library is a client that others wrote, and what it does by itself.
type library struct {
	name string
	// start runs its program with these arguments.
	start func(t *testing.T, args []string) *Report
	// names: it can ask for the resource; speaks: it tells the server its language.
	names, speaks bool
	// ended is what it lets an application read of a stream error with <ended/>, of condition, text, lang and code; empty: nothing, it is an error to it.
	ended string
	// why: it lets an application read <denied/>.
	why bool
	// after tells what it does by itself after a conflict, another stream error, a clean close and a denied bind.
	after after
}

type after struct{ conflict, failure, clean, denial reaction }

// reaction is what a library does by itself.
type reaction string

const (
	stops   reaction = "stops"   // the stream ends, and it does not come back
	returns reaction = "returns" // it signs in again
	waits   reaction = "waits"   // it leaves the stream open, and does nothing more
)

var libraries = []library{
	{name: "slixmpp", start: python("slixmpp"), names: true, speaks: true, ended: "condition text lang code", why: true, after: after{stops, stops, stops, waits}},
	{name: "aioxmpp", start: python("aioxmpp"), names: true, ended: "condition text code", why: true, after: after{stops, returns, returns, stops}},
	{name: "Smack", start: smack, names: true, speaks: true, ended: "condition text lang code", why: true, after: after{stops, returns, stops, waits}},
	{name: "xmpp.js", start: xmppjs, names: true, speaks: true, ended: "condition text lang code", why: true, after: after{returns, returns, returns, waits}},
	{name: "Strophe.js-websocket", start: strophe(2), names: true, ended: "condition", why: true, after: after{stops, stops, stops, waits}},
	{name: "Strophe.js-BOSH", start: strophe(3), names: true, ended: "condition text lang code", why: true, after: after{stops, stops, stops, waits}},
	{name: "mellium", start: inProcess, speaks: true, ended: "", after: after{stops, stops, stops, waits}},
}

func python(module string) func(*testing.T, []string) *Report {
	return func(t *testing.T, args []string) *Report {
		NeedsPython(t, module)
		return Run(t, exec.Command(Python, append([]string{module + "/client.py"}, args...)...))
	}
}

func smack(t *testing.T, args []string) *Report {
	java := needsCommand(t, "java")
	needsCommand(t, "javac") // java compiles a source file by it
	jars := filepath.Join(needsCache(t, "maven", mavenProject), "*")
	return Run(t, exec.Command(java, append([]string{"-XX:TieredStopAtLevel=1", "-cp", jars, "smack/Client.java"}, args...)...))
}

// xmppjs runs a copy beside the packages: Node looks for a module's packages beside its file.
func xmppjs(t *testing.T, args []string) *Report {
	node, dir := needsNode(t), t.TempDir()
	if err := os.Symlink(filepath.Join(needsCache(t, "npm", npmLock), "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("xmppjs/client.mjs")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "client.mjs")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return Run(t, exec.Command(node, append([]string{path}, args...)...))
}

// strophe runs in a page of a real browser, on the transport whose URL is that argument.
func strophe(url int) func(*testing.T, []string) *Report {
	return func(t *testing.T, args []string) *Report {
		script := filepath.Join(needsCache(t, "npm", npmLock), "node_modules/strophe.js/dist/strophe.esm.js")
		config, err := json.Marshal(map[string]any{"service": args[url], "domain": args[4], "logins": args[5:]})
		if err != nil {
			t.Fatal(err)
		}
		r := NewReport(t)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /strophe.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, script) })
		mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "strophe/client.js") })
		mux.HandleFunc("POST /said", func(_ http.ResponseWriter, q *http.Request) { _, _ = io.Copy(r, q.Body) })
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><script id="config" type="application/json">%s</script><script type="importmap">{"imports":{"strophe.js":"/strophe.js"}}</script><script type="module" src="/client.js"></script>`, config)
		})
		srv := httptest.NewServer(mux)
		t.Cleanup(srv.Close)
		browser.Open(t, srv.URL, browser.Visitor{}).Go("/")
		return r
	}
}

func inProcess(t *testing.T, args []string) *Report {
	r := NewReport(t)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mellium.Run(ctx, args, r) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}
