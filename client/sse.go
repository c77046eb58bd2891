package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxMessage bounds a message of an event stream, and each of its lines.
const maxMessage = 1 << 20

// message is one message of an event stream (WHATWG HTML, section 9.2).
type message struct {
	event string
	id    string // the last one that was told, by this message or before it
	data  []byte // nil: the message has none, and is no event
}

// messages reads an event stream. Bindgate ends its lines with \n; proxies may make that \r\n.
type messages struct {
	lines *bufio.Scanner
	id    string
	retry time.Duration // that the server asks for before a reconnection; 0: it does not say
}

func newMessages(r io.Reader, id string) *messages {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxMessage)
	return &messages{lines: lines, id: id}
}

// next returns the next message that is whole. io.EOF: the stream has ended; what had begun is lost.
func (m *messages) next() (message, error) {
	var v message
	id := m.id
	for m.lines.Scan() {
		line := m.lines.Bytes()
		if len(line) == 0 {
			m.id, v.id = id, id
			return v, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			v.event = string(value)
		case "data":
			if v.data != nil {
				v.data = append(v.data, '\n')
			} else {
				v.data = []byte{}
			}
			if v.data = append(v.data, value...); len(v.data) > maxMessage {
				return message{}, fmt.Errorf("client: an event is longer than %d bytes", maxMessage)
			}
		case "id":
			if !bytes.ContainsRune(value, 0) {
				id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				m.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	switch err := m.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return message{}, fmt.Errorf("client: an event is longer than %d bytes", maxMessage)
	case err != nil:
		return message{}, &lostError{err}
	}
	return message{}, io.EOF
}
