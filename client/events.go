package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// EventOptions say which events are followed, and from where. The zero options follow all that happens from now on.
type EventOptions struct {
	After   string      // the ID of the event to go on behind; "0": the oldest that is kept; "": what happens from now on
	Types   []EventType // nil: all
	Account string      // bare JID; "": all
	// Silence is how long the server may send nothing before the connection is taken for dead; 0: 45 s. It sends a heartbeat every 15 s.
	Silence time.Duration
	// Lost, if not nil, is told each time that the connection is lost and will be made again after a wait, for a log.
	Lost func(err error, wait time.Duration)
}

// Events follows what happens, for ever: it connects again when the connection is lost or the token expires, however long that takes, and goes on behind the
// last event. Each event is delivered once and in order, those of an account in the order in which they happened. Keep Event.ID with what you make of an event,
// and a restart of yours goes on there with EventOptions.After.
//
// It ends when ctx ends, when its reader stops, and with an error that another try cannot mend: ErrEventsGone if the events behind After are not kept any
// more (read what you need by the other calls, then follow anew), ErrUnauthorized, ErrForbidden, ErrInvalid,
// an error of the TokenFunc.
func (c *Client) Events(ctx context.Context, o EventOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{client: c, options: o, last: o.After}
		f.options.Silence = cmp.Or(o.Silence, 45*time.Second)
		for failures := 0; ; {
			came, err := f.connection(ctx, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case ctx.Err() != nil:
				yield(Event{}, context.Cause(ctx))
				return
			case !passing(err) && !internal(err):
				yield(Event{}, err)
				return
			}
			if failures++; came {
				failures = 0
			}
			wait := f.wait(failures, err)
			if o.Lost != nil {
				o.Lost(err, wait)
			}
			if err := sleep(ctx, wait); err != nil {
				yield(Event{}, err)
				return
			}
		}
	}
}

// internal reports whether the server has failed. A single call is not made again for it; who follows events has time.
func internal(err error) bool {
	var said *Error
	return errors.As(err, &said) && said.Status == http.StatusInternalServerError
}

// errStopped ends a connection whose reader wants no more.
var errStopped = errors.New("client: stopped")

// follower is one run of Events.
type follower struct {
	client  *Client
	options EventOptions
	last    string        // the position behind which the next connection begins
	retry   time.Duration // that the server asks for
}

// connection reads one connection to its end. It came if the server said anything.
func (f *follower) connection(ctx context.Context, yield func(Event, error) bool) (came bool, err error) {
	types := make([]string, len(f.options.Types))
	for i, t := range f.options.Types {
		types[i] = string(t)
	}
	r := request{
		method: http.MethodGet, path: "/v1/events", query: query("type", strings.Join(types, ","), "account", f.options.Account), accept: "text/event-stream",
		header: http.Header{"Accept-Encoding": {"identity"}}, // what is compressed on the way is kept back
	}
	if f.last != "" {
		r.header.Set("Last-Event-ID", f.last)
	}
	s, err := f.client.open(ctx, r, f.options.Silence)
	if err != nil {
		return false, err
	}
	defer s.Close()
	for m := newMessages(s, f.last); ; came = true {
		v, err := m.next()
		if f.retry = cmp.Or(m.retry, f.retry); errors.Is(err, io.EOF) {
			err = &lostError{errors.New("the server has ended the event stream")}
		}
		if err != nil {
			return came, err
		}
		fresh := behind(v.id, f.last)
		if fresh {
			f.last = v.id
		}
		if !fresh || v.data == nil { // it was delivered, or tells a position alone
			continue
		}
		var e Event
		if err := json.Unmarshal(v.data, &e); err != nil {
			return came, fmt.Errorf("client: event %s: %w", v.id, err)
		}
		if !yield(e, nil) {
			return came, errStopped
		}
	}
}

// behind reports whether a position is behind another one.
func behind(id, last string) bool {
	a, err1 := strconv.ParseUint(id, 10, 64)
	b, err2 := strconv.ParseUint(last, 10, 64)
	if err1 != nil || err2 != nil {
		return id != last
	}
	return a > b
}

// wait is how long to wait after so many failures in a row; none: the connection was a good one until it was lost.
func (f *follower) wait(failures int, err error) time.Duration {
	var said *Error
	if errors.As(err, &said) && said.RetryAfter > 0 {
		return said.RetryAfter + rand.N(firstWait)
	}
	if failures == 0 {
		return backoff(1, f.client.maxWait)
	}
	return max(backoff(min(failures, 30), f.client.maxWait), rand.N(f.retry+1))
}
