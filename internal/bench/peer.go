package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

const (
	peerComponent = "bindgate." + benchDomain
	peerSecret    = "secret" // of a port that only this process opens
	peerEpoch     = "e1"
)

// peer is an XMPP server's side of the gate protocol, with as many sessions as are wanted and nobody behind them.
type peer struct {
	listener net.Listener
	conn     net.Conn

	mu       sync.Mutex
	seq      int64
	sessions map[string]peerSession // sid → session
	buckets  [gate.Buckets]map[string]bool
	asks     map[string]chan bool // open ones: id → whether it was let in
	kicked   int
}

type peerSession struct{ user, resource string }

// stanza is what the peer reads of one.
type peerStanza struct {
	XMLName xml.Name
	ID      string `xml:"id,attr"`
	Type    string `xml:"type,attr"`
	Kick    *struct {
		SID string `xml:"sid,attr"`
	} `xml:"urn:bindgate:1 kick"`
	Snapshot *struct {
		First  int    `xml:"first,attr"`
		Count  int    `xml:"count,attr"`
		Digest string `xml:"digest,attr"`
	} `xml:"urn:bindgate:1 snapshot"`
	Allow *struct{} `xml:"urn:bindgate:1 allow"`
}

func newPeer() (*peer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &peer{listener: l, sessions: map[string]peerSession{}, asks: map[string]chan bool{}}
	for b := range p.buckets {
		p.buckets[b] = map[string]bool{}
	}
	return p, nil
}

func (p *peer) add(sid, user, resource string) {
	p.sessions[sid] = peerSession{user, resource}
	p.buckets[bucketOf(user)][sid] = true
}

func bucketOf(user string) int { return store.KeyOf(user + "@" + benchDomain).Bucket() }

// serve takes one connection of the component, until it ends or ctx does.
func (p *peer) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = p.listener.Close() })()
	conn, err := p.listener.Accept()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	d := xml.NewDecoder(conn)
	if _, err := element(d); err != nil { // the stream's header
		return err
	}
	p.mu.Lock()
	p.conn = conn
	p.write("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='%s' id='s1'>", peerComponent)
	p.mu.Unlock()
	for {
		start, err := element(d)
		if err != nil {
			return err
		}
		var s peerStanza
		if err := d.DecodeElement(&s, &start); err != nil {
			return err
		}
		p.handle(&s)
	}
}

func element(d *xml.Decoder) (xml.StartElement, error) {
	for {
		t, err := d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if start, ok := t.(xml.StartElement); ok {
			return start, nil
		}
	}
}

// write is for whoever holds p.mu. An error is the end of the connection, which the reader finds.
func (p *peer) write(format string, args ...any) { _, _ = fmt.Fprintf(p.conn, format, args...) }

func (p *peer) iq(kind, id, body string) {
	p.write("<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", kind, id, benchDomain, peerComponent, body)
}

func (p *peer) handle(s *peerStanza) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.XMLName.Local == "handshake":
		p.write("<handshake/>")
		p.iq("set", "hello", fmt.Sprintf(`<hello xmlns='urn:bindgate:1' version='1' module='0.1.0' server='peer' server_version='1' node='' epoch='%s' seq='%d' sessions='%d' mode='enforce'
			on_failure='allow' timeout_ms='5000' abilities='ask kick snapshot'/>`, peerEpoch, p.seq, len(p.sessions)))
	case s.Type == "result" || s.Type == "error":
		if answered := p.asks[s.ID]; answered != nil {
			delete(p.asks, s.ID)
			answered <- s.Allow != nil
		}
	case s.Kick != nil:
		if _, ok := p.sessions[s.Kick.SID]; !ok {
			p.iq("error", s.ID, "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
			return
		}
		p.kicked++
		p.end(s.Kick.SID, "kick")
		p.iq("result", s.ID, "")
	case s.Snapshot != nil:
		p.iq("result", s.ID, p.part(s.Snapshot.First, s.Snapshot.Count, s.Snapshot.Digest))
	default:
		p.iq("error", s.ID, "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
	}
}

func (p *peer) end(sid, reason string) {
	s := p.sessions[sid]
	delete(p.sessions, sid)
	delete(p.buckets[bucketOf(s.user)], sid)
	p.event("unbind", sid, "", s, reason)
}

func (p *peer) event(kind, sid, ask string, s peerSession, reason string) {
	p.seq++
	p.write(`<message from='%s' to='%s' type='headline'><event xmlns='urn:bindgate:1' kind='%s' epoch='%s' seq='%d' user='%s' sid='%s' ask_id='%s' resource='%s' state='active'
		ip='192.0.2.7' secure='1' transport='tcp' reason='%s' age_seconds='0' idle_seconds='0'/></message>`, benchDomain, peerComponent, kind, peerEpoch, p.seq, s.user, sid, ask, s.resource, reason)
}

// part is the answer to a request for a snapshot.
func (p *peer) part(first, count int, digest string) string {
	head := func(count int) string {
		return fmt.Sprintf("<snapshot xmlns='urn:bindgate:1' first='%d' count='%d' total='%d' epoch='%s' seq='%d'", first, count, len(p.sessions), peerEpoch, p.seq)
	}
	var sum uint64
	n := 0
	for b := first; b < first+count; b++ {
		for sid := range p.buckets[b] {
			h := sha256.Sum256([]byte(sid + "\n" + p.sessions[sid].resource + "\nactive"))
			sum += binary.BigEndian.Uint64(h[:8]) >> 16
			n++
		}
	}
	if digest == fmt.Sprintf("%d-%012x", n, sum&(1<<48-1)) {
		return head(count) + " same='1'/>"
	}
	var list strings.Builder
	covered := 0
	for n = 0; covered < count && n < 100; covered++ {
		for sid := range p.buckets[first+covered] {
			s := p.sessions[sid]
			fmt.Fprintf(&list, "<session user='%s' sid='%s' resource='%s' state='active' age_seconds='60' idle_seconds='5' ip='192.0.2.7' secure='1' transport='tcp'/>", s.user, sid, s.resource)
			n++
		}
	}
	return head(covered) + ">" + list.String() + "</snapshot>"
}

// login has a client of an account without sessions ask, bind and leave again. It returns how long the answer took.
func (p *peer) login(ctx context.Context, n int) (time.Duration, error) {
	id, s := "login"+strconv.Itoa(n), peerSession{"guest" + strconv.Itoa(n), "android-1"}
	answered := make(chan bool, 1)
	p.mu.Lock()
	p.asks[id] = answered
	begin := time.Now()
	p.iq("get", id, fmt.Sprintf(`<ask xmlns='urn:bindgate:1' ask_id='%s' deadline_ms='5000' user='%s' sid='%s' resource='%s' chosen='1' ip='192.0.2.7' secure='1' tls='TLSv1.3'
		transport='tcp' lang='en' epoch='%s' seq='%d'/>`, id, s.user, id, s.resource, peerEpoch, p.seq))
	p.mu.Unlock()
	select {
	case in := <-answered:
		took := time.Since(begin)
		if !in {
			return took, fmt.Errorf("login %d was not let in", n)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.add(id, s.user, s.resource)
		p.event("bind", id, id, s, "")
		p.end(id, "logout")
		return took, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
