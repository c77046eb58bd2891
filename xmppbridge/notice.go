package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// Notify implements gate.Link. A queue that is half full takes no notices, so that they cannot end the connection or delay an answer for long.
func (c *conn) Notify(ctx context.Context, src gate.Source, n gate.Notice) error {
	to, ok := sessionAddress(src.Domain, n.User, n.Resource)
	if !ok {
		return errors.New("notice: not the address of a session")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	select {
	case <-c.done:
		return fmt.Errorf("notice: %w", ErrDown)
	default:
	}
	b := encodeNotice(c.b.cfg.Component, to, n)
	if len(b) > maxSend {
		return fmt.Errorf("notice: %d bytes, more than %d", len(b), maxSend)
	}
	if !c.offer(b) {
		return fmt.Errorf("notice: %w", ErrBusy)
	}
	return nil
}

// encodeNotice makes the message about a new login: a headline, which servers neither keep for later nor copy to other devices (RFC 6121 §5.2.2).
func encodeNotice(from, to string, n gate.Notice) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "<message type='headline'"...)
	b = appendAttr(b, "from", from)
	b = appendAttr(b, "to", to)
	b = append(b, '>')
	if n.Text != "" {
		b = append(b, "<body"...)
		b = appendWord(b, "xml:lang", n.Lang)
		b = append(appendEscaped(append(b, '>'), n.Text), "</body>"...)
	}
	b = append(b, "<login xmlns='"+NS+"'"...)
	b = appendWord(b, "device", n.Device)
	b = appendWord(b, "platform", n.Platform)
	if !n.At.IsZero() {
		b = appendAttr(b, "at", n.At.UTC().Format(time.RFC3339))
	}
	return append(b, "/></message>"...)
}
