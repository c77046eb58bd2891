package xmppclient

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// BindResult is a bind that went well.
type BindResult struct {
	// JID is the full address, Resource its last part.
	JID, Resource string
	// SentAt and At are when the request was written and the result read.
	SentAt, At time.Time
	Raw        string
}

// BindOptions are what a bind can carry besides the resource.
type BindOptions struct {
	// Resource is what the client wants; empty: the server makes one.
	Resource string
	// Takeover is the token of a grant or of a session to be ended.
	Takeover string
	// Lang is the IQ's own xml:lang; empty: the stream's.
	Lang string
}

// Bind binds a resource, "" for one that the server makes. A refusal is a *StanzaError; the stream stays open then.
func (c *Client) Bind(ctx context.Context, resource string) (BindResult, error) {
	return c.BindWith(ctx, BindOptions{Resource: resource})
}

// BindWith is Bind with everything a bind can carry.
func (c *Client) BindWith(ctx context.Context, o BindOptions) (BindResult, error) {
	content := "<bind xmlns='" + nsBind + "'>"
	if o.Resource != "" {
		content += "<resource>" + Escape(o.Resource) + "</resource>"
	}
	if o.Takeover != "" {
		content += "<takeover xmlns='" + NSGate + "' token='" + Escape(o.Takeover) + "'/>"
	}
	if c.opts.ClientID != "" {
		content += "<client xmlns='" + nsKit + "' id='" + Escape(c.opts.ClientID) + "'/>"
	}
	if o.Lang == "" && c.opts.LangOnBind {
		o.Lang = c.opts.Lang
	}
	sent := time.Now()
	answer, err := c.IQ(ctx, "", "set", content+"</bind>", o.Lang)
	if err != nil {
		return BindResult{SentAt: sent}, err
	}
	jid := answer.Child(nsBind, "bind").Child(nsBind, "jid")
	if jid == nil {
		return BindResult{}, fmt.Errorf("xmppclient: a bind result without a jid: %s", answer.Raw)
	}
	_, resource, _ := strings.Cut(jid.Text, "/")
	c.mu.Lock()
	c.jid = jid.Text
	c.mu.Unlock()
	if c.opts.SM {
		if err := c.EnableSM(ctx, true); err != nil {
			return BindResult{}, err
		}
	}
	return BindResult{JID: jid.Text, Resource: resource, SentAt: sent, At: answer.At, Raw: answer.Raw}, nil
}

// EnableSM turns XEP-0198 on, after the bind.
func (c *Client) EnableSM(ctx context.Context, resume bool) error {
	request := "<enable xmlns='" + nsSM + "'/>"
	if resume {
		request = "<enable xmlns='" + nsSM + "' resume='true'/>"
	}
	answer, err := c.expect(ctx, func(s *Stanza) bool {
		if s.Name.Space != nsSM || (s.Name.Local != "enabled" && s.Name.Local != "failed") {
			return false
		}
		if s.Name.Local == "enabled" {
			// Called with the lock held, before the next stanza is read: the count begins here.
			c.smOn, c.handled, c.smID = true, 0, s.Attr("id")
		}
		return true
	}, func() error { return c.SendRaw(request) })
	if err != nil {
		return err
	}
	if answer.Name.Local == "failed" {
		return fmt.Errorf("xmppclient: stream management refused: %s", answer.Raw)
	}
	return nil
}

// SMID is the token to resume with, "" if there is none.
func (c *Client) SMID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.smID
}

// Handled counts the stanzas read since stream management is on.
func (c *Client) Handled() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handled
}

// Resume takes up the session previd on this fresh stream, h stanzas of it handled. A refusal is a *ResumeError; the
// stream may bind then.
func (c *Client) Resume(ctx context.Context, previd string, h uint32) error {
	answer, err := c.expect(ctx, func(s *Stanza) bool {
		if s.Name.Space != nsSM || (s.Name.Local != "resumed" && s.Name.Local != "failed") {
			return false
		}
		if s.Name.Local == "resumed" {
			c.smOn, c.handled, c.smID = true, h, previd
		}
		return true
	}, func() error {
		return c.SendRaw("<resume xmlns='" + nsSM + "' previd='" + Escape(previd) + "' h='" + strconv.FormatUint(uint64(h), 10) + "'/>")
	})
	if err != nil {
		return err
	}
	if answer.Name.Local == "failed" {
		e := &ResumeError{Raw: answer.Raw}
		if condition := answer.Child(nsStanzaE, ""); condition != nil {
			e.Condition = condition.Name.Local
		}
		return e
	}
	return nil
}
