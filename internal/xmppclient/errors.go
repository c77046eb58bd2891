package xmppclient

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Errors of a client whose stream is gone.
var (
	// ErrClosed: the connection ended without a stream error.
	ErrClosed = errors.New("xmppclient: the stream is closed")
	// ErrResumeFailed: the server refused to resume (XEP-0198 §5), see ResumeError.
	ErrResumeFailed = errors.New("xmppclient: not resumed")
)

// StanzaError is an error answer to an IQ.
type StanzaError struct {
	Type, Condition, Text, Lang string
	// Denied is bindgate's own element, nil if there is none.
	Denied *Denied
	Raw    string
	At     time.Time
}

// Denied is <denied xmlns='urn:bindgate:1'/>.
type Denied struct {
	Code string
	// RetryAfter is in seconds; -1 when it was left out.
	RetryAfter int
	Token      string // what is wrong with the token that the bind brought
	Sessions   []*Element
}

func (e *StanzaError) Error() string {
	s := fmt.Sprintf("xmppclient: %s error <%s/>", e.Type, e.Condition)
	if e.Denied != nil {
		s += " (denied: " + e.Denied.Code + ")"
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// stanzaError reads the error of an IQ of type error.
func stanzaError(iq *Element) *StanzaError {
	e := &StanzaError{Raw: iq.Raw, At: iq.At}
	node := iq.Child("", "error")
	if node == nil {
		return e
	}
	e.Type = node.Attr("type")
	for _, c := range node.Children {
		switch {
		case c.Name.Space == nsStanzaE && c.Name.Local == "text":
			e.Text, e.Lang = c.Text, c.Lang()
		case c.Name.Space == nsStanzaE:
			e.Condition = c.Name.Local
		case c.Name.Space == NSGate && c.Name.Local == "denied":
			e.Denied = &Denied{Code: c.Attr("code"), RetryAfter: -1, Token: c.Attr("token"), Sessions: c.Children}
			if n, err := strconv.Atoi(c.Attr("retry_after")); err == nil {
				e.Denied.RetryAfter = n
			}
		}
	}
	return e
}

// StreamError is what the server says before it ends a stream.
type StreamError struct {
	Condition, Text, Lang string
	// Ended is bindgate's own element, nil if there is none.
	Ended *Ended
	Raw   string
	// At is when it was read.
	At time.Time
}

// Ended is <ended xmlns='urn:bindgate:1'/>.
type Ended struct{ Code, Device, Platform, At string }

func (e *StreamError) Error() string {
	return fmt.Sprintf("xmppclient: stream error <%s/>: %s", e.Condition, e.Text)
}

func streamError(node *Element) *StreamError {
	e := &StreamError{Raw: node.Raw, At: node.At}
	for _, c := range node.Children {
		switch {
		case c.Name.Space == nsStreamE && c.Name.Local == "text":
			e.Text, e.Lang = c.Text, c.Lang()
		case c.Name.Space == nsStreamE:
			e.Condition = c.Name.Local
		case c.Name.Space == NSGate && c.Name.Local == "ended":
			e.Ended = &Ended{Code: c.Attr("code"), Device: c.Attr("device"), Platform: c.Attr("platform"), At: c.Attr("at")}
		}
	}
	return e
}

// ResumeError is <failed/> of XEP-0198.
type ResumeError struct {
	// Condition is "item-not-found" when there is no such session any more.
	Condition string
	Raw       string
}

func (e *ResumeError) Error() string { return "xmppclient: not resumed: " + e.Condition }

// Is makes errors.Is(err, ErrResumeFailed) true.
func (e *ResumeError) Is(target error) bool { return target == ErrResumeFailed }
