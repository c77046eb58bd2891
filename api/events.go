package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// Bounds of event streams.
const (
	maxStreams      = 2048             // at once; each costs two goroutines and a connection
	streamHeartbeat = 15 * time.Second // a comment after so long without an event: proxies close what is silent
	streamWrite     = 10 * time.Second // a reader that does not take a write in this time is dropped; it may go on where it was
	streamRetry     = 2 * time.Second  // before a client reconnects
	streamChunk     = 256              // events in one write
)

const headerLastEventID = "Last-Event-ID"

// eventFilter says which events of the log somebody gets.
type eventFilter struct {
	types   []string // nil: all
	domains []string // nil: all, and those of no domain
	account string   // "": all
}

func (f eventFilter) passes(e gate.Told) bool {
	return e.Type != store.EventErased && (f.types == nil || slices.Contains(f.types, e.Type)) && (f.domains == nil || e.Domain != "" && slices.Contains(f.domains, e.Domain)) &&
		(f.account == "" || f.account == e.Account)
}

// streamEvents follows the event log (Server-Sent Events). It ends when the client goes, is too slow, its token expires or the service stops.
func (a *api) streamEvents(c *call) error {
	filter, err := c.eventFilter()
	if err != nil {
		return err
	}
	after, err := a.streamStart(c)
	if err != nil {
		return err
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return fail(codeUnavailable, fmt.Sprintf("There are %d event streams already, which is the most there may be. Try again later.", maxStreams))
	}
	s := &stream{call: c, filter: filter, after: after, rc: http.NewResponseController(c.Response())}
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx keeps nothing back
	if c.head() {
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	ctx, cancel := context.WithDeadline(c.ctx, c.caller.expires)
	defer cancel()
	defer context.AfterFunc(Stopping(ctx), cancel)()
	_ = s.rc.SetReadDeadline(time.Time{}) // that of the request's body would end the stream
	a.metrics.streams.Inc()
	defer a.metrics.streams.Dec()
	return s.run(ctx, a.gate.Events())
}

// eventFilter reads the filter of the query, within what the caller's token covers.
func (c *call) eventFilter() (eventFilter, error) {
	q := url.Values(c.query)
	f := eventFilter{domains: c.caller.domains}
	if given := q["type"]; given != nil {
		for _, t := range strings.Split(strings.Join(given, ","), ",") {
			if !slices.Contains(gate.EventTypes(), t) {
				return f, failField(codeInvalidField, "type", eventTypesAre)
			}
			f.types = append(f.types, t)
		}
	}
	if v := q.Get("account"); v != "" {
		acc, err := parseAccount("account", v)
		if err != nil {
			return f, err
		}
		f.account = acc.jid
	}
	return f, nil
}

var eventTypesAre = "There is no such type of event. The types are " + strings.Join(gate.EventTypes(), ", ") + "."

// streamStart returns the position behind which a stream starts: that of the header, else of the parameter, else that of the newest event. 0 is the oldest that is kept.
func (a *api) streamStart(c *call) (int64, error) {
	field, values := headerLastEventID, c.Request().Header.Values(headerLastEventID)
	if len(values) == 0 || len(values) == 1 && values[0] == "" { // some clients send an empty one at first
		field, values = "last_event_id", c.query["last_event_id"]
	}
	oldest, newest, err := a.gate.Events().Bounds(c.ctx)
	if err != nil || len(values) == 0 {
		return newest, err
	}
	after, err := strconv.ParseInt(values[0], 10, 64)
	digits := strings.Trim(values[0], "0123456789") == ""
	switch {
	case len(values) > 1:
		return 0, failField(codeInvalidField, field, "This is given more than once.")
	case err != nil && !errors.Is(err, strconv.ErrRange), !digits:
		return 0, failField(codeInvalidField, field, "This must be the id of an event of this stream, a whole number, or 0 for all that are kept.")
	case err != nil, after > newest:
		return 0, failField(codeInvalidField, field, "No event has had this id yet.")
	case after == 0:
		return oldest - 1, nil
	case after < oldest-1:
		return 0, failField(codeEventsGone, field, "Events that follow this one are not kept any more. Read what you need by the other calls, then start anew without an id, or with 0 for all that are kept.")
	}
	return after, nil
}

// stream is one client's.
type stream struct {
	call   *call
	rc     *http.ResponseController
	filter eventFilter
	after  int64 // position of the last event that was sent, or was none of the client's business
	buf    bytes.Buffer
}

func (s *stream) run(ctx context.Context, feed *gate.Feed) error {
	heartbeat := time.NewTimer(streamHeartbeat)
	defer heartbeat.Stop()
	defer func() { _ = s.rc.SetWriteDeadline(time.Now().Add(streamWrite)) }() // for the end of the answer
	// The id alone makes no event, and lets a client that is cut before the first one go on without a gap. Whatever is no event begins with a comment: so even
	// one that only looks for empty lines can tell.
	fmt.Fprintf(&s.buf, ":\nretry: %d\nid: %d\n\n", streamRetry.Milliseconds(), s.after)
	told := s.after // the last id that the client has been given
	for {
		grown := feed.Grown()
		events, err := feed.Read(ctx, s.after, streamChunk)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err // once the stream has begun, for the log alone; the client comes back
		}
		for _, e := range events {
			if s.after = e.Position; s.filter.passes(e) {
				fmt.Fprintf(&s.buf, "event: %s\nid: %d\ndata: %s\n\n", e.Type, e.Position, e.Body)
				told = e.Position
			}
		}
		if err := s.flush(); err != nil {
			return nil //nolint:nilerr // the client is gone or too slow: nobody is left to tell
		}
		if len(events) > 0 {
			heartbeat.Reset(streamHeartbeat)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-grown:
		case <-heartbeat.C:
			s.buf.WriteString(":\n")
			if told != s.after { // so that it need not look at all that again
				fmt.Fprintf(&s.buf, "id: %d\n", s.after)
				told = s.after
			}
			s.buf.WriteString("\n")
			heartbeat.Reset(streamHeartbeat)
		}
	}
}

// flush sends what is in the buffer.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	if err := s.rc.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := s.call.Response().Write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	if s.buf.Cap() > 64<<10 {
		s.buf = bytes.Buffer{}
	}
	return s.rc.Flush()
}
