package xmppbridge

import (
	"errors"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// Times of the pulse.
const (
	beat       = 5 * time.Second
	beatsPing  = 2               // beats without a word until a ping is sent
	beatsDead  = 5               // beats without a word until the connection is given up
	beatsCheck = 3               // beats from one question to the modules whether they are still there to the next
	checksGone = 2               // of them without an answer until a module is called silent
	helloGrace = 5 * time.Second // for modules to say hello by themselves
	helloWait  = 5 * time.Second // for the answer, when asked
)

// pulse pings a silent server and ends the connection if it stays silent, asks for hellos, and whether those who have said one are still there. It counts its own beats: a process that was frozen does not
// take its own silence for the server's.
func (c *conn) pulse() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	hello := time.NewTimer(helloGrace)
	defer hello.Stop()
	asked := false
	heard, silent, beats := c.sock.heard.Load(), 0, 0
	for {
		select {
		case <-c.done:
			return
		case <-hello.C:
			if c.b.listener != nil { // nobody is to say hello
			} else if asked {
				c.missing()
			} else if c.askHellos() {
				asked = true
				hello.Reset(helloWait)
			}
		case <-tick.C:
			if beats++; beats%beatsCheck == 0 && c.b.listener == nil {
				c.checkModules()
			}
			if now := c.sock.heard.Load(); now != heard {
				heard, silent = now, 0
				continue
			}
			silent++
			if silent >= beatsDead {
				c.end(ErrSilent)
				return
			}
			if silent >= beatsPing {
				c.ping()
			}
		}
	}
}

// ping asks some host for any answer. Before any has said hello it asks ourselves, by way of the server. It asks a resource, which nobody has: what components ask
// a bare name an ejabberd with mod_privilege drops (24.10 and newer).
func (c *conn) ping() {
	to := c.b.cfg.Component
	c.mu.Lock()
	for d, h := range c.hosts {
		if h.hello {
			to = d
			break
		}
	}
	c.mu.Unlock()
	_ = c.send(encodePing(envelope{from: c.b.cfg.Component, to: to + "/ping", id: c.nextID()}))
}

// silentHosts are the hosts that are expected to say hello and have not.
func (c *conn) silentHosts(asked bool) []string {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for d := range c.b.known {
		if h := c.hosts[d]; h == nil && !asked || h != nil && h.asked && !h.hello && h.refused == "" {
			out = append(out, d)
		}
	}
	return out
}

// askHellos asks the silent hosts for their hello.
func (c *conn) askHellos() bool {
	hosts := c.silentHosts(false)
	for _, d := range hosts {
		id := c.nextID()
		c.mu.Lock()
		if c.hosts[d] == nil {
			c.hosts[d] = &host{asked: true}
		}
		c.mu.Unlock()
		c.expect(id, waiter{to: d, reply: func(fr frame) { c.helloAnswer(d, fr) }})
		_ = c.send(encodeHelloRequest(envelope{from: c.b.cfg.Component, to: d, id: id}))
	}
	return len(hosts) > 0
}

// helloOf reads the answer of a host that was asked for its hello.
func (c *conn) helloOf(domain string, fr frame) (gate.Hello, error) {
	e, err := answer(fr)
	if err == nil {
		e, err = payload(e, "hello")
	}
	if err != nil {
		return gate.Hello{}, err
	}
	return parseHello(e, gate.Source{Link: c.b.cfg.Name, Domain: domain})
}

// helloAnswer is called on the read loop.
func (c *conn) helloAnswer(domain string, fr frame) {
	h, err := c.helloOf(domain, fr)
	if err == nil {
		c.greet(h)
		return
	}
	c.problem(domain, c.noHello(domain, err))
}

