package servers

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/ejabberd"
)

// ejabberds are the installed ejabberd and the newer one that deploy/setup.sh --tests unpacks beside it. An ejabberd takes seconds to start: tests that do not
// end it share one, each with a virtual host and a component of its own.
var ejabberds = []*Kind{ejabberdOf("ejabberd", ""), ejabberdOf("ejabberd-24.12", ejabberd.Backport)}

// EachEjabberd is EachVersion for tests of ejabberd's module alone.
func EachEjabberd(t *testing.T, test func(t *testing.T, on *Kind)) { each(t, ejabberds, every, test) }

// Ejabberd is a kind of its own: on, an ejabberd, set up as a test of ejabberd alone needs it. Where it is started, server is set.
func Ejabberd(on *Kind, cfg ejabberd.Config, server **ejabberd.Server) *Kind {
	cfg.Root = on.root
	return &Kind{Name: on.Name, Software: "ejabberd", start: func(k *Kind, t testing.TB, _ Options) Server {
		*server = ejabberd.ForTest(t, cfg)
		return &onEjabberd{t: t, Server: *server, kind: k, domain: (*server).Domain(), own: true}
	}}
}

// EjabberdHost is a virtual host, that a test has added itself, of a server of its own.
func EjabberdHost(t testing.TB, server *ejabberd.Server, domain string) Server {
	return &onEjabberd{t: t, Server: server, kind: ejabberds[0], domain: domain, own: true}
}

// ejabberdOf is the ejabberd whose packages are under root.
func ejabberdOf(name, root string) *Kind {
	s, stock := &sharedEjabberd{root: root}, &sharedEjabberd{root: root}
	shared := func(o Options) *sharedEjabberd {
		if root != "" && o.Stock { // what mod_privilege does there, it does to every host
			return stock
		}
		return s
	}
	k := &Kind{
		Name: name, Software: "ejabberd", newer: root != "", root: root, close: func() { s.close(); stock.close() },
		start: func(k *Kind, t testing.TB, o Options) Server { return shared(o).start(k, t, o) },
		cannot: map[string]string{
			BOSHLanguage: "ejabberd's BOSH drops the stream's xml:lang; a client has to name it on its bind request",
			BOSHOrder:    "ejabberd keeps such a request until then (its bug); clients that send one request at a time do not meet it",
			DeepStanzas:  "any user can end an ejabberd, with the module or without, by one: a stack overflow in its XML library. A small max_stanza_size helps",
			HTTPSecurity: "ejabberd does not tell a stream's process whether HTTP carries it over TLS",
			PreparedName: "ejabberd says it as the client wrote it",
			LongLanguage: "ejabberd refuses it",
		},
	}
	if root == "" {
		k.cannot[SASL2] = "it came with 24.02"
	}
	return k
}

type sharedEjabberd struct {
	root   string
	mu     sync.Mutex
	server *ejabberd.Server
	err    error
	hosts  int
}

func (s *sharedEjabberd) get() (*ejabberd.Server, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		s.server, s.err = ejabberd.Start(context.Background(), ejabberd.Config{Root: s.root, SASL2: s.root != "", LogLevel: "info"})
	}
	s.hosts++
	return s.server, s.hosts, s.err
}

func (s *sharedEjabberd) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.Stop()
	}
}

func (s *sharedEjabberd) start(k *Kind, t testing.TB, o Options) Server {
	t.Helper()
	host := ejabberd.Host{Domain: o.Domain, Gate: !o.Stock, Timeout: o.Timeout, OnFailure: o.OnFailure, Late: o.Late}
	if o.QuickBOSH {
		host.BOSHInactivity = time.Second
	}
	if o.Stock && !o.Blind {
		host.Modules = ejabberd.SeePresence
	}
	if o.Administered {
		host.Modules += "\n" + ejabberd.Administer
	}
	twin := host
	if o.Own || o.Domain != "" || o.Unbound > 0 {
		host.Domain = cmp.Or(o.Domain, "localhost")
		cfg := ejabberd.Config{Root: s.root, Hosts: []ejabberd.Host{host}, LogLevel: "info"}
		if o.Unbound > 0 {
			cfg.Lines = fmt.Sprintf("negotiation_timeout: %q\n", fmt.Sprint(o.Unbound.Milliseconds(), " ms"))
		}
		return &onEjabberd{t: t, Server: ejabberd.ForTest(t, cfg), kind: k, domain: host.Domain, own: true}
	}
	server, n, err := s.get()
	if err != nil {
		missing(t, err, ejabberd.ErrMissing, "an ejabberd")
	}
	host.Domain = fmt.Sprintf("h%d.localhost", n)
	if err := server.AddHost(t.Context(), host); err != nil {
		t.Fatalf("add a host: %v\n%s", err, server.Log())
	}
	if o.Twin {
		twin.Gate = !o.TwinBare
		twin.Domain, twin.Component = "other."+host.Domain, "bindgate."+host.Domain
		if err := server.AddHost(t.Context(), twin); err != nil {
			t.Fatalf("add a host: %v\n%s", err, server.Log())
		}
	}
	return &onEjabberd{t: t, Server: server, kind: k, domain: host.Domain}
}

