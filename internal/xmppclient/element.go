package xmppclient

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Namespaces that clients of this kit meet.
const (
	nsClient  = "jabber:client"
	nsStreams = "http://etherx.jabber.org/streams"
	nsStreamE = "urn:ietf:params:xml:ns:xmpp-streams"
	nsStanzaE = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSM      = "urn:xmpp:sm:3"
	nsPing    = "urn:xmpp:ping"
	nsVersion = "jabber:iq:version"
	nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"
	nsBOSH    = "http://jabber.org/protocol/httpbind"
	nsKit     = "urn:bindgate:kit"
	// NSGate is the gate protocol's namespace, of <denied/>, <ended/> and <takeover/>.
	NSGate = "urn:bindgate:1"
)

// Element is one XML element as it was read.
type Element struct {
	Name     xml.Name
	Attrs    []xml.Attr
	Children []*Element
	// Text is the character data directly inside, joined.
	Text string
	// Raw is the wire's own text; set on what the stream holds at its top level, not on children.
	Raw string
	// At is when the element's last byte was read; like Raw.
	At time.Time
}

// Stanza is what a stream holds at its top level: iq, message, presence, and the nonzas of stream management.
type Stanza = Element

// Attr is the value of the attribute local, "" if there is none. "xml:lang" is named "lang" (use Lang).
func (e *Element) Attr(local string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == local && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// Lang is xml:lang.
func (e *Element) Lang() string {
	for _, a := range e.Attrs {
		if a.Name.Local == "lang" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}

// Child is the first child with that name, nil if there is none. An empty space or local fits any.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if (space == "" || c.Name.Space == space) && (local == "" || c.Name.Local == local) {
			return c
		}
	}
	return nil
}

// isStreams accepts the streams namespace, and an undeclared "stream:" prefix: Prosody 13.0 over WebSocket leaves the
// declaration out.
func isStreams(space string) bool { return space == nsStreams || space == "stream" }

// recorder hands a decoder single bytes and keeps those since the last cut, so that an element's own text can be had.
type recorder struct {
	r    *bufio.Reader
	kept []byte
	base int64 // stream offset of kept[0]
}

func (r *recorder) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.kept = append(r.kept, b)
	}
	return b, err
}

// Read is there because xml.NewDecoder asks for an io.Reader; the decoder uses ReadByte.
func (r *recorder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// cut forgets everything before offset.
func (r *recorder) cut(offset int64) {
	if n := offset - r.base; n > 0 && n <= int64(len(r.kept)) {
		r.kept = append(r.kept[:0], r.kept[n:]...)
		r.base = offset
	}
}

// Reader reads the elements of a stream one by one.
type Reader struct {
	rec *recorder
	dec *xml.Decoder
}

// NewReader reads from r and nothing else must.
func NewReader(r io.Reader) *Reader {
	rec := &recorder{r: bufio.NewReaderSize(r, 2048)}
	dec := xml.NewDecoder(rec)
	dec.Strict = true
	return &Reader{rec: rec, dec: dec}
}

// errStreamEnd is the stream's closing tag.
var errStreamEnd = errors.New("stream closed by the server")

// Header reads the next start element without its content: a stream header.
func (p *Reader) Header() (*Element, error) {
	for {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		if s, ok := tok.(xml.StartElement); ok {
			e := &Element{Name: s.Name, Attrs: append([]xml.Attr(nil), s.Attr...)}
			p.rec.cut(p.dec.InputOffset())
			return e, nil
		}
	}
}

// Next reads one whole element. The stream's closing tag is an error.
func (p *Reader) Next() (*Element, error) {
	for {
		from := p.dec.InputOffset()
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return nil, errStreamEnd
		case xml.StartElement:
			p.rec.cut(from)
			e, err := p.element(t)
			if err != nil {
				return nil, err
			}
			end := p.dec.InputOffset()
			e.Raw, e.At = string(p.rec.kept[:end-p.rec.base]), time.Now()
			p.rec.cut(end)
			return e, nil
		}
	}
}

func (p *Reader) element(s xml.StartElement) (*Element, error) {
	e := &Element{Name: s.Name, Attrs: append([]xml.Attr(nil), s.Attr...)}
	for {
		from := p.dec.InputOffset()
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			c, err := p.element(t)
			if err != nil {
				return nil, err
			}
			if n := from - p.rec.base; n >= 0 && p.dec.InputOffset()-p.rec.base <= int64(len(p.rec.kept)) {
				c.Raw = string(p.rec.kept[n : p.dec.InputOffset()-p.rec.base])
			}
			e.Children = append(e.Children, c)
		case xml.CharData:
			e.Text += string(t)
		case xml.EndElement:
			return e, nil
		}
	}
}

// parse reads one document, a WebSocket message or a BOSH body.
func parse(text string) (*Element, error) {
	e, err := NewReader(strings.NewReader(text)).Next()
	if err != nil {
		return nil, fmt.Errorf("malformed XML %.200q: %w", text, err)
	}
	return e, nil
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;")

// Escape writes s as character data or an attribute's value.
func Escape(s string) string { return escaper.Replace(s) }
