package xmppbridge

import (
	"bytes"
	"context"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
)

// Owner answers the owners of accounts. Its methods are called from many goroutines, end with ctx, and are only asked about the account that a stanza came from.
type Owner interface {
	// OwnDevices returns the devices of an account, whose session on the resource asks.
	OwnDevices(ctx context.Context, account, resource string) (gate.OwnDevices, error)
	// Kick ends sessions of an account and waits for proof until wait is over.
	Kick(ctx context.Context, req gate.KickRequest, wait time.Duration) (gate.KickReport, error)
}

// nsProtocol is what the namespaces of all requests begin with that a user may make.
const nsProtocol = "http://jabber.org/protocol/"

// ownerTimeout bounds the work on a user's request.
const ownerTimeout = 10 * time.Second

// visit is a request of an account's owner.
type visit struct {
	frame
	account, resource string    // as the server stamped them
	at                time.Time // when it was read
}

// ownerOf reads who makes a request, from its start tag. Only a session of a host that has said hello on this connection, or has no module to, has a say, and only about the component
// itself; the server vouches for from (RFC 6120 §8.1.2.1), so it is taken as it is.
func (c *conn) ownerOf(h head) (account, resource string, ok bool) {
	if c.b.cfg.Owner == nil || h.name != "iq" || h.kind != "get" && h.kind != "set" || h.to != c.b.cfg.Component {
		return "", "", false
	}
	user, domain, resource := address(h.from)
	if to, ok := sessionAddress(domain, user, resource); !ok || to != h.from || !c.b.listens(domain) {
		return "", "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if hst := c.hosts[domain]; c.b.listener == nil && (hst == nil || !hst.hello) {
		return "", "", false
	}
	return user + "@" + domain, resource, true
}

// owner takes a user's request, which is answered on another goroutine; false: it is none that users may make.
func (c *conn) owner(fr frame, now time.Time) bool {
	account, resource, ok := c.ownerOf(fr.head)
	switch {
	case !ok:
		return false
	case fr.body == nil:
		c.b.stats.strays.Add(1)
		c.refuse(fr, "modify", "policy-violation", "stanza "+fr.skip)
		return true
	case !bytes.Contains(fr.body, []byte(nsProtocol)): // not worth a look
		return false
	case !c.door.enter(account, now):
		c.b.stats.turnedAway.Add(1)
		c.refuse(fr, "wait", "resource-constraint", rules.OwnerWordsFor(nil).Busy)
		return true
	}
	c.visits <- visit{fr, account, resource, now} // has room for all that the door lets in
	return true
}

// serveOwners answers users until the connection ends.
func (c *conn) serveOwners(ctx context.Context) {
	for {
		select {
		case <-c.done:
			return
		case v := <-c.visits:
			c.receive(ctx, v)
			c.door.leave(v.account)
		}
	}
}

// receive answers one request.
func (c *conn) receive(ctx context.Context, v visit) {
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	e, err := parseElement(v.body)
	if err != nil {
		c.b.stats.malformed.Add(1)
		c.refuse(v.frame, "modify", "bad-request", err.Error())
		return
	}
	if len(e.children) != 1 { // RFC 6120 §8.2.3
		c.refuse(v.frame, "modify", "bad-request", "a request holds one element")
		return
	}
	a := &audience{conn: c, visit: v, lang: lang(e)}
	switch p := e.children[0]; {
	case v.kind == "get" && p.name.Space == nsDisco && p.name.Local == "query":
		a.info(ctx, p.attr("node"))
	case v.kind == "get" && p.name.Space == nsItems && p.name.Local == "query":
		a.items(ctx, p.attr("node"))
	case v.kind == "set" && p.name.Space == nsCommands && p.name.Local == "command":
		a.command(ctx, p)
	default:
		c.b.stats.strays.Add(1)
		c.refuse(v.frame, "cancel", "service-unavailable", "")
		return
	}
	c.b.stats.owners.Add(1)
}

// lang is an element's own xml:lang.
func lang(e *element) string {
	for _, a := range e.attrs {
		if a.Name.Local == "lang" && (a.Name.Space == "xml" || a.Name.Space == nsXML) {
			return a.Value
		}
	}
	return ""
}

const nsXML = "http://www.w3.org/XML/1998/namespace"

// audience is one request while it is answered.
type audience struct {
	*conn
	visit
	lang string // the stanza's own

	node, session string // of a command, to be named in an error
}

// words are the texts in the language of the stanza, or else in those that are known of the account.
func (a *audience) words(own gate.OwnDevices) *rules.OwnerWords {
	return rules.OwnerWordsFor(append([]string{a.lang}, own.Langs...))
}

// own reads the asking account.
func (a *audience) own(ctx context.Context) (gate.OwnDevices, error) {
	return a.b.cfg.Owner.OwnDevices(ctx, a.account, a.resource)
}

// say sends a result; write appends what it holds.
func (a *audience) say(lang string, write func(b []byte) []byte) {
	e := a.reply(a.frame)
	b := make([]byte, 0, 4096)
	b = append(b, "<iq type='result'"...)
	b = appendWord(b, "id", e.id)
	b = appendAttr(b, "from", e.from)
	b = appendAttr(b, "to", e.to)
	b = appendWord(b, "xml:lang", lang)
	b = append(write(append(b, '>')), "</iq>"...)
	if len(b) > maxSend || len(a.id) > maxEcho {
		a.b.stats.dropped.Add(1)
		return
	}
	a.offer(b)
}

// maxNamed is how long a command's node and session id may be to be repeated in an error, in bytes.
const maxNamed = 256

// fault is an error that a user is told (RFC 6120 §8.3), with a condition of XEP-0050 §4.4 if it has one.
type fault struct {
	kind, condition, command string
}

// fail sends an error.
func (a *audience) fail(f fault, w *rules.OwnerWords, text string) {
	if len(a.id) > maxEcho {
		a.b.stats.dropped.Add(1)
		return
	}
	e := a.reply(a.frame)
	b := make([]byte, 0, 512)
	b = append(b, "<iq type='error'"...)
	b = appendWord(b, "id", e.id)
	b = appendAttr(b, "from", e.from)
	b = appendAttr(b, "to", e.to)
	b = append(b, '>')
	if a.node != "" && len(a.node)+len(a.session) <= maxNamed { // clients tell by it which command has failed
		b = appendAttr(append(b, "<command xmlns='"+nsCommands+"'"...), "node", a.node)
		b = append(appendWord(b, "sessionid", a.session), "/>"...)
	}
	b = append(b, "<error type='"+f.kind+"'><"+f.condition+" xmlns='"+nsStanzas+"'/>"...)
	if text != "" {
		b = append(b, "<text xmlns='"+nsStanzas+"' xml:lang='"+w.Lang+"'>"...)
		b = append(appendEscaped(b, text), "</text>"...)
	}
	if f.command != "" {
		b = append(b, "<"+f.command+" xmlns='"+nsCommands+"'/>"...)
	}
	a.offer(append(b, "</error></iq>"...))
}
