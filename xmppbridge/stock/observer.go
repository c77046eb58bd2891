package stock

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
)

// Times and bounds of an observer.
const (
	openTimeout = 20 * time.Second // for a driver to find out what the server can
	lookTimeout = 5 * time.Second
	looksAtOnce = 8 // because of what clients do
	quickRetry  = 200 * time.Millisecond
	slowRetry   = 5 * time.Second
)

// Gate decides (package gate).
type Gate interface {
	Connected(link string, l gate.Link)
	Disconnected(link string, reason error)
	Hello(h gate.Hello)
	Event(e gate.Event)
	// Recorded are the link's sessions of a domain that are on record.
	Recorded(ctx context.Context, link, domain string) ([]gate.Listed, error)
}

// Observer keeps the link to one server without a module.
type Observer struct {
	cfg     xmppbridge.Config
	driver  Driver
	gate    Gate
	log     *slog.Logger
	domains []string
	hosts   map[string]*host // does not change
	looks   *looks
	wake    chan struct{} // the state below has changed, or an account is ready to be looked at
	sooner  chan struct{} // the next whole list is wanted
	failing bool          // operators were told that the link does not work, and not yet that it does again; watch's alone

	mu       sync.Mutex
	stream   xmppbridge.Stream // nil: there is none
	streamID int
	cut      context.CancelFunc // ends what goes on over the stream
	granted  map[string]bool    // domains whose presence the server sends (XEP-0356)
}

// New makes an observer. Without domains in its configuration it watches the one that the component is under.
func New(cfg xmppbridge.Config, d Driver, g Gate) *Observer {
	cfg.Domains = Domains(cfg.Component, cfg.Domains)
	o := &Observer{
		cfg: cfg, driver: d, gate: g, log: cfg.Logger, domains: cfg.Domains, hosts: map[string]*host{}, wake: make(chan struct{}, 1), sooner: make(chan struct{}, 1),
		granted: map[string]bool{},
	}
	o.looks = newLooks(o.wake)
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	o.log = o.log.With("link", cfg.Name)
	for _, domain := range o.domains {
		o.hosts[domain] = newHost(gate.Source{Link: cfg.Name, Domain: domain}, g.Event)
	}
	return o
}

// Domains are those that a link without a module watches: the configured ones, else the one that its component is under.
func Domains(component string, configured []string) []string {
	var out []string
	for _, d := range configured {
		out = append(out, strings.ToLower(d))
	}
	if len(out) == 0 {
		_, parent, ok := strings.Cut(strings.ToLower(component), ".")
		if !ok {
			parent = strings.ToLower(component)
		}
		out = []string{parent}
	}
	return out
}

// Run keeps the link up until ctx ends, which is no error. It returns at once if the configuration is wrong.
func (o *Observer) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return xmppbridge.NewStock(o.cfg, o).Run(ctx) })
	group.Go(func() error { o.watch(ctx); return nil })
	return group.Wait()
}

// Opened implements xmppbridge.Listener.
func (o *Observer) Opened(s xmppbridge.Stream) {
	o.mu.Lock()
	o.stream, o.streamID = s, o.streamID+1
	o.mu.Unlock()
	poke(o.wake)
}

// Closed implements xmppbridge.Listener.
func (o *Observer) Closed(reason error) {
	o.mu.Lock()
	o.stream = nil
	clear(o.granted)
	cut := o.cut
	o.mu.Unlock()
	if cut != nil {
		cut()
	}
	o.gate.Disconnected(o.cfg.Name, reason)
}

// Granted implements xmppbridge.Listener.
func (o *Observer) Granted(domain string, perms map[string]string) {
	sees := perms["presence"] == "managed_entity" || perms["presence"] == "roster"
	o.mu.Lock()
	changed := o.granted[domain] != sees
	o.granted[domain] = sees
	o.mu.Unlock()
	if changed {
		o.log.Info("the server says what the component may see", "domain", domain, "presence", sees)
		poke(o.wake)
	}
}

