package xmppclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// transport carries a stream's elements. read is called by one goroutine, write by any, under the client's lock.
type transport interface {
	// open opens the stream, or opens it again after authentication; the features follow by read.
	open(ctx context.Context, domain, lang string) error
	write(xml string) error
	read() (*Element, error)
	// end says goodbye and leaves the connection to be closed by abort.
	end() error
	// abort drops the connection without a word.
	abort()
	// freeze stops reading for ever and leaves the connection open.
	freeze()
}

const writeTimeout = 30 * time.Second

// withNamespace declares jabber:client on a stanza: what stands alone in a message or inside <body/> has to say it itself.
func withNamespace(s string) string {
	end := strings.IndexAny(s, " />")
	if end < 0 {
		return s
	}
	switch name := s[:end]; name {
	case "<iq", "<message", "<presence":
		if !strings.Contains(s[:strings.IndexByte(s, '>')+1], " xmlns=") {
			return name + " xmlns='" + nsClient + "'" + s[end:]
		}
	}
	return s
}

// tcp is RFC 6120.
type tcp struct {
	conn   net.Conn
	parser *Reader
	stop   chan struct{}
	once   sync.Once
	frozen chan struct{}
}

// dialTCP connects, with direct by TLS (XEP-0368).
func dialTCP(ctx context.Context, addr string, direct *tls.Config) (*tcp, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("xmppclient: %w", err)
	}
	if direct != nil {
		secure := tls.Client(conn, direct)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("xmppclient: TLS: %w", err)
		}
		conn = secure
	}
	return &tcp{conn: conn, stop: make(chan struct{}), frozen: make(chan struct{})}, nil
}

func (t *tcp) open(ctx context.Context, domain, lang string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = t.conn.SetReadDeadline(deadline)
		defer func() { _ = t.conn.SetReadDeadline(time.Time{}) }()
	}
	header := "<?xml version='1.0'?><stream:stream to='" + Escape(domain) + "' version='1.0' xml:lang='" + Escape(lang) +
		"' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	if err := t.write(header); err != nil {
		return err
	}
	t.parser = NewReader(t.conn)
	_, err := t.parser.Header()
	return err
}

func (t *tcp) write(s string) error {
	_ = t.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(t.conn, s)
	return err
}

func (t *tcp) read() (*Element, error) {
	e, err := t.parser.Next()
	select {
	case <-t.frozen:
		<-t.stop
		return nil, net.ErrClosed
	default:
	}
	return e, err
}

func (t *tcp) end() error { return t.write("</stream:stream>") }

func (t *tcp) abort() {
	t.once.Do(func() { close(t.stop) })
	t.conn.Close()
}

func (t *tcp) freeze() {
	close(t.frozen)
	_ = t.conn.SetReadDeadline(time.Unix(1, 0))
}

// ws is RFC 7395.
type ws struct {
	conn   *websocket.Conn
	raw    net.Conn
	ctx    context.Context
	cancel context.CancelFunc
	frozen chan struct{}
}

func dialWebSocket(ctx context.Context, url string) (*ws, error) {
	w := &ws{frozen: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			w.raw = conn
			return conn, err
		},
	}}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"xmpp"}}) //nolint:bodyclose // the caller never has to close it, says Dial
	if err != nil {
		return nil, fmt.Errorf("xmppclient: %w", err)
	}
	conn.SetReadLimit(1 << 20)
	w.conn = conn
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

func (w *ws) open(ctx context.Context, domain, lang string) error {
	err := w.write("<open xmlns='" + nsFraming + "' to='" + Escape(domain) + "' version='1.0' xml:lang='" + Escape(lang) + "'/>") //nolint:contextcheck // writes have a timeout of their own
	if err != nil {
		return err
	}
	e, err := w.readMessage(ctx)
	if err != nil {
		return err
	}
	if e.Name.Local != "open" {
		return fmt.Errorf("xmppclient: expected <open/>, got %s", e.Raw)
	}
	return nil
}

func (w *ws) write(s string) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeTimeout)
	defer cancel()
	return w.conn.Write(ctx, websocket.MessageText, []byte(withNamespace(s)))
}

func (w *ws) read() (*Element, error) {
	e, err := w.readMessage(w.ctx)
	if err != nil {
		return nil, err
	}
	if e.Name.Space == nsFraming && e.Name.Local == "close" {
		return nil, errStreamEnd
	}
	return e, nil
}

func (w *ws) readMessage(ctx context.Context) (*Element, error) {
	select {
	case <-w.frozen:
		<-w.ctx.Done()
		return nil, net.ErrClosed
	default:
	}
	_, text, err := w.conn.Read(ctx)
	if err != nil {
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return nil, errStreamEnd
		}
		return nil, err
	}
	select {
	case <-w.frozen:
		<-w.ctx.Done()
		return nil, net.ErrClosed
	default:
	}
	return parse(string(text))
}

func (w *ws) end() error { return w.write("<close xmlns='" + nsFraming + "'/>") }

func (w *ws) abort() {
	// The connection itself first: no close frame may leave.
	if w.raw != nil {
		w.raw.Close()
	}
	w.cancel()
	_ = w.conn.CloseNow()
}

func (w *ws) freeze() { close(w.frozen) }
