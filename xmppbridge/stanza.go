package xmppbridge

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// NS is the namespace of the gate protocol.
const NS = "urn:bindgate:1"

// ProtocolVersion is the version of the gate protocol that this package speaks. Peers with the same major version understand each other.
const ProtocolVersion = "1"

// maxListed is how many sessions an ask may list, and how many a probe may name.
const maxListed = 50

// major is the part of a version that has to be the same on both sides.
func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// parseHello reads a <hello/>. Of a peer with another major version only the version and what happens to be readable is returned.
func parseHello(e *element, src gate.Source) (gate.Hello, error) {
	f := &fields{e: e, what: "hello"}
	src.Node = f.text("node", 255)
	h := gate.Hello{
		Source:        src,
		Version:       f.text("version", 32),
		Module:        f.text("module", 255),
		Server:        f.text("server", 255),
		ServerVersion: f.text("server_version", 255),
		Abilities:     strings.Fields(f.text("abilities", maxWord)),
	}
	if h.Version == "" {
		f.fail("version", "is missing")
		return h, f.err
	}
	if major(h.Version) != major(ProtocolVersion) {
		return h, nil
	}
	h.Epoch = f.token("epoch")
	h.Seq = f.number("seq", true, 0, math.MaxInt64)
	h.Mode = f.one("mode", false, "enforce", "observe", "off")
	h.OnFailure = f.one("on_failure", false, "allow", "deny")
	h.Timeout = time.Duration(f.number("timeout_ms", false, 0, 3_600_000)) * time.Millisecond
	h.Nodes = int(f.number("nodes", false, 0, math.MaxInt16))
	h.Rival.Database, h.Rival.Link, _ = strings.Cut(f.word("replaced", maxToken), "/")
	h.Sessions = int(f.number("sessions", false, 0, math.MaxInt32))
	return h, f.err
}

// parseAsk reads an <ask/> that was read from the stream at the given time.
func parseAsk(e *element, src gate.Source, received time.Time) (gate.Ask, error) {
	f := &fields{e: e, what: "ask"}
	if node := f.text("node", 255); node != "" {
		src.Node = node
	}
	a := gate.Ask{
		Source:   src,
		ID:       f.id("ask_id", true),
		Received: received,
		Deadline: time.Duration(f.number("deadline_ms", true, 1, 3_600_000)) * time.Millisecond,
		User:     f.user("user", true),
		SID:      f.token("sid"),
		Resource: f.part("resource", true),
		Chosen:   f.yes("chosen"),
		Takeover: f.word("takeover", maxWord),
		Peer:     peer(f),
		Epoch:    f.token("epoch"),
		Seq:      f.number("seq", true, 0, math.MaxInt64),
		More:     f.yes("more"),
	}
	if f.err != nil {
		return gate.Ask{}, f.err
	}
	var err error
	if a.Sessions, err = listed(e, "ask", false, maxListed); errors.Is(err, errMore) {
		a.More = true
	} else if err != nil {
		return gate.Ask{}, err
	}
	return a, nil
}

func peer(f *fields) gate.Peer {
	return gate.Peer{
		IP:        f.word("ip", 64),
		Secure:    f.yes("secure"),
		Transport: f.word("transport", 32),
		ClientID:  f.word("client_id", maxWord),
		Client:    f.text("client", 255),
		Lang:      f.word("lang", 64),
		Made:      f.yes("made"),
	}
}

// errMore says that there were more sessions than wanted; those before are returned.
var errMore = errors.New("too many sessions")

// listed reads the <session/> children of e.
func listed(e *element, what string, users bool, most int) ([]gate.Listed, error) {
	var out []gate.Listed
	for _, c := range e.children {
		if c.name.Space != NS || c.name.Local != "session" {
			continue
		}
		if len(out) == most {
			return out, errMore
		}
		f := &fields{e: c, what: fmt.Sprintf("%s: session %d", what, len(out)+1)}
		out = append(out, gate.Listed{
			SID:      f.token("sid"),
			User:     f.user("user", users),
			Resource: f.part("resource", true),
			State:    f.one("state", true, "active", "hibernating"),
			Age:      f.seconds("age_seconds"),
			Idle:     f.seconds("idle_seconds"),
			Peer:     peer(f),
		})
		if f.err != nil {
			return nil, f.err
		}
	}
	return out, nil
}

// parseEvent reads an <event/>.
func parseEvent(e *element, src gate.Source) (gate.Event, error) {
	f := &fields{e: e, what: "event"}
	if node := f.text("node", 255); node != "" {
		src.Node = node
	}
	kind := f.one("kind", true, string(gate.EventBind), string(gate.EventUnbind), string(gate.EventHibernate), string(gate.EventResume), string(gate.EventGone))
	bind := kind == string(gate.EventBind)
	ev := gate.Event{
		Source:   src,
		Epoch:    f.token("epoch"),
		Seq:      f.number("seq", true, 1, math.MaxInt64),
		Takeover: f.word("takeover", maxWord),
		Kind:     gate.EventKind(kind),
		User:     f.user("user", bind),
		SID:      f.token("sid"),
		AskID:    f.id("ask_id", false),
		Resource: f.part("resource", bind),
		Reason:   f.text("reason", 255),
		Age:      f.seconds("age_seconds"),
		Idle:     f.seconds("idle_seconds"),
		Peer:     peer(f),
	}
	return ev, f.err
}

