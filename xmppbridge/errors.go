package xmppbridge

import (
	"errors"
	"fmt"

	"mellium.im/xmpp/stream"
)

var (
	// ErrDown is returned to everyone who waits for an answer when the connection ends.
	ErrDown = errors.New("the link is down")
	// ErrReloaded is returned to everyone who waits for an answer of a module that says hello after it was loaded anew: what it was asked before is lost.
	ErrReloaded = errors.New("the module was loaded anew and has not answered")
	// ErrBacklog ends a connection whose server does not read.
	ErrBacklog = fmt.Errorf("the server does not read: %d stanzas are waiting for it", queueSize)
	// ErrBusy refuses what can be left out while the server reads too slowly.
	ErrBusy = errors.New("the server reads too slowly")
	// ErrSilent ends a connection whose server does not answer.
	ErrSilent = errors.New("the server has said nothing for 25 s, not even to a ping")
	// ErrTooLarge is an answer that was not kept.
	ErrTooLarge = errors.New("the server's answer is too large")
)

// RefusedError is a stream error of the server (RFC 6120 §4.9.3) in words.
type RefusedError struct {
	Component string
	Condition string
	Text      string // the server's own words, may be empty
}

func (e *RefusedError) Error() string {
	var s string
	switch e.Condition {
	case "not-authorized":
		s = fmt.Sprintf("the server refused the secret of component %s; compare component_secret (Prosody), or the password under hosts (ejabberd, which says this of a component that it does not have, too), with the secret of this link", e.Component)
	case "host-unknown":
		s = fmt.Sprintf("the server does not know the component %s; its configuration needs: Component %q", e.Component, e.Component)
	case "conflict":
		s = fmt.Sprintf("the component %s is connected by another client; only one can be: on Prosody with component_conflict_resolve = \"kick_old\" the newest, on ejabberd the newest in any case. Bindgates on one database take turns by themselves, if they call their link by one name: stop the one that does not, or give it a component of its own", e.Component)
	case "system-shutdown":
		s = "the server shuts down"
	default:
		s = "the server ended the stream with " + e.Condition
	}
	if e.Text != "" {
		s += " (it says: " + e.Text + ")"
	}
	return s
}

// refusal turns a stream error of the handshake into ours; other errors stay as they are.
func refusal(component string, err error) error {
	var se stream.Error
	if !errors.As(err, &se) {
		return err
	}
	out := &RefusedError{Component: component, Condition: se.Err}
	if len(se.Text) > 0 {
		out.Text = se.Text[0].Value
	}
	return out
}
