package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bindgate/bindgate/gate"
)

// Stream is a component connection to a server that has no gate module, with which a driver of package stock makes do. Its methods may be called from many goroutines;
// they fail with ErrDown when the connection has ended.
type Stream interface {
	// Query sends an IQ of type get or set with one payload element and returns the whole stanza that answers it, at most 4 MiB from a domain and 16 KiB from a client.
	// A *StanzaError is what the other side refused it with. Without a deadline it waits 30 s.
	Query(ctx context.Context, to, kind, payload string) ([]byte, error)
	// Alive pings a session (XEP-0199) and reports whether something came back: its client's answer, or an error, which may be the server's for a session that is not
	// there.
	Alive(ctx context.Context, domain, user, resource string) (answered bool, err error)
	Software(ctx context.Context, src gate.Source, user, resource string) (gate.Software, error)
	Notify(ctx context.Context, src gate.Source, n gate.Notice) error
}

// Listener hears what a server without a gate module sends. Its methods are called from the read loop and must return at once.
type Listener interface {
	// Opened says that the component stream is authenticated; the stream is good until Closed.
	Opened(s Stream)
	// Closed says why a connection ended, and after each failed attempt why there is none.
	Closed(reason error)
	// Presence is a presence stanza: kind is its type, "" for available. user and resource are of a session of domain.
	Presence(domain, user, resource, kind string)
	// Granted is the server's word on what the component may do with a domain's stanzas (XEP-0356): what (presence, message, roster, iq) → type.
	Granted(domain string, perms map[string]string)
}

// NewStock makes a bridge to a server without a gate module. A module that speaks up all the same is refused.
func NewStock(cfg Config, l Listener) *Bridge {
	b := New(cfg, heard{l})
	b.listener = l
	return b
}

// heard is the Gate of a bridge that has a Listener: no module has anything to say to it.
type heard struct{ Listener }

func (h heard) Connected(_ string, l gate.Link)        { h.Opened(l.(*conn)) }
func (h heard) Disconnected(_ string, reason error)    { h.Closed(reason) }
func (heard) Hello(gate.Hello)                         {}
func (heard) Ask(_ gate.Ask, answer func(gate.Answer)) { answer(gate.Answer{Outcome: gate.Undecided}) }
func (heard) Event(gate.Event)                         {}
func (heard) Problem(_, _, _ string)                   {}

// noModule refuses what a gate module sends to a link that has a Listener.
func (c *conn) noModule(fr frame) {
	words := fmt.Sprintf("%s has a gate module, but this link's driver is %s: set driver = \"gate\", or unload the module", fr.from, c.b.cfg.Driver)
	c.complain("a gate module was refused", "domain", fr.from, "error", words)
	c.b.stats.refused.Add(1)
	c.refuse(fr, "cancel", "feature-not-implemented", words)
}

// Query implements Stream.
func (c *conn) Query(ctx context.Context, to, kind, payload string) ([]byte, error) {
	fr, err := c.queryFrame(ctx, to, func(env envelope) []byte {
		b := appendAttr([]byte("<iq"), "type", kind)
		b = appendAttr(b, "id", env.id)
		b = appendAttr(b, "from", env.from)
		b = appendAttr(b, "to", env.to)
		return append(append(append(b, '>'), payload...), "</iq>"...)
	})
	if err != nil {
		return nil, err
	}
	if fr.kind == "error" || fr.body == nil {
		_, err := answer(fr)
		return nil, err
	}
	return fr.body, nil
}

// Alive implements Stream.
func (c *conn) Alive(ctx context.Context, domain, user, resource string) (bool, error) {
	to, ok := sessionAddress(domain, user, resource)
	if !ok {
		return false, errors.New("ping: not the address of a session")
	}
	_, err := c.Query(ctx, to, "get", "<ping xmlns='urn:xmpp:ping'/>")
	var refused *StanzaError
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrTooLarge):
		return true, nil
	case errors.Is(err, context.DeadlineExceeded):
		return false, nil
	}
	return false, err
}

const (
	privilege1 = "urn:xmpp:privilege:1" // XEP-0356 up to 0.3
	privilege2 = "urn:xmpp:privilege:2"
)

// overhear hands a stanza that no module sends to the listener.
func (c *conn) overhear(fr frame) {
	switch fr.name {
	case "presence":
		user, domain, resource := address(fr.from)
		if user != "" && resource != "" && c.b.listens(domain) {
			c.b.listener.Presence(domain, user, resource, fr.kind)
			return
		}
	case "message":
		if !isDomain(fr.from) || fr.body == nil || !c.b.listens(fr.from) {
			break
		}
		e, err := parseElement(fr.body)
		if err != nil {
			c.b.stats.malformed.Add(1)
			return
		}
		for _, space := range []string{privilege1, privilege2} {
			if p := e.child(space, "privilege"); p != nil {
				perms := map[string]string{}
				for _, perm := range p.children {
					if perm.name.Local == "perm" && len(perms) < 16 {
						perms[strings.ToLower(perm.attr("access"))] = perm.attr("type")
					}
				}
				c.b.listener.Granted(fr.from, perms)
				return
			}
		}
	}
	c.b.stats.strays.Add(1)
}
