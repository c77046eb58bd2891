package xmppbridge

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// nsAccept is the namespace of a component stream (XEP-0114 §3).
const nsAccept = "jabber:component:accept"

// maxText is how long an element's text may grow before the rest of it is ignored, in bytes.
const maxText = 8 << 10

// element is a parsed piece of a stanza.
type element struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*element
	text     string
}

func newDecoder(b []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.DefaultSpace = nsAccept
	return d
}

// parseElement parses one whole element.
func parseElement(b []byte) (*element, error) {
	d := newDecoder(b)
	var stack []*element
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no element")
		}
		if err != nil {
			return nil, fmt.Errorf("not well-formed: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return nil, fmt.Errorf("nested deeper than %d elements", maxDepth)
			}
			e := &element{name: t.Name, attrs: t.Attr}
			if n := len(stack); n > 0 {
				stack[n-1].children = append(stack[n-1].children, e)
			}
			stack = append(stack, e)
		case xml.CharData:
			if n := len(stack); n > 0 && len(stack[n-1].text) < maxText {
				stack[n-1].text += string(t)
			}
		case xml.EndElement:
			e := stack[len(stack)-1]
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return e, nil
			}
		}
	}
}

// attr is an attribute's value, empty if there is none; attributes with a prefix are not found.
func (e *element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// child is the first child of that name, nil if there is none. An empty local name fits all.
func (e *element) child(space, local string) *element {
	for _, c := range e.children {
		if c.name.Space == space && (local == "" || c.name.Local == local) {
			return c
		}
	}
	return nil
}
