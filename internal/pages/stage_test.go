package pages

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// patience is how long a test waits for what must come. It is no measure of speed.
const patience = time.Minute

// workDir holds what is built; TestMain makes and removes it.
var workDir string

// program is bindgate as users run it, built once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workDir, "bindgate")
	out, err := exec.Command("go", "build", "-o", path, "github.com/bindgate/bindgate/cmd/bindgate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if workDir, err = os.MkdirTemp("", "bindgate-pages-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := browser.Main(m)
	_ = os.RemoveAll(workDir)
	os.Exit(code)
}

// stage is one bindgate process with its Prosody.
type stage struct {
	t      testing.TB
	server *prosody.Server
	pool   *pgxpool.Pool
	url    string // of bindgate
	api    *client.Client
	flags  []string // that commands on the same database take
	stop   func()   // kills the process

	mu    sync.Mutex
	users map[string]bool // who can log in
}

const jwtSecret = "0123456789abcdef0123456789abcdef"

// newStage starts both, and waits until they know each other. They end with the test.
func newStage(t testing.TB, domains ...string) *stage {
	t.Helper()
	s := &stage{t: t, server: prosody.ForTest(t, prosody.Config{Domains: domains, LogLevel: "warn"})}
	database := pgtest.URL(t)
	var err error
	if s.pool, err = pgxpool.New(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	s.flags = []string{"--database-url", database}
	s.serve("127.0.0.1:0")
	token, err := api.Mint(api.Secret(jwtSecret), api.Claims{Subject: "backend", Scopes: []string{api.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	if s.api, err = client.New(s.url, client.StaticToken(token), client.Config{}); err != nil {
		t.Fatal(err)
	}
	s.until("the link is up and compared", func() string {
		links, err := client.Collect(s.api.ListLinks(t.Context()))
		if err != nil {
			return err.Error()
		}
		compared := 0
		for _, l := range links {
			for _, d := range l.Domains {
				if l.State == client.LinkUp && !d.LastSnapshotAt.IsZero() {
					compared++
				}
			}
		}
		if compared < max(1, len(domains)) {
			return fmt.Sprintf("%+v", links)
		}
		return ""
	})
	return s
}

// serve starts the process at an address and waits until it answers there.
func (s *stage) serve(address string) {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	dir := s.t.TempDir()
	secret := filepath.Join(dir, "jwt")
	if err := os.WriteFile(secret, []byte(jwtSecret), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, append(s.flags, "serve", "--listen", address, "--data-dir", filepath.Join(dir, "data"), "--jwt-secret-file", secret,
		"--allow-private-targets", "--xmpp-addr", s.server.Component, "--xmpp-component", s.server.ComponentJID())...)
	cmd.Env = append(os.Environ(), "BINDGATE_XMPP_SECRET="+s.server.Secret())
	log := &buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-exited
	}
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("bindgate's log:\n%s", log)
		}
		if strings.Contains(log.String(), "level=ERROR") {
			s.t.Errorf("bindgate has logged an error:\n%s", log)
		}
	})
	serving := regexp.MustCompile(`msg=serving url=(\S+)`)
	s.until("bindgate serves", func() string {
		select {
		case <-exited:
			s.t.Fatalf("bindgate ended at once:\n%s", log)
		default:
		}
		m := serving.FindStringSubmatch(log.String())
		if m == nil {
			return "its log: " + log.String()
		}
		s.url = m[1]
		return ""
	})
}

// buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var _ io.Writer = (*buffer)(nil)

// until waits for a condition; what it returns, if not empty, says what is missing.
func (s *stage) until(what string, missing func() string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s: %s", patience, what, m)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *stage) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// jid is the address of an account of the first domain.
func (s *stage) jid(user string) string { return user + "@" + s.server.Domain() }

// dial opens a stream for a user, "name" of the first domain or "name@domain", that has not bound.
func (s *stage) dial(user string, o xmppclient.Options) (*xmppclient.Client, error) {
	name, domain, ok := strings.Cut(user, "@")
	if !ok {
		domain = s.server.Domain()
	}
	o.User, o.Domain, o.Addr, o.Transport = name, domain, s.server.C2S, xmppclient.TCP
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, err := xmppclient.Dial(ctx, o)
	if err == nil {
		s.t.Cleanup(c.Cut)
	}
	return c, err
}

// device logs a device in.
func (s *stage) device(user, resource string, o xmppclient.Options) *xmppclient.Client {
	s.t.Helper()
	c, err := s.dial(user, o)
	if err == nil {
		_, err = c.Bind(s.ctx(), resource)
	}
	if err != nil {
		s.t.Fatalf("%s/%s logs in: %v", user, resource, err)
	}
	return c
}

// sentAway waits until a client's stream has ended with <conflict/>.
func (s *stage) sentAway(c *xmppclient.Client) *xmppclient.StreamError {
	s.t.Helper()
	e, err := c.WaitClosed(s.ctx())
	if err != nil || e == nil || e.Condition != "conflict" {
		s.t.Fatalf("%s: %v, %+v; want a stream error <conflict/>", c.JID(), err, e)
	}
	return e
}

// exec changes the record.
func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// lives proves that a client's stream works: the server answers it.
func (s *stage) lives(c *xmppclient.Client) {
	s.t.Helper()
	if _, err := c.IQ(s.ctx(), s.server.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
		s.t.Errorf("%s was to stay: %v, %v", c.JID(), err, c.StreamError())
	}
}

// refused reports whether an error is a stanza error, and which.
func refused(err error) (*xmppclient.StanzaError, bool) {
	return errors.AsType[*xmppclient.StanzaError](err)
}

// open is a page of nobody who has logged in.
func (s *stage) open(t testing.TB, v browser.Visitor) *browser.Page {
	t.Helper()
	return browser.Open(t, s.url, v)
}

// login is a page of a user with a role, who has just logged in.
func (s *stage) login(t testing.TB, role string, v browser.Visitor) *browser.Page {
	t.Helper()
	p := s.open(t, v)
	s.enter(p, role)
	return p
}

// password is that of everybody who logs in here.
const password = "correct horse battery staple"

// enter logs in by the form, as the user whose name is the role's.
func (s *stage) enter(p *browser.Page, role string) {
	s.t.Helper()
	s.user(role)
	p.Go("/dashboard/login")
	p.Type(`input[name=username]`, role)
	p.Type(`input[name=password]`, password)
	if status := p.Follow(`form[action="/dashboard/login"] button`); status != 200 {
		s.t.Fatalf("login as %s: %d", role, status)
	}
}

// user lets the user of a role's name log in. The admin is there already: serve has made it.
func (s *stage) user(role string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[role] {
		return
	}
	if role == "admin" {
		s.command("user", "passwd", role)
	} else {
		s.command("user", "add", role, "--role", role)
	}
	if s.users == nil {
		s.users = map[string]bool{}
	}
	s.users[role] = true
}

// command runs one of bindgate's commands on the stage's database; the password is on its standard input.
func (s *stage) command(args ...string) {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, s.flags...)...)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("bindgate %v: %v: %s", args, err, out)
	}
}

// at is the path of a page about something. Names and values alternate.
func at(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	return "/dashboard" + path + "?" + q.Encode()
}
