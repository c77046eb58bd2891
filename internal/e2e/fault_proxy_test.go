package e2e

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy stands between bindgate and the server's component port and does to the link what networks do.
type proxy struct {
	addr   string
	target string
	t      testing.TB

	mu     sync.Mutex
	refuse bool
	conns  map[net.Conn]bool
	// up and down see each stanza that the server, or bindgate, sends; what they return goes on. nil: all go on. They may block.
	up, down func(stanza []byte) [][]byte
}

// proxied puts a proxy in front of the world's server; the bindgates launched from now on go through it.
func (w *world) proxied() *proxy {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	_, target := w.server.Addresses()
	p := &proxy{addr: l.Addr().String(), target: target, t: w.t, conns: map[net.Conn]bool{}}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { p.serve(conn) })
		}
	})
	w.t.Cleanup(func() {
		l.Close()
		p.cut()
		wait.Wait()
	})
	w.addr = p.addr
	return p
}

func (p *proxy) serve(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	p.mu.Lock()
	refuse := p.refuse
	if !refuse {
		p.conns[near], p.conns[far] = true, true
	}
	p.mu.Unlock()
	if refuse {
		return
	}
	var wait sync.WaitGroup
	wait.Go(func() { p.copy(near, far, func() func([]byte) [][]byte { return p.up }) })
	wait.Go(func() { p.copy(far, near, func() func([]byte) [][]byte { return p.down }) })
	wait.Wait()
	p.mu.Lock()
	delete(p.conns, near)
	delete(p.conns, far)
	p.mu.Unlock()
}

func (p *proxy) copy(to, from net.Conn, filter func() func([]byte) [][]byte) {
	defer to.Close()
	defer from.Close()
	var s splitter
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		for _, stanza := range s.split(buf[:n]) {
			p.mu.Lock()
			f := filter()
			p.mu.Unlock()
			out := [][]byte{stanza}
			if f != nil {
				out = f(stanza)
			}
			for _, b := range out {
				if _, err := to.Write(b); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// filter sets what happens to stanzas on their way up (to bindgate) and down (to the server).
func (p *proxy) filter(up, down func(stanza []byte) [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
}

// cut ends all connections; new ones are let through.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// shut ends all connections and takes no others; open takes them again.
func (p *proxy) shut() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
}

// splitter cuts a stream where a child of its root ends, and behind the root's own tags. It relies on < and > being escaped in
// attributes and text, as both sides here do.
type splitter struct {
	rest  []byte
	depth int
}

func (s *splitter) split(b []byte) (out [][]byte) {
	s.rest = append(s.rest, b...)
	at, start := 0, 0
	depth := s.depth
	for {
		open := bytes.IndexByte(s.rest[at:], '<')
		if open < 0 {
			break
		}
		end := bytes.IndexByte(s.rest[at+open:], '>')
		if end < 0 {
			break
		}
		tag := s.rest[at+open : at+open+end+1]
		at += open + end + 1
		switch {
		case tag[1] == '?':
		case tag[1] == '/':
			depth--
		case tag[len(tag)-2] != '/':
			depth++
			if depth > 1 {
				continue
			}
		}
		if depth <= 1 {
			out = append(out, bytes.Clone(s.rest[start:at]))
			start, s.depth = at, depth
		}
	}
	if start == 0 && s.depth == 1 && len(bytes.TrimSpace(s.rest)) == 0 && len(s.rest) > 0 { // white space keeps a link alive
		out, start = append(out, bytes.Clone(s.rest)), len(s.rest)
	}
	s.rest = bytes.Clone(s.rest[start:])
	return out
}
