// Package adhoc is the driver for stock servers with ad-hoc commands (XEP-0050) of service administration (XEP-0133): what an administrator can see of a server's sessions
// and do to them, by a component's stream and nothing else.
//
// It knows no server by its name but in what it says about it: what a server offers is discovered, forms are filled in by what their fields are called, and
// what is not understood is left as the server has set it. Users write parts of what servers list; nothing that a user can write makes a session of another account.
package adhoc

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bindgate/bindgate/xmppbridge"
)

// Conn sends requests on the stream of a component; an xmppbridge.Stream is one.
type Conn interface {
	// Query sends an IQ of type get or set with one payload element and returns the whole IQ that answers it. An *xmppbridge.StanzaError is what the other side refused
	// it with; another error means that it is not known whether the request was carried out. It is called from several goroutines.
	Query(ctx context.Context, to, kind, payload string) ([]byte, error)
}

// Client runs the commands of one address.
type Client struct {
	conn Conn
	to   string

	mu    sync.Mutex
	forms map[string]*form // how a command's first form looked, by node
}

// NewClient makes a client for the commands of to.
func NewClient(conn Conn, to string) *Client {
	return &Client{conn: conn, to: to, forms: map[string]*form{}}
}

// NoteError is a command that ended with a note of type error (XEP-0050 §4.2).
type NoteError struct{ Text string }

func (e *NoteError) Error() string { return fmt.Sprintf("the server says: %.200s", e.Text) }

// NoAnswerError is a request that was not answered in time.
type NoAnswerError struct{ Address string }

func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("%.200s did not answer; an ejabberd from 24.10 on with mod_privilege drops what components ask: take mod_privilege out, or use driver ejabberd", e.Address)
}

// Unwrap says that time was over.
func (e *NoAnswerError) Unwrap() error { return context.DeadlineExceeded }

// refused reports whether err is a stanza error of one of these conditions.
func refused(err error, conditions ...string) bool {
	e, ok := errors.AsType[*xmppbridge.StanzaError](err)
	return ok && slices.Contains(conditions, e.Condition)
}

// ask sends a request and reads the answer.
func (c *Client) ask(ctx context.Context, kind, to string, child any) (*reply, error) {
	b, err := xml.Marshal(child)
	if err != nil {
		return nil, err
	}
	b, err = c.conn.Query(ctx, to, kind, string(b))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &NoAnswerError{to}
	}
	if err != nil {
		return nil, err
	}
	var r reply
	if err := xml.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("the answer is not well-formed: %w", err)
	}
	return &r, nil
}

// Item is what is found at an address (XEP-0030 §4).
type Item struct {
	JID  string `xml:"jid,attr"`
	Node string `xml:"node,attr"`
}

// Items are those of an address and its node; both may be anything, node also empty.
func (c *Client) Items(ctx context.Context, address, node string) ([]Item, error) {
	r, err := c.ask(ctx, "get", address, query{XMLName: xml.Name{Space: nsItems, Local: "query"}, Node: node})
	switch {
	case err != nil:
		return nil, err
	case r.Items == nil:
		return nil, errors.New("the answer lists no items")
	}
	return r.Items.Items, nil
}

// Commands are the nodes of the commands that this client may run, by the server's word (XEP-0050 §2.2).
func (c *Client) Commands(ctx context.Context) ([]string, error) {
	items, err := c.Items(ctx, c.to, nsCommands)
	if err != nil {
		return nil, err
	}
	nodes := make([]string, 0, len(items))
	for _, i := range items {
		nodes = append(nodes, i.Node)
	}
	return nodes, nil
}

// software is what the server calls itself as the first identity of category server (XEP-0030 §3), "" if it does not say.
func (c *Client) software(ctx context.Context) string {
	r, err := c.ask(ctx, "get", c.to, query{XMLName: xml.Name{Space: nsInfo, Local: "query"}})
	if err != nil || r.Info == nil {
		return ""
	}
	for _, i := range r.Info.Identities {
		if i.Category == "server" {
			return i.Name
		}
	}
	return ""
}

