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

// stock connects as the component to a server without a module, and says whether driver admin can work with it and whether the component sees who comes and goes. It is
// for links whose handshake was found good.
func (r *report) stock(ctx context.Context, l linkConfig) {
	if driverOf(l) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	g := &grants{opened: make(chan xmppbridge.Stream, 1), seen: map[string]bool{}}
	bridge := xmppbridge.NewStock(xmppbridge.Config{
		Name: l.Name, Addr: l.Addr, Component: l.Component, Secret: xmppbridge.Secret(l.Secret), Driver: l.Driver, Domains: l.domains(), TLS: l.tls(), Version: version(),
	}, g)
	software := "ejabberd"
	ended := make(chan struct{})
	go func() { _ = bridge.Run(ctx); close(ended) }()
	select {
	case s := <-g.opened:
		if l.Driver == xmppbridge.DriverAdmin {
			software = r.commands(ctx, l, s)
		}
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
		const without = "%s does not let the component see presence (XEP-0356): it works without, slower, since logins are found about once a second"
		switch {
		case !strings.HasPrefix(strings.ToLower(software), "ejabberd"): // most servers have none
			r.ok("link "+l.Name, "cannot at_once: "+without, d)
		case l.Driver == xmppbridge.DriverAdmin:
			r.ok("link "+l.Name, "cannot at_once: "+without+"; an ejabberd up to 24.09 can have mod_privilege for it; from 24.10 on leave it out, it drops what components ask", d)
		default:
			r.warn("link "+l.Name, without+"; an ejabberd needs for it, in ejabberd.yml, modules: mod_privilege: {presence: {managed_entity: [{allow: {server: %q}}]}}", d, l.Component)
		}
	}
}

// commands opens driver admin and says what it cannot do with the server. It returns what the server calls itself, "" if it is not known.
func (r *report) commands(ctx context.Context, l linkConfig, s xmppbridge.Stream) (software string) {
	what := "link " + l.Name
	server, err := driverOf(l).Open(ctx, s, l.domains())
	if err != nil {
		r.fail(what, "%v", err)
		return ""
	}
	r.ok(what, "the server lets the component list and end sessions (XEP-0133)")
	for _, a := range server.Able {
		if !a.Can {
			r.ok(what, "cannot %s: %s", a.Name, a.Why)
		}
	}
	return server.Name
}

// grants hears what a server lets its component see.
type grants struct {
	opened chan xmppbridge.Stream // the first

	mu   sync.Mutex
	seen map[string]bool
}

func (g *grants) Opened(s xmppbridge.Stream) {
	select {
	case g.opened <- s:
	default:
	}
}

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