// Presence implements xmppbridge.Listener: something has happened to the account.
func (o *Observer) Presence(domain, user, _, kind string) {
	if (kind == "" || kind == "unavailable") && o.hosts[domain] != nil && !o.looks.want(account{domain, user}) {
		poke(o.sooner)
	}
}

// watch opens the driver whenever there is a stream, and again, ever more slowly, when it fails while the stream is good.
func (o *Observer) watch(ctx context.Context) {
	failed, last := 0, 0
	for ctx.Err() == nil {
		o.mu.Lock()
		stream, id := o.stream, o.streamID
		over, cut := context.WithCancel(ctx)
		o.cut = cut
		o.mu.Unlock()
		if stream == nil {
			select {
			case <-ctx.Done():
			case <-o.wake:
			}
			cut()
			continue
		}
		if id != last {
			failed, last = 0, id
		}
		began := time.Now()
		opening, err := o.serve(over, stream)
		ended := over.Err() != nil // the stream has gone, and its end is told already
		if time.Since(began) > slowRetry {
			failed = 0
		}
		if !ended {
			if failed == 0 || !o.failing {
				o.log.Warn("the component is connected, but the link does not work", "error", err)
				o.failing = true
			}
			o.gate.Disconnected(o.cfg.Name, err)
			wait := min(quickRetry<<min(failed, 10), slowRetry)
			if failed > 0 { // a server that is slow to open is not kept busy by that
				wait = max(wait, min(dutyCycle*opening, mostPoll))
			}
			failed++
			pause(over, wait/2+rand.N(wait/2))
		}
		cut()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// serve is the link's life from when the driver is opened until it fails or ctx ends, with the stream. It returns how much of that the opening was.
func (o *Observer) serve(ctx context.Context, stream xmppbridge.Stream) (opened time.Duration, err error) {
	start := time.Now()
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	server, err := o.driver.Open(opening, stream, o.domains)
	if err != nil {
		return time.Since(start), err
	}
	began := time.Now()
	if err := o.first(opening, server); err != nil {
		return time.Since(start), err
	}
	took := time.Since(began)
	l := &link{o: o, server: server, stream: stream, about: o.ask(opening, stream, server.Name), lost: make(chan error, 1)}
	opened = time.Since(start)
	if !o.connect(l) {
		return opened, xmppbridge.ErrDown
	}
	if o.failing {
		o.failing = false
		o.log.Info("the link works again")
	}
	l.hello()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.poll(ctx, l, began, took) })
	group.Go(func() error { return o.attend(ctx, l) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.lost:
			return err
		}
	})
	return opened, group.Wait()
}

// connect tells the gate of the link, unless its stream has gone meanwhile.
func (o *Observer) connect(l *link) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stream != l.stream {
		return false
	}
	o.gate.Connected(o.cfg.Name, l)
	return true
}

// first lists everything, and remembers once what the sessions were called before.
func (o *Observer) first(ctx context.Context, server *Server) error {
	began := time.Now()
	all, err := o.list(ctx, server)
	if err != nil {
		return err
	}
	for domain, h := range o.hosts {
		if h.lists() > 0 {
			h.takeAll(all[domain], began)
			continue
		}
		recorded, err := o.gate.Recorded(ctx, o.cfg.Name, domain)
		if err != nil {
			return fmt.Errorf("the sessions on record: %w", err)
		}
		h.adopt(all[domain], recorded, time.Now())
	}
	return nil
}

// about is what a server says of itself.
type about struct{ name, version string }

// ask asks the server of the first domain what it is (XEP-0092). One that does not say is called as the driver does.
func (o *Observer) ask(ctx context.Context, stream xmppbridge.Stream, otherwise string) about {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	name, version, err := softwareOf(ctx, stream, o.domains[0])
	if err != nil {
		o.log.Debug("the server does not say what it is", "domain", o.domains[0], "error", err)
	}
	return about{cmp.Or(name, otherwise), version}
}
