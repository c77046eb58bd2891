package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// requestTimeout is how long a request waits for its answer if its ctx has no earlier deadline.
const requestTimeout = 30 * time.Second

var _ gate.Link = (*conn)(nil)

// query sends a request to a host and returns the answering stanza. A *StanzaError is what the server said; ErrDown and ErrReloaded mean that nothing is known.
func (c *conn) query(ctx context.Context, src gate.Source, encode func(envelope) []byte) (*element, error) {
	if !isDomain(src.Domain) {
		return nil, fmt.Errorf("%.80q is not a domain", src.Domain)
	}
	return c.queryTo(ctx, src.Domain, encode)
}

// queryTo sends a request to any address.
func (c *conn) queryTo(ctx context.Context, to string, encode func(envelope) []byte) (*element, error) {
	fr, err := c.queryFrame(ctx, to, encode)
	if err != nil {
		return nil, err
	}
	return answer(fr)
}

// queryFrame sends a request and returns the stanza that answers it, unread.
func (c *conn) queryFrame(ctx context.Context, to string, encode func(envelope) []byte) (frame, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return frame{}, err
	}
	id := c.nextID()
	b := encode(envelope{from: c.b.cfg.Component, to: to, id: id})
	if len(b) > maxSend {
		return frame{}, fmt.Errorf("request of %d bytes, more than %d", len(b), maxSend)
	}
	got, lost := make(chan frame, 1), make(chan struct{})
	c.expect(id, waiter{to: to, reply: func(fr frame) { got <- fr }, lost: func() { close(lost) }})
	defer c.forget(id)
	c.b.stats.requests.Add(1)
	if err := c.sendWait(ctx, b); err != nil {
		return frame{}, err
	}
	select {
	case fr := <-got:
		return fr, nil
	case <-lost:
		return frame{}, ErrReloaded
	case <-c.done:
		return frame{}, ErrDown
	case <-ctx.Done():
		c.b.stats.timeouts.Add(1)
		return frame{}, fmt.Errorf("%s has not answered: %w", clip(to), ctx.Err())
	}
}

// answer reads an IQ of type result or error.
func answer(fr frame) (*element, error) {
	if fr.body == nil {
		return nil, fmt.Errorf("%w: %s", ErrTooLarge, fr.skip)
	}
	e, err := parseElement(fr.body)
	if err != nil {
		return nil, err
	}
	if fr.kind == "error" {
		return nil, parseError(e)
	}
	return e, nil
}

// payload is the answer's element of that name.
func payload(e *element, name string) (*element, error) {
	if p := e.child(NS, name); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: the answer holds no <%s/>", name, name)
}

// Kick implements gate.Link.
func (c *conn) Kick(ctx context.Context, src gate.Source, k gate.Kick) (gate.KickResult, error) {
	e, err := c.query(ctx, src, func(env envelope) []byte { return encodeKick(env, src.Node, k) })
	var se *StanzaError
	switch {
	case errors.As(err, &se) && se.Condition == "item-not-found":
		return gate.KickGone, nil
	case err != nil:
		return "", fmt.Errorf("kick: %w", err)
	}
	if p := e.child(NS, "kick"); p != nil {
		f := &fields{e: p, what: "kick"}
		if pending := f.yes("pending"); f.err != nil {
			return "", f.err
		} else if pending {
			return gate.KickPending, nil
		}
	}
	return gate.KickDone, nil
}

// Probe implements gate.Link. Every sid has a verdict if there is no error.
func (c *conn) Probe(ctx context.Context, src gate.Source, user string, sids []string, timeout time.Duration) (map[string]gate.Verdict, error) {
	if len(sids) == 0 || len(sids) > maxListed {
		return nil, fmt.Errorf("probe: %d sessions, not 1 to %d", len(sids), maxListed)
	}
	e, err := c.query(ctx, src, func(env envelope) []byte { return encodeProbe(env, src.Node, user, sids, timeout) })
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	p, err := payload(e, "probe")
	if err != nil {
		return nil, err
	}
	return parseVerdicts(p, sids)
}

// Snapshot implements gate.Link. The part covers one bucket at least.
func (c *conn) Snapshot(ctx context.Context, src gate.Source, first, count int, digest string) (gate.Part, error) {
	if first < 0 || count < 1 || first+count > gate.Buckets {
		return gate.Part{}, fmt.Errorf("snapshot: buckets %d+%d are not within 0 … %d", first, count, gate.Buckets-1)
	}
	e, err := c.query(ctx, src, func(env envelope) []byte { return encodeSnapshot(env, src.Node, first, count, digest) })
	if err != nil {
		return gate.Part{}, fmt.Errorf("snapshot: %w", err)
	}
	p, err := payload(e, "snapshot")
	if err != nil {
		return gate.Part{}, err
	}
	return parsePart(p, src, first, count)
}

// SetMode implements gate.Link.
func (c *conn) SetMode(ctx context.Context, src gate.Source, mode string) error {
	switch mode {
	case "enforce", "observe", "off":
	default:
		return fmt.Errorf("mode %q is not one of enforce, observe, off", mode)
	}
	if _, err := c.query(ctx, src, func(env envelope) []byte { return encodeMode(env, src.Node, mode) }); err != nil {
		return fmt.Errorf("mode: %w", err)
	}
	return nil
}

// Revoke implements gate.Link.
func (c *conn) Revoke(ctx context.Context, src gate.Source, user string, devices []string, others bool) (gate.Revocation, error) {
	e, err := c.query(ctx, src, func(env envelope) []byte { return encodeRevoke(env, src.Node, user, devices, others) })
	if err != nil {
		return gate.Revocation{}, fmt.Errorf("revoke: %w", err)
	}
	p, err := payload(e, "revoke")
	if err != nil {
		return gate.Revocation{}, err
	}
	return parseRevocation(p)
}
