// Package xmppclient is a raw XMPP client for tests, benchmarks, the demo and the self-test of a link: TCP (RFC 6120), WebSocket (RFC 7395) and BOSH
// (XEP-0124), with stream management (XEP-0198), one goroutine a client. It sends what it is told, well-formed or not, shows
// the wire's own text, and can play dead.
package xmppclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is how a client reaches its server.
type Transport int

// The transports.
const (
	TCP Transport = iota
	WebSocket
	BOSH
)

func (t Transport) String() string { return [...]string{"tcp", "websocket", "bosh"}[t] }

// Options say who logs in and how.
type Options struct {
	Transport Transport
	// Addr is host:port for TCP.
	Addr string
	// URL is ws://… or http://… for the other two.
	URL string
	// Domain, User and Password log in by SASL PLAIN, or with Strong. An empty password is "pw".
	Domain, User, Password string
	// TLS encrypts a TCP stream by STARTTLS, or with DirectTLS from its first byte; nil: not at all.
	TLS       *tls.Config
	DirectTLS bool
	// Strong takes the strongest SASL mechanism that both sides know: SCRAM-SHA-256, SCRAM-SHA-1, and PLAIN.
	Strong bool
	// Lang is the stream's xml:lang; empty: "en".
	Lang string
	// LangOnBind puts it on each bind request as well, for servers that do not see the stream's.
	LangOnBind bool
	// Patient keeps a BOSH client from sending a request right behind another one, for servers that trip over the order when the second overtakes the
	// first: ejabberd keeps it then, and what is in it, until the first is answered.
	Patient bool
	// Software and OS are what the client says it is when it is asked (XEP-0092); without Software it refuses to say.
	Software, OS string
	// ClientID is the id of the client's installation, as a SASL2 user-agent id (XEP-0388) would be; empty: none. It goes into the bind, where the
	// servers of internal/prosody read it.
	ClientID string
	// SM turns stream management on after each bind, with resumption.
	SM bool
	// OnStanza, if set, sees each stanza on the reading goroutine, before anyone else. It must not block.
	OnStanza func(*Stanza)
	// Discard forgets stanzas nobody waits for yet (answers to Bind and the like are still had); for masses of clients.
	Discard bool
}

// keep is how many stanzas that nobody has asked for are kept, the newest.
const keep = 2000

// Client is one logged-in stream. All methods may be called from any goroutine.
type Client struct {
	opts Options
	t    transport
	ids  atomic.Int64

	writeMu sync.Mutex

	mu        sync.Mutex
	inbox     []*Stanza
	waiters   []*waiter
	streamErr *StreamError
	smID      string
	smOn      bool
	handled   uint32
	jid       string
	closeErr  error

	muted   atomic.Bool
	closed  chan struct{}
	closing sync.Once
}

type waiter struct {
	match func(*Stanza) bool
	got   chan *Stanza
}

// Dial connects and authenticates. The stream is ready to Bind or to Resume.
func Dial(ctx context.Context, opts Options) (*Client, error) {
	if opts.Lang == "" {
		opts.Lang = "en"
	}
	if opts.Password == "" {
		opts.Password = "pw"
	}
	c := &Client{opts: opts, closed: make(chan struct{})}
	var err error
	switch opts.Transport {
	case TCP:
		c.t, err = dialTCP(ctx, opts.Addr, opts.directTLS())
	case WebSocket:
		c.t, err = dialWebSocket(ctx, opts.URL)
	case BOSH:
		c.t = dialBOSH(opts.URL, opts.Patient)
	default:
		err = fmt.Errorf("xmppclient: unknown transport %d", opts.Transport)
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.t.abort)
	if err := c.login(ctx); err != nil {
		c.t.abort()
		stop()
		return nil, fmt.Errorf("xmppclient: log in as %s@%s: %w", opts.User, opts.Domain, err)
	}
	if !stop() {
		return nil, fmt.Errorf("xmppclient: log in: %w", context.Cause(ctx))
	}
	go c.readLoop()
	return c, nil
}