// parsePart reads the answer to a snapshot request for the buckets first … first+count-1.
func parsePart(e *element, src gate.Source, first, count int) (gate.Part, error) {
	f := &fields{e: e, what: "snapshot"}
	p := gate.Part{
		Source: src,
		First:  int(f.number("first", true, int64(first), int64(first))),
		Count:  int(f.number("count", true, 1, int64(count))),
		Total:  int(f.number("total", true, 0, math.MaxInt32)),
		Epoch:  f.token("epoch"),
		Seq:    f.number("seq", true, 0, math.MaxInt64),
		Same:   f.yes("same"),
	}
	if f.err != nil || p.Same {
		return p, f.err
	}
	var err error
	p.Sessions, err = listed(e, "snapshot", true, math.MaxInt)
	return p, err
}

// parseVerdicts reads the answer to a probe of these sids.
func parseVerdicts(e *element, sids []string) (map[string]gate.Verdict, error) {
	asked := make(map[string]bool, len(sids))
	for _, sid := range sids {
		asked[sid] = true
	}
	out := make(map[string]gate.Verdict, len(sids))
	for _, c := range e.children {
		if c.name.Space != NS || c.name.Local != "session" {
			continue
		}
		f := &fields{e: c, what: "probe: session"}
		sid := f.token("sid")
		verdict := f.one("verdict", true, string(gate.VerdictAlive), string(gate.VerdictSilent), string(gate.VerdictHibernating), string(gate.VerdictGone))
		if f.err != nil {
			return nil, f.err
		}
		if asked[sid] {
			out[sid] = gate.Verdict(verdict)
		}
	}
	for _, sid := range sids {
		if out[sid] == "" {
			return nil, fmt.Errorf("probe: no verdict for session %s", sid)
		}
	}
	return out, nil
}

// parseRevocation reads the answer to a revocation.
func parseRevocation(e *element) (gate.Revocation, error) {
	f := &fields{e: e, what: "revoke"}
	v := gate.Revocation{Revoked: map[string]int{}, Unable: map[string]string{}, Epoch: f.token("epoch"), Seq: f.number("seq", true, 0, math.MaxInt64), More: f.yes("more")}
	if f.err != nil {
		return gate.Revocation{}, f.err
	}
	var err error
	if v.Sessions, err = listed(e, "revoke", false, maxListed); errors.Is(err, errMore) {
		v.More = true
	} else if err != nil {
		return gate.Revocation{}, err
	}
	for _, c := range e.children {
		if c.name.Space != NS {
			continue
		}
		f := &fields{e: c, what: "revoke: " + c.name.Local}
		switch c.name.Local {
		case "revoked":
			v.Revoked[f.token("kind")] = int(f.number("count", true, 0, math.MaxInt32))
		case "unable":
			v.Unable[f.token("kind")] = f.text("why", 255)
		}
		if f.err != nil {
			return gate.Revocation{}, f.err
		}
	}
	return v, nil
}

// StanzaError is an error that a server answered with (RFC 6120 §8.3).
type StanzaError struct {
	Condition string
	Type      string
	Text      string // may be empty
}

func (e *StanzaError) Error() string {
	if e.Text == "" {
		return "the server answered " + e.Condition
	}
	return fmt.Sprintf("the server answered %s: %s", e.Condition, e.Text)
}

const (
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
)

// parseError reads the <error/> of a stanza.
func parseError(stanza *element) *StanzaError {
	out := &StanzaError{Condition: "undefined-condition"}
	e := stanza.child(nsAccept, "error")
	if e == nil {
		return out
	}
	out.Type = e.attr("type")
	out.Condition, out.Text = condition(e, nsStanzas)
	return out
}

// condition reads an error's condition and text.
func condition(e *element, space string) (cond, text string) {
	cond = "undefined-condition"
	for _, c := range e.children {
		switch {
		case c.name.Space != space:
		case c.name.Local == "text":
			text = c.text
		default:
			cond = c.name.Local
		}
	}
	return cond, text
}

// address splits an address as text (RFC 6122 §2.1), without preparing or judging it.
func address(jid string) (local, domain, resource string) {
	bare, resource, _ := strings.Cut(jid, "/")
	if i := strings.IndexByte(bare, '@'); i >= 0 {
		return bare[:i], bare[i+1:], resource
	}
	return "", bare, resource
}

// sessionAddress is the full address of a session; false: it could not be one.
func sessionAddress(domain, user, resource string) (string, bool) {
	if !isDomain(domain) || user == "" || resource == "" || strings.ContainsAny(user, "@/") || len(user) > maxPart || len(resource) > maxPart {
		return "", false
	}
	return user + "@" + domain + "/" + resource, true
}

// isDomain says whether an address is a bare domain: no localpart, no resource, and nothing that separates them.
func isDomain(jid string) bool {
	return jid != "" && len(jid) <= maxPart && !strings.ContainsAny(jid, "@/")
}
