package xmppbridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp"
)

// Bounds of a connection.
const (
	queueSize    = 4096             // stanzas that wait to be written; more end the connection
	batchSize    = 64 << 10         // bytes written at once
	writeTimeout = 10 * time.Second // for one batch
	closeTimeout = time.Second      // for the server's </stream:stream>
)

// conn is one authenticated connection. It implements gate.Link.
type conn struct {
	b       *Bridge
	log     *slog.Logger
	sock    *byteConn
	session *xmpp.Session
	queue   chan []byte
	stop    chan struct{} // closed: write what waits, then say goodbye
	done    chan struct{} // closed: the connection has ended, cause says why
	ended   sync.Once
	cause   error
	prefix  string // of our ids
	last    atomic.Uint64

	mu      sync.Mutex // guards waiting and hosts
	waiting map[string]waiter
	hosts   map[string]*host

	helloMu sync.Mutex // orders Gate.Hello and Gate.Problem
	noise   noise      // what hosts do wrong
	strange noise      // what cannot be read, of anybody

	door   door       // of users
	visits chan visit // those that were let in; room for ownersOpen
}

// host is what a virtual host has said on this connection.
type host struct {
	node    string
	epoch   string // of the module's load
	hello   bool   // its hello was taken
	refused string // why not, if it said one
	asked   bool   // bindgate has asked for its hello
	checks  int    // since it was last asked whether it is still there and has not answered
}

// waiter waits for the answer of to. Only the read loop calls reply, once, and reply must not wait.
type waiter struct {
	to    string
	reply func(frame)
	lost  func() // the module was loaded anew; once, in place of reply. nil: nobody cares
}

func newConn(b *Bridge, sock *byteConn, session *xmpp.Session) *conn {
	return &conn{
		b:       b,
		log:     b.log,
		sock:    sock,
		session: session,
		queue:   make(chan []byte, queueSize),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		prefix:  "bg-" + rand.Text()[:10] + "-",
		waiting: make(map[string]waiter),
		hosts:   make(map[string]*host),
		visits:  make(chan visit, ownersOpen),
	}
}

// run reads until the connection ends and says why. When ctx ends, what waits is written and the stream closed.
func (c *conn) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(c.write)
	wg.Go(c.pulse)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.b.cfg.Owner != nil {
		for range ownersAtWork {
			wg.Go(func() { c.serveOwners(work) })
		}
	}
	unhook := context.AfterFunc(ctx, func() { close(c.stop) })
	err := c.read()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	unhook()
	c.end(err)
	cancel()
	wg.Wait()
	return c.cause
}

// end ends the connection for everybody. The first cause stays.
func (c *conn) end(cause error) {
	c.ended.Do(func() {
		c.cause = cause
		close(c.done)
		_ = c.sock.Close()
	})
}

// read is the read loop.
func (c *conn) read() error {
	f := newFramer(c.sock.r)
	for {
		fr, err := f.next(c.room)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the connection to the server was lost")
		case errors.Is(err, errStreamEnd):
			return err
		case err != nil:
			return fmt.Errorf("read from the server: %w", err)
		}
		if err := c.handle(fr, time.Now()); err != nil {
			return err
		}
	}
}

// write is the only goroutine that writes.
func (c *conn) write() {
	var buf []byte
	for {
		var b []byte
		select {
		case <-c.done:
			return
		case b = <-c.queue:
		case <-c.stop:
			if len(c.queue) == 0 {
				c.goodbye()
				return
			}
			continue
		}
		for buf = append(buf[:0], b...); len(buf) < batchSize && len(c.queue) > 0; {
			buf = append(buf, <-c.queue...)
		}
		c.b.stats.queued.Store(int64(len(c.queue)))
		_ = c.sock.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.sock.Write(buf); err != nil {
			c.end(fmt.Errorf("write to the server: %w", err))
			return
		}
	}
}

// goodbye closes our stream and gives the server some time to close its own.
func (c *conn) goodbye() {
	_ = c.sock.SetDeadline(time.Now().Add(closeTimeout))
	_ = c.session.Close()
}

// send queues a stanza without waiting. A full queue ends the connection.
func (c *conn) send(b []byte) error {
	select {
	case <-c.done:
		return ErrDown
	default:
	}
	select {
	case c.queue <- b:
		return nil
	default:
		c.end(ErrBacklog)
		return ErrDown
	}
}

// offer queues what may as well be left out, as long as half of the queue is free, and says whether it did.
func (c *conn) offer(b []byte) bool {
	if len(c.queue) < queueSize/2 {
		select {
		case c.queue <- b:
			return true
		default:
		}
	}
	c.b.stats.dropped.Add(1)
	return false
}

// sendWait queues a stanza and waits for room.
func (c *conn) sendWait(ctx context.Context, b []byte) error {
	select {
	case <-c.done:
		return ErrDown
	default:
	}
	select {
	case c.queue <- b:
		return nil
	case <-c.done:
		return ErrDown
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *conn) nextID() string { return c.prefix + strconv.FormatUint(c.last.Add(1), 36) }

// expect registers who waits for an answer.
func (c *conn) expect(id string, w waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[id] = w
}

// forget ends a wait and says whether it was still on.
func (c *conn) forget(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[id]
	delete(c.waiting, id)
	return ok
}

// take ends the wait for an answer, if it comes from who was asked.
func (c *conn) take(id, from string) (waiter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.waiting[id]
	if !ok || w.to != from {
		return waiter{}, false
	}
	delete(c.waiting, id)
	return w, true
}

// lose takes the waits for answers of a host, for who holds mu; call tells those who wait.
func (c *conn) lose(domain string) (call []func()) {
	for id, w := range c.waiting {
		if w.to == domain && w.lost != nil {
			delete(c.waiting, id)
			call = append(call, w.lost)
		}
	}
	return call
}

// noise limits what strangers can write into the log: 10 lines a minute.
type noise struct {
	mu    sync.Mutex
	since time.Time
	lines int
}

func (n *noise) allow(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.since) >= time.Minute {
		n.since, n.lines = now, 0
	}
	n.lines++
	return n.lines <= 10
}

// complain logs something that a host has done wrong.
func (c *conn) complain(msg string, args ...any) {
	if c.noise.allow(time.Now()) {
		c.log.Warn(msg, args...)
	}
}
