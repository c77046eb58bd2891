package adhoc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// New is the driver for a component.
func New(component string) stock.Driver {
	return &driver{component: component, known: map[string]*memory{}}
}

type driver struct {
	component string

	mu    sync.Mutex // guards known
	known map[string]*memory
}

// recall gives a virtual host what was found out about its accounts on earlier connections.
func (d *driver) recall(s *Server) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.known[s.domain]; m != nil {
		s.memory = m
		return
	}
	d.known[s.domain] = s.memory
}

// Open implements stock.Driver.
func (d *driver) Open(ctx context.Context, stream xmppbridge.Stream, domains []string) (*stock.Server, error) {
	hosts := hosts{}
	var able []gate.Ability
	name := ""
	for _, domain := range domains {
		s, err := Discover(ctx, stream, domain)
		if err != nil {
			return nil, d.advise(err)
		}
		d.recall(s)
		hosts[domain] = s
		name = cmp.Or(name, s.software)
		able = weaker(able, s.abilities())
	}
	return &stock.Server{Lister: hosts, Kicker: kicker{hosts, d}, Name: name, Able: able}, nil
}

// advise says what to do.
func (d *driver) advise(err error) error {
	switch {
	case errors.Is(err, ErrNoRight):
		return fmt.Errorf("%w. Give it the right. ejabberd: acl: {bindgate: {server: %q}}, and allow bindgate in access_rules: configure. Prosody: admins = { %[2]q }, which lets the "+
			"component do everything, delete users and shut the server down too. The server's gate module needs neither (driver gate)", err, d.component)
	case errors.Is(err, ErrNoCommands):
		return fmt.Errorf("%w. Load them (ejabberd: mod_adhoc and mod_configure; Prosody: admin_adhoc), or use the server's gate module (driver gate) or, for ejabberd, its "+
			"HTTP API (driver ejabberd)", err)
	case errors.Is(err, ErrNoList):
		return fmt.Errorf("%w. Driver admin cannot be used with this server", err)
	}
	return err
}

// hosts are the virtual hosts of one server, by their domain.
type hosts map[string]*Server

func (h hosts) on(domain string) (*Server, error) {
	if s := h[domain]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%.80q is not a domain of this link", domain)
}

// List implements stock.Lister.
func (h hosts) List(ctx context.Context, domains []string) (map[string][]stock.Session, error) {
	out := make(map[string][]stock.Session, len(domains))
	for _, domain := range domains {
		s, err := h.on(domain)
		if err != nil {
			return nil, err
		}
		found, err := s.Sessions(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", domain, err)
		}
		out[domain] = listed(found)
	}
	return out, nil
}

// ListUser implements stock.Lister.
func (h hosts) ListUser(ctx context.Context, domain, user string) ([]stock.Session, error) {
	s, err := h.on(domain)
	if err != nil {
		return nil, err
	}
	found, err := s.SessionsOf(ctx, user)
	return listed(found), err
}

func listed(found []Session) []stock.Session {
	out := make([]stock.Session, 0, len(found))
	for _, x := range found {
		out = append(out, stock.Session{User: x.User, Resource: x.Resource, IP: x.Address})
	}
	return out
}

// kicker ends the sessions of hosts.
type kicker struct {
	hosts  hosts
	driver *driver
}

// Kick implements stock.Kicker.
func (o kicker) Kick(ctx context.Context, domain string, k gate.Kick) error {
	s, err := o.hosts.on(domain)
	if err != nil {
		return err
	}
	err = s.End(ctx, k.User, k.Resource, k.Text)
	if refused(err, forbidding...) {
		return &stock.RightError{Err: o.driver.advise(fmt.Errorf("%s: %w: %w", domain, ErrNoRight, err))}
	}
	return err
}