// Result is how a command ended.
type Result struct {
	Fields map[string][]string // values by the field's name
	Notes  []string
}

// maxSteps is how many forms a command may ask for.
const maxSteps = 5

// Run runs a command to its end: those that answer at once, those that ask for a form, and those that ask for several. The first form is sent with the
// request where an earlier run has shown how it looks; servers that do not take it so early ask for it as always. An *xmppbridge.StanzaError or a *NoteError is what the server said.
func (c *Client) Run(ctx context.Context, node string, answer Answers) (Result, error) {
	first := command{Node: node, Action: "execute"}
	if known := c.form(node); known != nil {
		filled, err := known.fill(answer)
		if err == nil {
			first.Form = filled
			r, err := c.run(ctx, first, answer)
			if !refused(err, "bad-request") {
				return r, err
			}
		}
		c.keep(node, nil)
		first.Form = nil
	}
	return c.run(ctx, first, answer)
}

func (c *Client) run(ctx context.Context, step command, answer Answers) (Result, error) {
	for n := range maxSteps {
		got, err := c.step(ctx, step)
		if err != nil {
			return Result{}, err
		}
		switch got.Status {
		case "completed":
			return got.result()
		case "canceled":
			return Result{}, errors.Join(errors.New("the server has cancelled the command"), got.noteErr())
		}
		filled, err := got.Form.fill(answer)
		if err != nil {
			c.cancel(ctx, got)
			return Result{}, err
		}
		if n == 0 && step.Form == nil {
			c.keep(step.Node, got.Form)
		}
		step = command{Node: step.Node, Session: got.Session, Action: got.proceed(), Form: filled}
	}
	c.cancel(ctx, &step)
	return Result{}, fmt.Errorf("the command asks for more than %d forms", maxSteps)
}

// step sends one step of a command.
func (c *Client) step(ctx context.Context, step command) (*command, error) {
	r, err := c.ask(ctx, "set", c.to, step)
	switch {
	case err != nil:
		return nil, err
	case r.Command == nil:
		return nil, errors.New("the answer holds no command")
	case r.Command.Session == "":
		r.Command.Session = step.Session
	}
	r.Command.Node = step.Node
	return r.Command, nil
}

// cancel ends a command that is not gone on with. What the server says to it does not matter: it forgets such commands by itself.
func (c *Client) cancel(ctx context.Context, at *command) {
	_, _ = c.step(ctx, command{Node: at.Node, Session: at.Session, Action: "cancel"})
}

// look opens a command and cancels it, and returns the names of the fields that it asks for; none if it asks for nothing, and is done then.
func (c *Client) look(ctx context.Context, node string) ([]string, error) {
	got, err := c.step(ctx, command{Node: node, Action: "execute"})
	if err != nil {
		return nil, err
	}
	if got.Status == "completed" {
		_, err := got.result()
		return nil, err
	}
	c.cancel(ctx, got)
	var names []string
	for _, f := range got.Form.fields() {
		names = append(names, f.Name)
	}
	return names, nil
}

func (c *Client) form(node string) *form {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forms[node]
}

func (c *Client) keep(node string, f *form) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forms[node] = f
}

// proceed is the action that goes on: to the end where the server offers it. Without a list of actions there is one stage, which complete ends (XEP-0050 §3.4).
func (c *command) proceed() string {
	if c.Actions != nil && c.Actions.Complete == nil && (c.Actions.Next != nil || c.Actions.Default == "next") {
		return "next"
	}
	return "complete"
}

// result reads a command that is done. Some servers say of its form that it is one to be filled in, so that does not matter.
func (c *command) result() (Result, error) {
	r := Result{Fields: map[string][]string{}}
	for _, f := range c.Form.fields() {
		r.Fields[f.Name] = append(r.Fields[f.Name], f.Values...)
	}
	for _, n := range c.Notes {
		r.Notes = append(r.Notes, strings.TrimSpace(n.Text))
	}
	return r, c.noteErr()
}

func (c *command) noteErr() error {
	for _, n := range c.Notes {
		if n.Kind == "error" {
			return &NoteError{strings.TrimSpace(n.Text)}
		}
	}
	return nil
}