func (c *Client) login(ctx context.Context) error {
	features, err := c.reopen(ctx)
	if err != nil {
		return err
	}
	if c.opts.TLS != nil && !c.opts.DirectTLS {
		if features, err = c.startTLS(ctx, features); err != nil {
			return err
		}
	}
	if err := c.authenticate(features); err != nil {
		return err
	}
	if features, err = c.reopen(ctx); err != nil {
		return err
	}
	if features.Child(nsBind, "bind") == nil {
		return fmt.Errorf("bind is not offered: %s", features.Raw)
	}
	return nil
}

// reopen opens the stream, once more after each change of what it stands on, and returns its features.
func (c *Client) reopen(ctx context.Context) (*Element, error) {
	if err := c.t.open(ctx, c.opts.Domain, c.opts.Lang); err != nil {
		return nil, err
	}
	features, err := c.t.read()
	switch {
	case err != nil:
		return nil, err
	case !isStreams(features.Name.Space) || features.Name.Local != "features":
		return nil, fmt.Errorf("expected stream features, got %s", features.Raw)
	}
	return features, nil
}

// readLoop owns the reading side until the stream ends.
func (c *Client) readLoop() {
	for {
		e, err := c.t.read()
		if err != nil {
			c.finish(err)
			return
		}
		c.handle(e)
	}
}

func (c *Client) finish(err error) {
	c.mu.Lock()
	if c.closeErr == nil {
		c.closeErr = ErrClosed
		if c.streamErr != nil {
			c.closeErr = c.streamErr
		} else if !errors.Is(err, errStreamEnd) && !errors.Is(err, net.ErrClosed) {
			c.closeErr = fmt.Errorf("%w: %w", ErrClosed, err)
		}
	}
	c.mu.Unlock()
	c.t.abort()
	c.closing.Do(func() { close(c.closed) })
}

func (c *Client) handle(e *Stanza) {
	if isStreams(e.Name.Space) && e.Name.Local == "error" {
		c.mu.Lock()
		c.streamErr = streamError(e)
		c.mu.Unlock()
		return
	}
	stanza := e.Name.Space == nsClient || e.Name.Space == ""
	c.mu.Lock()
	if c.smOn && stanza {
		c.handled++
	}
	handled := c.handled
	c.mu.Unlock()
	if c.opts.OnStanza != nil {
		c.opts.OnStanza(e)
	}
	if !c.muted.Load() && c.answer(e, stanza, handled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.waiters {
		if w.match(e) {
			c.waiters = slices.Delete(c.waiters, i, i+1)
			w.got <- e
			return
		}
	}
	if c.opts.Discard {
		return
	}
	if len(c.inbox) >= keep {
		c.inbox = c.inbox[1:]
	}
	c.inbox = append(c.inbox, e)
}

// answer does what any client does by itself: acknowledges, answers pings, refuses other requests.
func (c *Client) answer(e *Stanza, stanza bool, handled uint32) bool {
	switch {
	case e.Name.Space == nsSM && e.Name.Local == "r":
		_ = c.SendRaw("<a xmlns='" + nsSM + "' h='" + strconv.FormatUint(uint64(handled), 10) + "'/>")
	case stanza && e.Name.Local == "iq" && (e.Attr("type") == "get" || e.Attr("type") == "set"):
		head := "<iq id='" + Escape(e.Attr("id")) + "' to='" + Escape(e.Attr("from")) + "' type='"
		switch {
		case e.Child(nsPing, "ping") != nil:
			_ = c.SendRaw(head + "result'/>")
		case e.Child(nsVersion, "query") != nil && c.opts.Software != "":
			_ = c.SendRaw(head + "result'><query xmlns='" + nsVersion + "'><name>" + Escape(c.opts.Software) + "</name><version>1</version><os>" + Escape(c.opts.OS) + "</os></query></iq>")
		default:
			_ = c.SendRaw(head + "error'><error type='cancel'><service-unavailable xmlns='" + nsStanzaE + "'/></error></iq>")
		}
	default:
		return false
	}
	return true
}

// Expect returns the first stanza, kept or coming, that match accepts. It fails when ctx or the stream ends first.
func (c *Client) Expect(ctx context.Context, match func(*Stanza) bool) (*Stanza, error) {
	return c.expect(ctx, match, nil)
}

// expect runs send after the wait has begun, so that no answer is missed.
func (c *Client) expect(ctx context.Context, match func(*Stanza) bool, send func() error) (*Stanza, error) {
	w := &waiter{match: match, got: make(chan *Stanza, 1)}
	c.mu.Lock()
	if i := slices.IndexFunc(c.inbox, match); i >= 0 {
		e := c.inbox[i]
		c.inbox = slices.Delete(c.inbox, i, i+1)
		c.mu.Unlock()
		return e, nil
	}
	c.waiters = append(c.waiters, w)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.waiters, w); i >= 0 {
			c.waiters = slices.Delete(c.waiters, i, i+1)
		}
	}()
	if send != nil {
		if err := send(); err != nil {
			return nil, err
		}
	}
	select {
	case e := <-w.got:
		return e, nil
	case <-c.closed:
		select {
		case e := <-w.got:
			return e, nil
		default:
			return nil, c.Err()
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("xmppclient: %s@%s waits for a stanza: %w", c.opts.User, c.opts.Domain, context.Cause(ctx))
	}
}

