package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// process is a bindgate serve of its own.
type process struct {
	t     *testing.T
	url   string
	key   string // file with the token secret
	token string
	cmd   *exec.Cmd
	log   *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startServe runs bindgate serve on a free port, with one link to server, and waits until it takes requests.
func startServe(t *testing.T, server *prosody.Server, secretWord string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	key := secret("0123456789abcdef0123456789abcdef0123456789abcdef")
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := &process{t: t, url: "http://" + addr, key: keyFile, log: &safeBuffer{}}
	if p.token, err = (&config{}).mint(key, api.Claims{Scopes: []string{api.ScopeAdmin}}); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(t.Context(), "bindgate", append([]string{
		"serve", "--listen", addr, "--jwt-secret-file", keyFile, "--data-dir", filepath.Join(dir, "data"),
		"--xmpp-addr", server.Component, "--xmpp-component", server.ComponentJID(),
	}, args...)...)
	p.cmd.Env = append(os.Environ(), "BINDGATE_XMPP_SECRET="+secretWord)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = 20 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's context has ended by now
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", p.url, p.log)
		}
	})
	p.within(20*time.Second, "answers /readyz", func() bool {
		res, err := http.Get(p.url + "/readyz") //nolint:noctx // bounded by the loop
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

func (p *process) within(d time.Duration, what string, so func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), d)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: not within %s: %s", p.url, d, what)
		case <-tick.C:
		}
	}
}

// read gets an answer; false if it cannot be had now.
func (p *process) read(path string, into any) bool {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return err == nil && res.StatusCode == http.StatusOK && json.Unmarshal(b, into) == nil
}

type linkList struct {
	Items []struct {
		State     string  `json:"state"`
		Mine      bool    `json:"mine"`
		LastError *string `json:"last_error"`
		Domains   []struct {
			Domain string `json:"domain"`
		} `json:"domains"`
	} `json:"items"`
}

// linked reports whether this process owns the link and has heard the server's hello.
func (p *process) linked() bool {
	var l linkList
	return p.read("/v1/links", &l) && len(l.Items) == 1 && l.Items[0].State == "up" && l.Items[0].Mine && len(l.Items[0].Domains) == 1
}

// resources are the account's sessions, with their state if they are not active.
func (p *process) resources(account string) []string {
	var list struct {
		Items []struct {
			Resource string `json:"resource"`
			State    string `json:"state"`
		} `json:"items"`
	}
	if !p.read("/v1/accounts/"+account+"/sessions", &list) {
		return []string{"unknown"}
	}
	var names []string
	for _, s := range list.Items {
		if s.State != "active" {
			s.Resource += " " + s.State
		}
		names = append(names, s.Resource)
	}
	slices.Sort(names)
	return names
}

func login(t *testing.T, server *prosody.Server, user, resource string) *xmppclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := xmppclient.Dial(ctx, xmppclient.Options{Addr: server.C2S, Domain: server.Domain(), User: user})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Cut)
	if _, err := c.Bind(ctx, resource); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServeTellsAWrongComponentSecret(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{Secret: "right-secret-word"})
	p := startServe(t, server, "wrong-secret-word", "--database-url", pgtest.Empty(t))
	said := ""
	p.within(15*time.Second, "GET /v1/links says that the secret is refused", func() bool {
		var l linkList
		if p.read("/v1/links", &l) && len(l.Items) == 1 && l.Items[0].LastError != nil {
			said = *l.Items[0].LastError
		}
		return said != ""
	})
	if !strings.Contains(said, "secret") || !strings.Contains(said, server.ComponentJID()) {
		t.Errorf("GET /v1/links says %q; it has to name the secret and the component", said)
	}
	if !strings.Contains(p.log.String(), "refused the secret of component") {
		t.Error("the log does not say that the secret was refused")
	}
	if strings.Contains(p.log.String()+said, "wrong-secret-word") {
		t.Error("the secret is in the log or in the answer")
	}
}

