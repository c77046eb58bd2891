package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/client"
)

// eventLog answers as GET /v1/events does, over connections that end at any byte.
type eventLog struct {
	events int // that there are
	cut    func() int
	asked  []string // Last-Event-ID of each connection
}

func told(n int) string {
	return fmt.Sprintf("event: session.started\nid: %d\ndata: {\"id\":\"%d\",\"type\":\"session.started\",\"at\":\"2026-11-23T08:00:00Z\",\"account\":\"a@x\",\"data\":{\"session\":{\"id\":\"s%d\"}}}\n\n", n, n, n)
}

func (l *eventLog) answer(r *http.Request) (*http.Response, error) {
	l.asked = append(l.asked, r.Header.Get("Last-Event-ID"))
	from, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	var b strings.Builder
	fmt.Fprintf(&b, "retry: 2000\nid: %d\n\n", from)
	if from > 0 && from%3 == 0 {
		b.WriteString(told(from)) // a server that repeats the last one
	}
	for n := from + 1; n <= l.events; n++ {
		if n%7 == 0 {
			b.WriteString(":\n\n") // a heartbeat
		}
		b.WriteString(told(n))
	}
	s := b.String()
	if cut := l.cut(); cut < len(s) {
		s = s[:cut]
	}
	return says(200, s, "Content-Type", "text/event-stream")
}

func TestEventsComeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &eventLog{events: 2000, cut: func() int { return rand.IntN(6000) }}
		lost := 0
		c := clientOn(t, l.answer, client.Config{})
		want := 1
		for e, err := range c.Events(t.Context(), client.EventOptions{Lost: func(error, time.Duration) { lost++ }}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.ID != strconv.Itoa(want) {
				t.Fatalf("event %s after %d connections, want %d", e.ID, len(l.asked), want)
			}
			if d, err := e.Parse(); err != nil || d.(*client.SessionEvent).Session.ID != "s"+e.ID {
				t.Fatalf("%v, %v", d, err)
			}
			if want++; want > l.events {
				break
			}
		}
		if len(l.asked) < 50 || lost != len(l.asked)-1 {
			t.Errorf("%d connections, %d of them lost", len(l.asked), lost)
		}
	})
}

// A client that was cut before the first event goes on where it was, and not where the log ends by then.
func TestEventsGoOnFromWhereTheyBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := clientOn(t, func(r *http.Request) (*http.Response, error) {
			if asked = append(asked, r.Header.Get("Last-Event-ID")); len(asked) == 1 {
				return says(200, "id: 41\n\n")
			}
			return says(200, told(42))
		}, client.Config{})
		for e, err := range c.Events(t.Context(), client.EventOptions{}) {
			if err != nil || e.ID != "42" {
				t.Error(e, err)
			}
			break
		}
		if fmt.Sprintf("%q", asked) != `["" "41"]` {
			t.Errorf("asked behind %q", asked)
		}
	})
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{410: client.ErrEventsGone, 401: client.ErrUnauthorized, 403: client.ErrForbidden, 422: client.ErrInvalid} {
		c := clientOn(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.RawQuery != "account=a%40x&type=takeover%2Clink.up" || r.Header.Get("Last-Event-ID") != "7" || !strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			return says(status, "")
		}, client.Config{})
		n := 0
		for _, err := range c.Events(t.Context(), client.EventOptions{After: "7", Account: "a@x", Types: []client.EventType{client.EventTakeover, client.EventLinkUp}}) {
			if n++; !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if n != 1 {
			t.Errorf("%d errors, want 1", n)
		}
	}
}

func TestEventsOutliveTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin, n := time.Now(), 0
		c := clientOn(t, func(*http.Request) (*http.Response, error) {
			switch n++; {
			case n%4 == 0:
				return nil, io.ErrUnexpectedEOF
			case n%4 == 1:
				return says(500, "")
			case n%4 == 2:
				return says(503, "", "Retry-After", "3600")
			case n < 40:
				return says(502, "")
			}
			return says(200, told(1))
		}, client.Config{})
		for e, err := range c.Events(t.Context(), client.EventOptions{}) {
			if err != nil || e.ID != "1" {
				t.Fatal(e, err)
			}
			break
		}
		if took := time.Since(begin); n < 40 || took < 10*time.Hour {
			t.Errorf("%d connections in %s: the server has asked for an hour each time", n, took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c = clientOn(t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, client.Config{})
		for _, err := range c.Events(ctx, client.EventOptions{}) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}

// A connection on which nothing comes is dead, whatever TCP believes; heartbeats keep one alive.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		c := clientOn(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, time.Now())
			if len(asked) > 1 {
				return says(200, told(1))
			}
			body, server := io.Pipe()
			go func() {
				for range 10 {
					time.Sleep(15 * time.Second)
					_, _ = io.WriteString(server, ":\n\n")
				}
				<-r.Context().Done()
				server.CloseWithError(r.Context().Err())
			}()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
		}, client.Config{})
		for e, err := range c.Events(t.Context(), client.EventOptions{Lost: func(err error, _ time.Duration) {
			if !strings.Contains(err.Error(), "silent") {
				t.Error(err)
			}
		}}) {
			if err != nil || e.ID != "1" {
				t.Error(e, err)
			}
			break
		}
		if len(asked) != 2 {
			t.Fatalf("%d connections, want 2", len(asked))
		}
		if took := asked[1].Sub(asked[0]); took < 195*time.Second || took > 200*time.Second {
			t.Errorf("the second connection came after %s, want 150 s of heartbeats and 45 s of silence", took)
		}
	})
}

func TestOddEventStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, want string }{
		"lines end with CRLF":         {strings.ReplaceAll(told(1), "\n", "\r\n"), "1"},
		"no space behind the colon":   {strings.ReplaceAll(told(1), ": ", ":"), "1"},
		"data in two lines":           {"id: 1\ndata: {\"id\":\"1\",\ndata: \"type\":\"x\"}\n\n", "1"},
		"a field that nobody knows":   {"color: red\n" + told(1), "1"},
		"an event of a type to come":  {"id: 1\nevent: y\ndata: {\"id\":\"1\",\"type\":\"y\",\"new\":[],\"data\":{\"z\":1}}\n\n", "1"},
		"data that is no JSON":        {"id: 1\ndata: hello\n\n", ""},
		"a line that is too long":     {"data: " + strings.Repeat("x", 2<<20) + "\n\n", ""},
		"an event that is too long":   {strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 1100) + "\n", ""},
		"an id with NUL is not taken": {"id: a\x00b\n" + told(1), "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := clientOn(t, func(*http.Request) (*http.Response, error) { return says(200, c.stream) }, client.Config{})
			for e, err := range cl.Events(t.Context(), client.EventOptions{}) {
				if e.ID != c.want || (err != nil) != (c.want == "") {
					t.Errorf("%+v, %v; want event %q", e, err, c.want)
				}
				break
			}
		})
	}
}

func TestParseEvents(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]client.Event{
		"*client.SessionEvent":  {Type: client.EventSessionEnded, Data: []byte(`{"session":{"id":"s","device_id":null,"end_reason":"kick"}}`)},
		"*client.TakeoverEvent": {Type: client.EventTakeover, Data: []byte(`{"winner":{"id":"w","generation":2},"loser":{"id":"l"}}`)},
		"*client.DeniedEvent":   {Type: client.EventLoginDenied, Data: []byte(`{"code":"limit","retry_after_seconds":7}`)},
		"*client.KickEvent":     {Type: client.EventKickUnverified, Data: []byte(`{"kick_id":"k","sessions":["s"]}`)},
		"*client.LoopEvent":     {Type: client.EventLoopOpened, Data: []byte(`{"winner":"s","loser":{"device_id":null,"resource":"r"},"until":"2026-11-23T08:00:00Z"}`)},
		"*client.RuleEvent":     {Type: client.EventRuleChanged, Data: []byte(`{"level":"group","group":null,"by":"x"}`)},
		"*client.LinkEvent":     {Type: client.EventLinkDown, Data: []byte(`{"link":"main","reason":"away"}`)},
		"*client.WebhookEvent":  {Type: client.EventWebhookDisabled, Data: []byte(`{"webhook_id":"w","reason":"410"}`)},
		"json.RawMessage":       {Type: "to.come", Data: []byte(`{}`)},
	} {
		v, err := e.Parse()
		if got := fmt.Sprintf("%T", v); got != want || err != nil {
			t.Errorf("%s is parsed as %s, %v; want %s", e.Type, got, err, want)
		}
	}
	if v, err := (client.Event{Type: client.EventTakeover, Data: []byte(`[]`)}).Parse(); err == nil {
		t.Errorf("parsed %v", v)
	}
}