// IQ sends an IQ with that type and content and returns the answer; an error answer is a *StanzaError.
func (c *Client) IQ(ctx context.Context, to, typ, content, lang string) (*Stanza, error) {
	id := "c" + strconv.FormatInt(c.ids.Add(1), 10)
	head := "<iq id='" + id + "' type='" + typ + "'"
	if to != "" {
		head += " to='" + Escape(to) + "'"
	}
	if lang != "" {
		head += " xml:lang='" + Escape(lang) + "'"
	}
	answer, err := c.expect(ctx, func(s *Stanza) bool {
		return s.Name.Local == "iq" && s.Attr("id") == id && (s.Attr("type") == "result" || s.Attr("type") == "error")
	}, func() error { return c.SendRaw(head + ">" + content + "</iq>") })
	if err != nil {
		return nil, err
	}
	if answer.Attr("type") == "error" {
		return nil, stanzaError(answer)
	}
	return answer, nil
}

// SendRaw writes text to the stream as it is.
func (c *Client) SendRaw(text string) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if err := c.t.write(text); err != nil {
		return fmt.Errorf("xmppclient: send: %w", err)
	}
	return nil
}

// SendPresence sends available presence; priority may be negative.
func (c *Client) SendPresence(priority int) error {
	return c.SendRaw("<presence><priority>" + strconv.Itoa(priority) + "</priority></presence>")
}

// SendMessage sends a chat message.
func (c *Client) SendMessage(to, body string) error {
	return c.SendRaw("<message type='chat' to='" + Escape(to) + "'><body>" + Escape(body) + "</body></message>")
}

// Mute switches the automatic answers to <r/>, pings and other requests off (or on again): a phone that is dead but connected.
func (c *Client) Mute(on bool) { c.muted.Store(on) }

// JID is the full address, "" before the bind.
func (c *Client) JID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jid
}

// Resource is the resourcepart of JID.
func (c *Client) Resource() string {
	_, resource, _ := strings.Cut(c.JID(), "/")
	return resource
}

// StreamError is what the server said when it ended the stream, nil if it said nothing (yet).
func (c *Client) StreamError() *StreamError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streamErr
}

// Closed is closed when the stream is over, however it ended.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Err is why the stream is over: a *StreamError or ErrClosed; nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeErr
}

// WaitClosed waits for the end and returns the stream error, nil if there was none.
func (c *Client) WaitClosed(ctx context.Context) (*StreamError, error) {
	select {
	case <-c.closed:
		return c.StreamError(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("xmppclient: %s waits for its stream to end: %w", c.JID(), context.Cause(ctx))
	}
}

// Close logs out: closes the stream, waits briefly for the server to do the same, drops the connection.
func (c *Client) Close() {
	c.writeMu.Lock()
	err := c.t.end()
	c.writeMu.Unlock()
	if err == nil {
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-c.closed:
		case <-timer.C:
		}
	}
	c.Cut()
}

// Cut drops the connection without a word.
func (c *Client) Cut() {
	c.t.abort()
	c.finish(net.ErrClosed)
}

// Freeze reads nothing and answers nothing from now on, and leaves the connection open. Cut ends it.
func (c *Client) Freeze() {
	c.muted.Store(true)
	c.t.freeze()
}