// noHello says why a host has not said hello, and what to do.
func (c *conn) noHello(domain string, err error) string {
	text := fmt.Sprintf("asked %s for its hello: %v", domain, err)
	var se *StanzaError
	if errors.As(err, &se) {
		switch se.Condition {
		case "service-unavailable", "feature-not-implemented":
			text = fmt.Sprintf("there is no gate module on %s (%v); enable mod_bindgate for that host, or if it is not to be governed, name the others as the link's domains", domain, err)
		case "remote-server-not-found", "item-not-found", "remote-server-timeout", "not-allowed": // s2s answers, or its absence
			text = fmt.Sprintf("%s is not a host of this server (%v)", domain, err)
		case "forbidden", "not-authorized":
			text = fmt.Sprintf("the module on %s does not listen to %s (%v); set bindgate_component = %q there", domain, c.b.cfg.Component, err, c.b.cfg.Component)
		}
	}
	return text
}

// checkModules asks the modules that have said hello for it again: one that is unloaded says no goodbye. Who has not answered yet is not asked twice.
func (c *conn) checkModules() {
	type check struct{ domain, epoch string }
	var ask, silent []check
	c.mu.Lock()
	for d, h := range c.hosts {
		if !h.hello {
			continue
		}
		switch h.checks {
		case 0:
			ask = append(ask, check{d, h.epoch})
		case checksGone:
			silent = append(silent, check{d, h.epoch})
		}
		h.checks++
	}
	c.mu.Unlock()
	for _, k := range ask {
		id := c.nextID()
		c.expect(id, waiter{to: k.domain, reply: func(fr frame) { c.checked(k.domain, k.epoch, fr) }})
		_ = c.send(encodeHelloRequest(envelope{from: c.b.cfg.Component, to: k.domain, id: id}))
	}
	for _, k := range silent {
		c.amiss(k.domain, k.epoch, false, fmt.Sprintf("the module on %s has not answered for %s whether it is still there: see whether mod_bindgate is loaded for that host", k.domain, beat*beatsCheck*checksGone))
	}
}

// checked is called on the read loop.
func (c *conn) checked(domain, epoch string, fr frame) {
	h, err := c.helloOf(domain, fr)
	if err != nil {
		c.amiss(domain, epoch, true, c.noHello(domain, err))
		return
	}
	c.mu.Lock()
	hst := c.hosts[domain]
	amiss := hst == nil || hst.checks > checksGone
	if hst != nil {
		hst.checks = 0
	}
	c.mu.Unlock()
	if amiss || h.Epoch != epoch {
		c.greet(h)
	}
}

// amiss reports a module that had said hello, if it has not been loaded anew meanwhile. One that is gone has to say hello again; one that is merely silent is answered as ever.
func (c *conn) amiss(domain, epoch string, gone bool, text string) {
	c.helloMu.Lock()
	defer c.helloMu.Unlock()
	c.mu.Lock()
	h := c.hosts[domain]
	if h == nil || !h.hello || h.epoch != epoch {
		c.mu.Unlock()
		return
	}
	var lost []func()
	if gone {
		h.hello = false
		lost = c.lose(domain)
	}
	c.mu.Unlock()
	for _, tell := range lost {
		tell()
	}
	c.log.Warn("a module does not answer any more", "domain", domain, "error", text)
	c.b.gate.Problem(c.b.cfg.Name, domain, text)
}

// missing reports the hosts that have not even answered.
func (c *conn) missing() {
	for _, d := range c.silentHosts(true) {
		// ejabberd's mod_privilege, from 24.10 on, drops what components ask servers, and tells nobody.
		c.problem(d, fmt.Sprintf("%s has not answered for %s when asked for its hello; if there is no gate module on %s, enable mod_bindgate for that host (an ejabberd with mod_privilege does not say so)", d, helloWait, d))
	}
}

// problem reports a host, unless it has said hello meanwhile.
func (c *conn) problem(domain, text string) {
	c.helloMu.Lock()
	defer c.helloMu.Unlock()
	c.mu.Lock()
	h := c.hosts[domain]
	skip := h == nil || h.hello || h.refused != "" || !h.asked
	if h != nil {
		h.asked = false
	}
	c.mu.Unlock()
	if skip {
		return
	}
	c.log.Warn("no hello", "domain", domain, "error", text)
	c.b.gate.Problem(c.b.cfg.Name, domain, text)
}