// APIURL is where an ejabberd's HTTP API is, which takes every command from this machine.
func APIURL(s Server) string { return "http://" + s.(*onEjabberd).HTTP + "/api" }

type onEjabberd struct {
	*ejabberd.Server
	t       testing.TB
	kind    *Kind
	domain  string
	own     bool
	release func() // Load lets others change the configuration again
}

func (s *onEjabberd) Domain() string       { return s.domain }
func (s *onEjabberd) ComponentJID() string { return "bindgate." + s.domain }

func (s *onEjabberd) Kind() *Kind  { return s.kind }
func (s *onEjabberd) Twin() string { return "other." + s.domain }

func (s *onEjabberd) End(ctx context.Context, user string) error {
	_, err := s.Call(ctx, "kick_user", fmt.Sprintf(`{"user":%q,"host":%q}`, user, s.domain))
	return err
}

// Log is what the server says of this host, where others share it.
func (s *onEjabberd) Log() string {
	if s.own {
		return s.Server.Log()
	}
	return s.LogOf(s.domain)
}

// Errors are those of all hosts, for most do not name theirs, but for what tests of hellos provoke beside.
func (s *onEjabberd) Errors() string {
	var errs strings.Builder
	for line := range strings.Lines(s.LogOf("[error]") + s.LogOf("[critical]")) {
		if !strings.Contains(line, "no agreement with bindgate on the hello of") {
			errs.WriteString(line)
		}
	}
	return errs.String()
}

func (s *onEjabberd) eval(ctx context.Context, erlang string) error {
	_, err := s.Eval(ctx, erlang)
	return err
}

func (s *onEjabberd) Unload(ctx context.Context) error {
	s.release = s.KeepConfig()
	s.t.Cleanup(s.release)
	return s.eval(ctx, fmt.Sprintf(`ok = gen_mod:stop_module(<<%q>>, mod_bindgate)`, s.domain))
}

func (s *onEjabberd) Load(ctx context.Context) error {
	defer s.release()
	return s.eval(ctx, fmt.Sprintf(`gen_mod:start_module(<<%q>>, mod_bindgate)`, s.domain))
}

// Reload is what an upgrade by ejabberdctl does to each host.
func (s *onEjabberd) Reload(ctx context.Context) error {
	defer s.KeepConfig()()
	return s.eval(ctx, fmt.Sprintf(`ok = gen_mod:stop_module(<<%q>>, mod_bindgate), gen_mod:start_module(<<%q>>, mod_bindgate)`, s.domain, s.domain))
}

func (s *onEjabberd) Held(ctx context.Context) (string, error) {
	return s.Eval(ctx, fmt.Sprintf("mod_bindgate_late:held(<<%q>>)", s.domain))
}

func (s *onEjabberd) Go(ctx context.Context) error {
	return s.eval(ctx, fmt.Sprintf("mod_bindgate_late:go(<<%q>>)", s.domain))
}

func (s *onEjabberd) Sessions(ctx context.Context) ([]Session, error) {
	text, err := s.Eval(ctx, fmt.Sprintf("mod_bindgate_kit:sessions(<<%q>>)", s.domain))
	if err != nil {
		return nil, err
	}
	return lines(text)
}

func (s *onEjabberd) modeFile() string {
	return filepath.Join(s.Dir(), "spool", "bindgate-"+s.domain+".mode")
}

func (s *onEjabberd) Mode() (string, error) {
	text, err := os.ReadFile(s.modeFile())
	if os.IsNotExist(err) {
		return "enforce", nil
	}
	return strings.TrimSpace(string(text)), err
}

func (s *onEjabberd) SetMode(mode string) error {
	if _, err := os.Stat(s.modeFile()); err != nil {
		return err
	}
	return os.WriteFile(s.modeFile(), []byte(mode+"\n"), 0o644)
}

func (s *onEjabberd) mine() {
	if !s.own {
		panic("a test that ends its ejabberd needs Options.Own")
	}
}

func (s *onEjabberd) Kill() {
	s.mine()
	s.Server.Kill()
}

func (s *onEjabberd) Restart(ctx context.Context) error {
	s.mine()
	return s.Server.Restart(ctx)
}

func (s *onEjabberd) Signal(sig syscall.Signal) error {
	s.mine()
	return s.Server.Signal(sig)
}
