package xmppbridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/bindgate/bindgate/gate"
)

// Gate decides. All methods but Problem are called from one goroutine, in the order of the stream, and must return at once.
type Gate interface {
	// Connected says that the component stream is authenticated. The link is usable until Disconnected; a hello follows for each domain.
	Connected(link string, l gate.Link)
	// Disconnected says why a connection ended, and after each failed attempt why there is none.
	Disconnected(link string, reason error)
	// Hello is called before the hello is answered. A peer with another major version is refused; its Version says so.
	Hello(h gate.Hello)
	// Ask has to call answer once, at once or from another goroutine. What is said after the deadline is not sent.
	Ask(a gate.Ask, answer func(gate.Answer))
	Event(e gate.Event)
	// Problem is a plain sentence for the operator about a domain that should have said hello. The domain's next Hello ends it. It may be called
	// from any goroutine, but not while Hello is.
	Problem(link, domain, text string)
}

// Secret prints as [redacted].
type Secret string

func (Secret) String() string { return "[redacted]" }

// GoString is for %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue is for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText is for encoders. It returns no error.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// The drivers. DriverGate speaks the gate protocol with a module in the server; the others make do with a server that has none (package stock).
const (
	DriverGate     = "gate"
	DriverEjabberd = "ejabberd"
	DriverAdmin    = "admin"
)

// Config of one link.
type Config struct {
	Name      string // of the link
	Addr      string // host:port of the server's component port
	Component string // the component's domain
	Secret    Secret
	Driver    string      // empty: DriverGate
	Domains   []string    // the only virtual hosts to listen to, asked for their hello; empty: whichever says hello
	Except    []string    // hosts that are not to be listened to without Domains: other links have them
	Known     []string    // hosts known from before, asked for their hello too
	TLS       *tls.Config // nil: plain TCP
	Version   string      // of bindgate
	Record    string      // names bindgate's database to the modules, which tell of another bindgate on the same component; empty: not told
	Owner     Owner       // answers the owners of accounts; nil: nobody does
	Logger    *slog.Logger

	dial func(context.Context) (net.Conn, error)
}

// Validate says what is wrong with the configuration and what would be right.
func (c Config) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("link: name is empty")
	case !slices.Contains([]string{"", DriverGate, DriverEjabberd, DriverAdmin}, c.Driver):
		return fmt.Errorf("link %s: driver %q is unknown; it is %s, %s or %s", c.Name, c.Driver, DriverGate, DriverEjabberd, DriverAdmin)
	case c.Secret == "":
		return fmt.Errorf("link %s: the component's secret is empty; set the one of the server's component_secret", c.Name)
	case !isDomain(c.Component):
		return fmt.Errorf("link %s: component %q is not a domain such as bindgate.example.org", c.Name, c.Component)
	}
	if _, err := jid.New("", c.Component, ""); err != nil {
		return fmt.Errorf("link %s: component %q is not a domain: %w", c.Name, c.Component, err)
	}
	for _, d := range c.Domains {
		if !isDomain(d) {
			return fmt.Errorf("link %s: domain %q is not a domain such as example.org", c.Name, d)
		}
	}
	if c.dial == nil {
		if _, _, err := net.SplitHostPort(c.Addr); err != nil {
			return fmt.Errorf("link %s: address %q is not host:port, such as 127.0.0.1:5347", c.Name, c.Addr)
		}
	}
	return nil
}

// Bridge keeps one link to a server up.
type Bridge struct {
	cfg   Config
	gate  Gate
	log   *slog.Logger
	stats counters

	listener Listener // of a server without a module; nil: it has one

	tickets *tickets

	mu    sync.Mutex
	known map[string]bool // hosts to ask for a hello on connect
}

// maxHosts is how many domains one link can serve.
const maxHosts = 1024

// New makes a bridge. Run reports a wrong configuration; Config.Validate tells before.
func New(cfg Config, g Gate) *Bridge {
	b := &Bridge{cfg: cfg, gate: g, tickets: newTickets(), known: make(map[string]bool)}
	b.cfg.Component = strings.ToLower(cfg.Component)
	b.cfg.Domains = nil
	for _, d := range cfg.Domains {
		b.cfg.Domains = append(b.cfg.Domains, strings.ToLower(d))
		b.remember(strings.ToLower(d))
	}
	for _, d := range cfg.Known {
		if b.listens(d) {
			b.remember(d)
		}
	}
	if b.log = cfg.Logger; b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.log = b.log.With("link", cfg.Name)
	return b
}

// listens says whether a host may speak on this link.
func (b *Bridge) listens(domain string) bool {
	if len(b.cfg.Domains) == 0 {
		return domain != b.cfg.Component && !slices.Contains(b.cfg.Except, domain)
	}
	for _, d := range b.cfg.Domains {
		if d == domain {
			return true
		}
	}
	return false
}

func (b *Bridge) remember(domain string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) < maxHosts {
		b.known[domain] = true
	}
}

// Run keeps the link up until ctx ends, which is no error. It returns at once if the configuration is wrong. While it runs, what goes wrong is told to
// the gate, and to the log once per cause.
func (b *Bridge) Run(ctx context.Context) error {
	if err := b.cfg.Validate(); err != nil {
		return err
	}
	down, tries := time.Now(), 0
	for ctx.Err() == nil {
		lived, err := b.life(ctx)
		if ctx.Err() != nil {
			break
		}
		if lived >= steady {
			down, tries = time.Now(), 0
		}
		wait := pause(err, time.Since(down), tries, rand.Float64())
		tries++
		b.report(err, lived > 0, wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil //nolint:nilerr // the end of ctx is no error
}

// report logs why the link is down, once per cause.
func (b *Bridge) report(err error, was bool, wait time.Duration) {
	text := err.Error()
	if b.stats.setError(text) || was {
		b.log.Warn("link is down", "error", text, "retry_in", wait.Round(time.Millisecond))
	}
}

// life is one connection from dial to end. lived is how long it was authenticated.
func (b *Bridge) life(ctx context.Context) (lived time.Duration, err error) {
	c, err := b.open(ctx)
	if err != nil {
		b.stats.failures.Add(1)
		b.gate.Disconnected(b.cfg.Name, err)
		return 0, err
	}
	start := time.Now()
	b.stats.connected(true)
	b.log.Info("link is up", "addr", b.cfg.Addr, "component", b.cfg.Component)
	b.gate.Connected(b.cfg.Name, c)
	err = c.run(ctx)
	b.stats.connected(false)
	b.gate.Disconnected(b.cfg.Name, err)
	return max(time.Since(start), 1), err
}

// steady is how long a connection has to last for the next outage to begin with quick retries again.
const steady = 5 * time.Second

// pause is the time before the next attempt, jittered by random in [0, 1). Quick while a server may be restarting: ≤ 3 s in the first minute of an outage, ≤ 15 s
// later. A refusal will not change by haste, but a standby that takes over a component has to own it within 5 s.
func pause(err error, down time.Duration, tries int, random float64) time.Duration {
	spread := func(least, most time.Duration) time.Duration {
		return least + time.Duration(random*float64(most-least))
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		switch refused.Condition {
		case "conflict":
			return spread(1500*time.Millisecond, 3*time.Second)
		case "not-authorized", "host-unknown":
			if down < time.Minute {
				return spread(2*time.Second, 4*time.Second)
			}
			return spread(10*time.Second, 15*time.Second)
		}
	}
	most := 15 * time.Second
	if down < time.Minute {
		most = 3 * time.Second
	}
	d := min(200*time.Millisecond<<min(tries, 10), most)
	return spread(d/2, d)
}
