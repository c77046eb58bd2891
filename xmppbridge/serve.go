package xmppbridge

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// maxEcho is how long an address or an id may be to be repeated in an answer, in bytes. Escaping can make it six times as long, and a server ends
// the connection of a component that sends too large a stanza.
const maxEcho = 3*maxPart + 2

// room says how much of a stanza is wanted. Of what a user sends only an answer is, and what an account's owner may ask: else
// its start tag is enough.
func (c *conn) room(h head) int {
	if h.name == "error" {
		return maxStranger
	}
	answers := h.name == "iq" && (h.kind == "result" || h.kind == "error")
	if !answers && !isDomain(h.from) {
		if _, _, ok := c.ownerOf(h); ok {
			return maxClient
		}
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answers {
		w, ok := c.waiting[h.id]
		switch {
		case !ok || w.to != h.from:
			return 0
		case isDomain(h.from):
			return maxAnswer
		}
		return maxClient
	}
	if h.name != "iq" && h.name != "message" {
		return 0
	}
	if hst := c.hosts[h.from]; hst != nil && hst.hello {
		return maxAnswer
	}
	return maxStranger
}

// handle acts on one stanza. It never waits. An error ends the connection; only the server's own stream error does.
func (c *conn) handle(fr frame, now time.Time) error {
	if fr.bad != nil || fr.skip != "" {
		c.b.stats.skipped.Add(1)
		if c.strange.allow(now) {
			c.log.Warn("stanza skipped", "reason", fr.skip, "error", fr.bad, "from", clip(fr.from))
		}
	}
	if fr.bad != nil {
		return nil //nolint:nilerr // a bad stanza is skipped
	}
	switch {
	case fr.name == "error":
		return c.streamError(fr)
	case fr.name == "iq" && (fr.kind == "get" || fr.kind == "set"):
		c.request(fr, now)
	case fr.name == "iq" && (fr.kind == "result" || fr.kind == "error"):
		if w, ok := c.take(fr.id, fr.from); ok {
			w.reply(fr)
		} else {
			c.b.stats.strays.Add(1)
		}
	case c.b.listener != nil:
		c.overhear(fr)
	case fr.name == "message" && fr.kind != "error" && fr.body != nil:
		c.message(fr)
	default:
		c.b.stats.strays.Add(1)
	}
	return nil
}

// clip shortens what a stranger has sent, for the log.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

func (c *conn) streamError(fr frame) error {
	out := &RefusedError{Component: c.b.cfg.Component, Condition: "undefined-condition"}
	if e, err := parseElement(fr.body); err == nil {
		out.Condition, out.Text = condition(e, nsStreams)
	}
	return out
}

// reply is the envelope of an answer. Our address is the one that was written to, if it is on our domain: a server ends the connection of a component
// that writes from another.
func (c *conn) reply(fr frame) envelope {
	e := envelope{from: fr.to, to: fr.from, id: fr.id}
	if _, domain, _ := address(fr.to); domain != c.b.cfg.Component {
		e.from = c.b.cfg.Component
	}
	return e
}

// refuse answers a request that is not ours to answer.
func (c *conn) refuse(fr frame, kind, condition, text string) {
	if fr.from == "" || len(fr.from) > maxEcho || len(fr.to) > maxEcho || len(fr.id) > maxEcho {
		c.b.stats.dropped.Add(1)
		return
	}
	c.offer(encodeError(c.reply(fr), kind, condition, text))
}

// request handles an IQ of type get or set.
func (c *conn) request(fr frame, now time.Time) {
	if !isDomain(fr.from) {
		if c.owner(fr, now) {
			return
		}
		c.b.stats.strays.Add(1)
		c.refuse(fr, "cancel", "service-unavailable", "")
		return
	}
	if fr.body == nil {
		c.refuse(fr, "modify", "policy-violation", "stanza "+fr.skip)
		return
	}
	e, err := parseElement(fr.body)
	if err != nil {
		c.b.stats.malformed.Add(1)
		c.refuse(fr, "modify", "bad-request", err.Error())
		return
	}
	p := e.child(NS, "")
	if p == nil {
		c.b.stats.strays.Add(1)
		c.refuse(fr, "cancel", "service-unavailable", "")
		return
	}
	if !c.b.listens(fr.from) {
		c.b.stats.refused.Add(1)
		c.complain("domain is not of this link: add it to the link's domains, or take the module off that host; until then its failure policy decides there", "domain", clip(fr.from), "domains", c.b.cfg.Domains)
		c.refuse(fr, "auth", "forbidden", fmt.Sprintf("%s is not among the domains of this link", clip(fr.from)))
		return
	}
	switch {
	case c.b.listener != nil:
		c.noModule(fr)
	case p.name.Local == "hello" && fr.kind == "set":
		c.hello(fr, p)
	case p.name.Local == "ask" && fr.kind == "get":
		c.ask(fr, p, now)
	case p.name.Local == "hello", p.name.Local == "ask":
		c.malformed(fr, fmt.Errorf("%s: an IQ of type %s is not a request; hello is sent with set, ask with get", p.name.Local, fr.kind))
	default:
		c.malformed(fr, fmt.Errorf("<%s xmlns='%s'/> is not a request that bindgate answers; it answers hello and ask", clip(p.name.Local), NS))
	}
}

// malformed answers a request that could not be read.
func (c *conn) malformed(fr frame, err error) {
	c.b.stats.malformed.Add(1)
	c.complain("malformed stanza", "domain", fr.from, "error", err)
	c.refuse(fr, "modify", "bad-request", err.Error())
}

// hello handles a module's hello.
func (c *conn) hello(fr frame, p *element) {
	h, err := parseHello(p, gate.Source{Link: c.b.cfg.Name, Domain: fr.from})
	if err != nil {
		c.b.stats.refused.Add(1)
		c.malformed(fr, err)
		return
	}
	switch refused, ok := c.greet(h); {
	case !ok:
		c.refuse(fr, "wait", "resource-constraint", fmt.Sprintf("this link serves %d domains already", maxHosts))
	case refused != "":
		c.refuse(fr, "cancel", "feature-not-implemented", refused)
	default:
		_ = c.send(encodeHello(c.reply(fr), c.b.cfg.Version, c.b.cfg.record()))
	}
}

// greet tells the gate of a hello and remembers it. refused says why the host cannot be served; ok is false if there are too many hosts.
func (c *conn) greet(h gate.Hello) (refused string, ok bool) {
	h.Rival = c.b.cfg.rival(h.Rival)
	c.mu.Lock()
	hst := c.hosts[h.Domain]
	if hst == nil {
		if len(c.hosts) >= maxHosts {
			c.mu.Unlock()
			return "", false
		}
		hst = &host{}
		c.hosts[h.Domain] = hst
	}
	if major(h.Version) != major(ProtocolVersion) {
		refused = fmt.Sprintf("the module on %s speaks version %s of the gate protocol, bindgate %s speaks version %s; update the older one", h.Domain, h.Version, c.b.cfg.Version, ProtocolVersion)
	}
	first := !hst.hello && hst.refused == "" || hst.epoch != h.Epoch
	var lost []func()
	if hst.epoch != "" && hst.epoch != h.Epoch {
		lost = c.lose(h.Domain)
	}
	hst.node, hst.epoch, hst.hello, hst.refused, hst.checks = h.Node, h.Epoch, refused == "", refused, 0
	h.Refused = refused
	c.mu.Unlock()
	for _, tell := range lost {
		tell()
	}

	if refused == "" {
		c.b.stats.hellos.Add(1)
		c.b.remember(h.Domain)
		if first {
			c.log.Info("hello", "domain", h.Domain, "module", h.Module, "server", h.Server, "server_version", h.ServerVersion, "sessions", h.Sessions, "mode", h.Mode)
		}
	} else {
		c.b.stats.refused.Add(1)
		c.complain("hello refused", "domain", h.Domain, "error", refused)
	}
	c.helloMu.Lock()
	defer c.helloMu.Unlock()
	c.b.gate.Hello(h)
	return refused, true
}

// known is what a host has said.
func (c *conn) known(domain string) (host, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.hosts[domain]; h != nil {
		return *h, h.hello
	}
	return host{}, false
}

// ask handles a server's question.
func (c *conn) ask(fr frame, p *element, now time.Time) {
	hst, ok := c.known(fr.from)
	switch {
	case hst.refused != "":
		c.refuse(fr, "cancel", "feature-not-implemented", hst.refused)
		return
	case !ok:
		c.refuse(fr, "wait", "unexpected-request", "ask: a hello has to be answered before on this connection")
		return
	}
	a, err := parseAsk(p, gate.Source{Link: c.b.cfg.Name, Domain: fr.from, Node: hst.node}, now)
	if err != nil {
		c.malformed(fr, err)
		return
	}
	c.b.stats.asks.Add(1)
	e := c.reply(fr)
	var answered atomic.Bool
	c.b.gate.Ask(a, func(ans gate.Answer) {
		if answered.Swap(true) {
			return
		}
		c.answer(e, a, ans)
	})
}

// answer sends the answer to an ask, if there is time left.
func (c *conn) answer(e envelope, a gate.Ask, ans gate.Answer) {
	if time.Since(a.Received) >= a.Deadline {
		c.b.stats.late.Add(1)
		return
	}
	ans.AskID = a.ID
	b, err := encodeAnswer(e, ans)
	if err != nil {
		c.log.Error("answer cannot be sent", "domain", a.Domain, "error", err)
	}
	if c.send(b) != nil {
		c.b.stats.late.Add(1)
		return
	}
	c.b.stats.answers.Add(1)
}

// message handles a domain's message: an event, or nothing of ours.
func (c *conn) message(fr frame) {
	e, err := parseElement(fr.body)
	if err != nil {
		c.b.stats.malformed.Add(1)
		return
	}
	p := e.child(NS, "event")
	if p == nil || !c.b.listens(fr.from) {
		c.b.stats.strays.Add(1)
		return
	}
	hst, ok := c.known(fr.from)
	if !ok {
		c.b.stats.strays.Add(1)
		return
	}
	ev, err := parseEvent(p, gate.Source{Link: c.b.cfg.Name, Domain: fr.from, Node: hst.node})
	if err != nil {
		c.b.stats.malformed.Add(1)
		c.complain("malformed stanza", "domain", fr.from, "error", err)
		return
	}
	c.b.stats.events.Add(1)
	c.b.gate.Event(ev)
}
