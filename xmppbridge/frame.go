package xmppbridge

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
)

// Limits of what is read.
const (
	maxStartTag = 16 << 10 // bytes of a stanza's start tag
	maxDepth    = 32       // elements inside each other
	maxAnswer   = 4 << 20  // bytes of a stanza of a domain that has said hello
	maxStranger = 64 << 10 // bytes of a stanza of any other domain
	maxClient   = 16 << 10 // bytes of a client's answer or request
)

// head is a stanza's start tag. The addresses are text as the server sent them.
type head struct {
	name               string
	from, to, id, kind string
}

// frame is one stanza, cut out of the stream.
type frame struct {
	head
	body []byte // the whole stanza; nil if it was skipped
	skip string // why it was skipped; empty if nobody wanted it
	bad  error  // the start tag cannot be read; head is empty
}

// framer cuts a component stream into stanzas without understanding them. It relies on the server for well-formedness outside of
// tags only as far as a quote ends and a tag is closed: whatever else is wrong inside a stanza stays inside of it.
type framer struct {
	r    *bufio.Reader
	buf  []byte
	keep bool
	room int // bytes buf may have
	skip string
}

func newFramer(r *bufio.Reader) *framer { return &framer{r: r} }

// errStreamEnd is the server's </stream:stream>.
var errStreamEnd = errors.New("the server closed the stream")

type tagKind int

const (
	tagOpen tagKind = iota
	tagEmpty
	tagClose
	tagOther // comment, CDATA, processing instruction
)

// next reads one stanza. room says how many bytes of a stanza with that start tag to keep; 0 skips the rest of it. A stanza that is too long or
// too deep is read to its end and comes without a body. The error is errStreamEnd, or what ended the connection.
func (f *framer) next(room func(head) int) (frame, error) {
	if cap(f.buf) > maxStranger {
		f.buf = nil
	}
	if err := f.between(); err != nil {
		return frame{}, err
	}
	f.buf, f.keep, f.room, f.skip = append(f.buf[:0], '<'), true, maxStartTag, ""
	var fr frame
	for depth := 0; ; {
		kind, err := f.tag()
		if err != nil {
			return frame{}, err
		}
		if depth == 0 {
			switch kind {
			case tagOther:
				if err := f.between(); err != nil {
					return frame{}, err
				}
				f.buf = append(f.buf[:0], '<')
				continue
			case tagClose:
				return frame{}, errStreamEnd
			}
			f.begun(&fr, room)
		}
		switch kind {
		case tagOpen:
			if depth++; depth > maxDepth {
				f.drop(fmt.Sprintf("nested deeper than %d elements", maxDepth))
			}
		case tagClose:
			depth--
		}
		if depth == 0 {
			break
		}
		if err := f.text(); err != nil {
			return frame{}, err
		}
	}
	if f.keep {
		fr.body = bytes.Clone(f.buf)
	}
	fr.skip = f.skip
	return fr, nil
}

// begun looks at the start tag that buf holds.
func (f *framer) begun(fr *frame, room func(head) int) {
	if !f.keep {
		fr.bad = fmt.Errorf("start tag longer than %d bytes", maxStartTag)
		return
	}
	h, err := parseHead(f.buf)
	if err != nil {
		fr.bad = err
		f.drop("start tag cannot be read")
		return
	}
	fr.head = h
	if f.room = room(h); f.room == 0 {
		f.drop("")
	} else if len(f.buf) > f.room {
		f.drop(fmt.Sprintf("larger than %d bytes", f.room))
	}
}

// parseHead reads a start tag. Attributes with a prefix are none of ours, whatever their local name.
func parseHead(tag []byte) (head, error) {
	d := newDecoder(tag)
	t, err := d.Token()
	if err != nil {
		return head{}, fmt.Errorf("start tag: %w", err)
	}
	start, ok := t.(xml.StartElement)
	if !ok {
		return head{}, fmt.Errorf("start tag: found %T", t)
	}
	h := head{name: start.Name.Local}
	for _, a := range start.Attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "from":
			h.from = a.Value
		case "to":
			h.to = a.Value
		case "id":
			h.id = a.Value
		case "type":
			h.kind = a.Value
		}
	}
	return h, nil
}

// between skips white space (keepalives) between stanzas, through the next '<'.
func (f *framer) between() error {
	for {
		b, err := f.r.ReadByte()
		switch {
		case err != nil:
			return err
		case b == '<':
			return nil
		case b != ' ' && b != '\n' && b != '\r' && b != '\t':
			return errors.New("the server sent text between stanzas")
		}
	}
}

// tag reads from behind '<' through '>'.
func (f *framer) tag() (tagKind, error) {
	b, err := f.byte()
	if err != nil {
		return 0, err
	}
	kind := tagOpen
	switch b {
	case '!':
		return tagOther, f.declaration()
	case '?':
		return tagOther, f.through("?>")
	case '/':
		kind = tagClose
	case '>', '<', ' ', '\n', '\r', '\t':
		return 0, fmt.Errorf("the server sent %q behind '<'", b)
	}
	var quote byte
	for last := b; ; last = b {
		if b, err = f.byte(); err != nil {
			return 0, err
		}
		switch {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '"' || b == '\'':
			quote = b
		case b == '>' && kind == tagOpen && last == '/':
			return tagEmpty, nil
		case b == '>':
			return kind, nil
		}
	}
}

// declaration reads a comment or a CDATA section from behind "<!".
func (f *framer) declaration() error {
	b, err := f.byte()
	switch {
	case err != nil:
		return err
	case b == '-':
		return f.through("-->")
	case b == '[':
		return f.through("]]>")
	}
	return errors.New("the server sent a document type declaration")
}

// through reads until end has been read.
func (f *framer) through(end string) error {
	var last [3]byte
	tail := last[3-len(end):]
	for {
		b, err := f.byte()
		if err != nil {
			return err
		}
		last[0], last[1], last[2] = last[1], last[2], b
		if string(tail) == end {
			return nil
		}
	}
}

// text reads through the next '<'.
func (f *framer) text() error {
	for {
		chunk, err := f.r.ReadSlice('<')
		f.put(chunk...)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

func (f *framer) byte() (byte, error) {
	b, err := f.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if f.keep && len(f.buf) < f.room {
		f.buf = append(f.buf, b)
	} else {
		f.put(b)
	}
	return b, nil
}

func (f *framer) put(b ...byte) {
	switch {
	case !f.keep:
	case len(f.buf)+len(b) > f.room:
		f.drop(fmt.Sprintf("larger than %d bytes", f.room))
	default:
		f.buf = append(f.buf, b...)
	}
}

// drop stops keeping the stanza. The first reason stays.
func (f *framer) drop(why string) {
	if f.keep {
		f.keep, f.skip, f.buf = false, why, f.buf[:0]
	}
}
