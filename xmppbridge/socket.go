package xmppbridge

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
)

// Deadlines of opening a connection.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
)

// keepAlive notices a dead machine within 25 s, below what the pulse notices.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// byteConn is a connection that is read through one buffer. Since it is an io.ByteReader, encoding/xml reads it byte by byte and not a
// byte beyond the handshake; the framer goes on from there.
type byteConn struct {
	net.Conn
	r     *bufio.Reader
	heard *atomic.Int64 // reads that brought something
}

func newByteConn(sock net.Conn) *byteConn {
	h := new(atomic.Int64)
	return &byteConn{Conn: sock, r: bufio.NewReaderSize(countingReader{sock, h}, 32<<10), heard: h}
}

type countingReader struct {
	r     io.Reader
	reads *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *byteConn) Read(p []byte) (int, error) { return c.r.Read(p) }
func (c *byteConn) ReadByte() (byte, error)    { return c.r.ReadByte() }

// Close does not wait: closing TLS would say goodbye first, for 5 s if the server does not read.
func (c *byteConn) Close() error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.NetConn().Close()
	}
	return c.Conn.Close()
}

// open dials and authenticates.
func (b *Bridge) open(ctx context.Context) (*conn, error) {
	sock, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	bc := newByteConn(sock)
	defer context.AfterFunc(ctx, func() { _ = bc.Close() })()
	session, err := b.handshake(bc) //nolint:contextcheck // the end of ctx closes bc
	if err != nil {
		_ = bc.Close()
		return nil, err
	}
	return newConn(b, bc, session), nil
}

// handshake opens the stream (XEP-0114 §3). mellium is given no context: when one ends just after the handshake, mellium may still set a deadline in the past.
func (b *Bridge) handshake(bc *byteConn) (*xmpp.Session, error) {
	addr, err := jid.New("", b.cfg.Component, "")
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", b.cfg.Component, err)
	}
	_ = bc.SetDeadline(time.Now().Add(handshakeTimeout))
	session, err := component.NewSession(context.Background(), addr, []byte(b.cfg.Secret), bc)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, fmt.Errorf("%s accepts connections but did not answer as a component port within %s", b.cfg.Addr, handshakeTimeout)
	case err != nil:
		return nil, fmt.Errorf("handshake with %s: %w", b.cfg.Addr, refusal(b.cfg.Component, err))
	}
	return session, bc.SetDeadline(time.Time{})
}

// dial connects the socket.
func (b *Bridge) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if b.cfg.dial != nil {
		return b.cfg.dial(ctx)
	}
	d := net.Dialer{KeepAliveConfig: keepAlive}
	sock, err := d.DialContext(ctx, "tcp", b.cfg.Addr)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%w: is the server running, and is its component port open at that address?", err)
		}
		return nil, err
	}
	if tcp, ok := sock.(*net.TCPConn); ok {
		sock = tuned(tcp)
	}
	if b.cfg.TLS == nil {
		return sock, nil
	}
	cfg := b.cfg.TLS.Clone()
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg.ServerName, _, _ = net.SplitHostPort(b.cfg.Addr)
	}
	t := tls.Client(sock, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("TLS with %s: %w", b.cfg.Addr, err)
	}
	return t, nil
}
