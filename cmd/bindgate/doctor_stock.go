package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock/httpapi"
)

// grantWait is how long a server may take to say what a component may see: it does so when the component connects.
const grantWait = time.Second

// api tries ejabberd's HTTP API for a link with that driver. Each command is called where it can do no harm.
func (r *report) api(ctx context.Context, l linkConfig) {
	if l.Driver != xmppbridge.DriverEjabberd {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	what := "link " + l.Name
	var fine []string
	for _, f := range httpapi.New(l.APIURL).Check(ctx, l.domains()) {
		switch {
		case f.Err == nil:
			fine = append(fine, f.What)
		case f.Optional:
			r.warn(what, "%v", f.Err)
		default:
			r.fail(what, "%v", f.Err)
		}
	}
	if len(fine) > 0 {
		r.ok(what, "ejabberd's API at %s: %s", l.APIURL, strings.Join(fine, ", "))
	}
}

// presence connects as the component and says whether the server lets it see who comes and goes. It is for links whose handshake was found good.
func (r *report) presence(ctx context.Context, l linkConfig) {
	if driverOf(l) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	g := &grants{opened: make(chan struct{}), seen: map[string]bool{}}
	bridge := xmppbridge.NewStock(xmppbridge.Config{
		Name: l.Name, Addr: l.Addr, Component: l.Component, Secret: xmppbridge.Secret(l.Secret), Driver: l.Driver, Domains: l.domains(), TLS: l.tls(), Version: version(),
	}, g)
	ended := make(chan struct{})
	go func() { _ = bridge.Run(ctx); close(ended) }()
	select {
	case <-g.opened:
		timer := time.NewTimer(grantWait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	cancel()
	<-ended
	for _, d := range l.domains() {
		if g.sees(d) {
			r.ok("link "+l.Name, "%s lets the component see presence (XEP-0356): logins are met at once", d)
			continue
		}
		r.warn("link "+l.Name, "%s does not let the component see presence (XEP-0356): it works without, slower, since logins are found about once a second; in ejabberd.yml: modules: mod_privilege: {presence: {managed_entity: [{server: %q}]}}",
			d, l.Component)
	}
}

// grants hears what a server lets its component see.
type grants struct {
	opened chan struct{}
	once   sync.Once

	mu   sync.Mutex
	seen map[string]bool
}

func (g *grants) Opened(xmppbridge.Stream)   { g.once.Do(func() { close(g.opened) }) }
func (g *grants) Closed(error)               {}
func (g *grants) Presence(_, _, _, _ string) {}

func (g *grants) Granted(domain string, perms map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[domain] = perms["presence"] == "managed_entity" || perms["presence"] == "roster"
}

func (g *grants) sees(domain string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[domain]
}