func TestAStandbyTakesOver(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	database := pgtest.Empty(t)
	owner := startServe(t, server, server.Secret(), "--database-url", database)
	owner.within(15*time.Second, "owns the link", owner.linked)
	standby := startServe(t, server, server.Secret(), "--database-url", database)
	login(t, server, "ann", "phone")
	standby.within(10*time.Second, "the standby shows the session", func() bool { return slices.Equal(standby.resources("ann@localhost"), []string{"phone"}) })
	if standby.linked() {
		t.Fatal("both own the link")
	}

	owner.kill()
	standby.within(5*time.Second+testSlack, "the standby owns the link", standby.linked)
	login(t, server, "bob", "phone")
	standby.within(10*time.Second, "the new owner has both sessions", func() bool {
		return slices.Equal(standby.resources("ann@localhost"), []string{"phone"}) && slices.Equal(standby.resources("bob@localhost"), []string{"phone"})
	})
}

func TestDoctorLeavesARunningLinkAlone(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	database := pgtest.Empty(t)
	p := startServe(t, server, server.Secret(), "--database-url", database)
	p.within(15*time.Second, "owns the link", p.linked)
	doctor := func(listen string) string {
		var out, errs bytes.Buffer
		run(t.Context(), []string{
			"doctor", "--database-url", database, "--listen", listen, "--jwt-secret-file", p.key, "--data-dir", t.TempDir(),
			"--xmpp-addr", server.Component, "--xmpp-component", server.ComponentJID(), "--xmpp-secret", server.Secret(),
		}, &out, &errs)
		return out.String() + errs.String()
	}
	link := "OK    link " + server.ComponentJID() + ": "
	if said := doctor(strings.TrimPrefix(p.url, "http://")); !strings.Contains(said, link+"up, localhost on Prosody") {
		t.Errorf("doctor on the same address says:\n%s", said)
	}
	if said := doctor("127.0.0.1:0"); !strings.Contains(said, link+"connected by the bindgate ") {
		t.Errorf("doctor on another address says:\n%s", said)
	}
	if n := strings.Count(p.log.String(), "link is up"); n != 1 {
		t.Errorf("the link came up %d times; doctor must not touch it", n)
	}
}

// A module that does not wait long enough for probes is told of: in the log, in the link's status, and by doctor.
func TestDoctorTellsAHastyModule(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{Timeout: 300 * time.Millisecond})
	p := startServe(t, server, server.Secret(), "--database-url", pgtest.Empty(t))
	said := func() string {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"doctor", "--listen", strings.TrimPrefix(p.url, "http://"), "--jwt-secret-file", p.key, "--data-dir", t.TempDir()}, &out, &errs)
		return out.String()
	}
	want := "FAIL  link " + server.ComponentJID() + ": localhost: its bindgate_timeout is 0.3 s"
	p.within(15*time.Second, "doctor says so", func() bool { return strings.Contains(said(), want) })
	if !strings.Contains(p.log.String(), "a module cannot do all that it should") {
		t.Error("the log does not say so")
	}
}

// testSlack is for a machine that runs other tests too.
const testSlack = 3 * time.Second

func TestAKilledServeComesBackToTheTruth(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{})
	database := pgtest.Empty(t)
	p := startServe(t, server, server.Secret(), "--database-url", database)
	p.within(15*time.Second, "owns the link", p.linked)
	gone := login(t, server, "ann", "gone")
	login(t, server, "ann", "stays")
	p.within(10*time.Second, "both sessions are recorded", func() bool { return slices.Equal(p.resources("ann@localhost"), []string{"gone", "stays"}) })

	p.kill()
	gone.Close()
	login(t, server, "ann", "new") // by the failure policy
	again := startServe(t, server, server.Secret(), "--database-url", database)
	again.within(10*time.Second+testSlack, "the record is what the server has", func() bool {
		return slices.Equal(again.resources("ann@localhost"), []string{"new", "stays"})
	})
}
