package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

const streamPatience = 30 * time.Second

// told is an event as a client gets it.
type told struct {
	ID      string
	Type    string
	At      time.Time
	Account *string
	Data    json.RawMessage
}

// sse is an open event stream.
type sse struct {
	t      *testing.T
	cancel context.CancelFunc
	resp   *http.Response
	lines  *bufio.Reader
	last   string // the id that a client would go on from
}

// open opens a stream; after is the header Last-Event-ID, "" for none.
func (s *service) open(query, after string, options ...option) *sse {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), streamPatience)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	for _, o := range options {
		o(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	e := &sse{t: s.t, cancel: cancel, resp: resp, lines: bufio.NewReader(resp.Body), last: after}
	s.t.Cleanup(e.close)
	h := resp.Header
	if resp.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		s.t.Fatalf("events%s: %s, headers %v", query, resp.Status, h)
	}
	return e
}

func (e *sse) close() { e.cancel(); e.resp.Body.Close() }

// next returns the next event, as the specification of event streams has it; io.EOF when the stream has ended well.
func (e *sse) next() (told, error) {
	var ev told
	var data, kind, id string
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return ev, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n":
			if id != "" {
				e.last = id
			}
			if data == "" {
				continue
			}
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				e.t.Fatalf("data %s: %v", data, err)
			}
			if ev.ID != id || ev.Type != kind {
				e.t.Errorf("event %q, id %q, data %s", kind, id, data)
			}
			return ev, nil
		case name == "data":
			data = value
		case name == "event":
			kind = value
		case name == "id":
			id = value
		}
	}
}

func (e *sse) want() told {
	e.t.Helper()
	ev, err := e.next()
	if err != nil {
		e.t.Fatalf("no event: %v", err)
	}
	return ev
}

// tell writes events past the API, each of its type and account.
func (s *service) tell(events ...store.Event) {
	s.t.Helper()
	for i := range events {
		if events[i].Data == nil {
			events[i].Data = json.RawMessage(`{}`)
		}
	}
	if err := store.FromPool(s.pool).Tell(s.t.Context(), events...); err != nil {
		s.t.Fatal(err)
	}
}

// sequenced waits until n events have their positions.
func (s *service) sequenced(n int64) {
	s.t.Helper()
	s.wait("positions", func() bool {
		_, newest, err := store.FromPool(s.pool).LogBounds(s.t.Context())
		return err == nil && newest >= n
	})
}

func (s *service) wait(what string, is func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(streamPatience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s", streamPatience, what)
		}
		<-tick.C
	}
}

// A client that is cut again and again and goes on with the last id has every event exactly once and in order, while many write.
func TestStreamGoesOnWithoutAGap(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const callers, each, cuts = 64, 10, 100
	first := s.open("", "") // from now on
	ev := first.last
	var wait sync.WaitGroup
	for n := range callers {
		wait.Go(func() {
			for i := range each {
				// Without do: to hold each answer against the contract takes longer than the rest.
				req, err := http.NewRequestWithContext(t.Context(), "PUT", fmt.Sprintf("%s/v1/accounts/user%d@example.org/rule", s.url, n), strings.NewReader(fmt.Sprintf(`{"max_sessions":%d}`, i+1)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+s.token)
				req.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				if resp.Body.Close(); resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
					t.Errorf("PUT: %d", resp.StatusCode)
				}
			}
		})
	}
	seen := map[string][]int{}
	last, total, cut := int64(0), 0, 0
	stream := first
	for total < callers*each || cut < cuts {
		// Cut after some events, before the first one too, and in the middle of what the client has not read yet.
		for range rand.IntN(2 * callers * each / cuts) {
			if total == callers*each {
				break
			}
			e := stream.want()
			position, err := strconv.ParseInt(e.ID, 10, 64)
			if err != nil || position != last+1 {
				t.Fatalf("id %s after %d", e.ID, last)
			}
			last = position
			var data struct {
				Rule struct {
					Max int `json:"max_sessions"`
				}
			}
			if err := json.Unmarshal(e.Data, &data); err != nil || e.Type != "rule.changed" || e.Account == nil || e.At.IsZero() {
				t.Fatalf("%+v: %v", e, err)
			}
			seen[*e.Account] = append(seen[*e.Account], data.Rule.Max)
			total++
		}
		ev = stream.last
		stream.close()
		cut++
		stream = s.open("", ev)
	}
	wait.Wait()
	want := map[string][]int{}
	for n := range callers {
		for i := range each {
			jid := fmt.Sprintf("user%d@example.org", n)
			want[jid] = append(want[jid], i+1)
		}
	}
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestStreamStart(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.tell(store.Event{Type: "takeover", Account: "a@example.org"}, store.Event{Type: "session.ended", Account: "a@example.org"}, store.Event{Type: "link.up"})
	s.sequenced(3)
	if e := s.open("", "0").want(); e.ID != "1" || e.Type != "takeover" {
		t.Errorf("from 0: %+v", e)
	}
	if e := s.open("", "2").want(); e.ID != "3" || e.Account != nil {
		t.Errorf("from 2, in the middle of a transaction's events: %+v", e)
	}
	if e := s.open("?last_event_id=1", "").want(); e.ID != "2" {
		t.Errorf("from the parameter: %+v", e)
	}
	if e := s.open("?last_event_id=1", "2").want(); e.ID != "3" {
		t.Errorf("the header goes before the parameter: %+v", e)
	}
	now := s.open("", "")
	s.tell(store.Event{Type: "link.down"})
	if e := now.want(); e.ID != "4" || now.last != "4" {
		t.Errorf("from now on: %+v", e)
	}
	if e := s.open("?last_event_id=1", "", header("Last-Event-ID", "")).want(); e.ID != "2" {
		t.Errorf("an empty header counts: %+v", e)
	}
	begin := s.open("", "3")
	for _, want := range []string{":", "retry: 2000", "id: 3", ""} {
		if line, err := begin.lines.ReadString('\n'); err != nil || line != want+"\n" {
			t.Errorf("the answer begins with %q, %v, want %q", line, err, want)
		}
	}
	for _, id := range []string{"-1", "x", "1.0", "1e3", "+1", "0x1", "9223372036854775807", "99999999999999999999999999", "5", "\u00e9"} {
		s.get("/v1/events", header("Last-Event-ID", id)).fails(http.StatusUnprocessableEntity, "invalid_field", "Last-Event-ID")
	}
	s.get("/v1/events?last_event_id=-1").fails(http.StatusUnprocessableEntity, "invalid_field", "last_event_id")
	s.get("/v1/events?last_event_id=").fails(http.StatusUnprocessableEntity, "invalid_field", "last_event_id")
	s.get("/v1/events?type=x").fails(http.StatusUnprocessableEntity, "invalid_field", "type")
	s.get("/v1/events?type=takeover,").fails(http.StatusUnprocessableEntity, "invalid_field", "type")
	s.get("/v1/events?account=a%00").fails(http.StatusUnprocessableEntity, "invalid_field", "account")
	s.get("/v1/events?account=@").fails(http.StatusUnprocessableEntity, "invalid_jid", "account")
	s.get("/v1/events", header("Last-Event-ID", "1"), header("Last-Event-ID", "2")).fails(http.StatusUnprocessableEntity, "invalid_field", "Last-Event-ID")
	head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	as(s.token)(head)
	if resp, err := http.DefaultClient.Do(head); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if _, err := s.pool.Exec(t.Context(), "delete from event_positions where first = 1"); err != nil {
		t.Fatal(err)
	}
	s.get("/v1/events", header("Last-Event-ID", "2")).fails(http.StatusGone, "events_gone", "Last-Event-ID")
	s.get("/v1/events?last_event_id=1").fails(http.StatusGone, "events_gone", "last_event_id")
	if e := s.open("", "0").want(); e.ID != "4" {
		t.Errorf("from the oldest that is kept: %+v", e)
	}
	if e := s.open("", "3").want(); e.ID != "4" {
		t.Errorf("from just before it: %+v", e)
	}
}

func TestStreamFilter(t *testing.T) {
	t.Parallel()
	s := newService(t)
	domain := mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}, Domains: []string{"example.org"}})
	streams := map[string]*sse{
		"1 2 3 4 5 6 7": s.open("", ""),
		"1 3":           s.open("?type=takeover", ""),
		"1 2 3":         s.open("?type=takeover,session.ended", ""),
		"1 2 3 5 6":     s.open("?type=takeover&type=session.ended&type=rule.changed", ""),
		"1 2":           s.open("?account=A@example.org", ""),
		"1 2 6 7":       s.open("", "", as(domain)),
		"6":             s.open("?type=rule.changed", "", as(domain)),
		"7":             s.open("?account=b%40example.org", "", as(domain)),
	}
	foreign := s.open("?account=c@other.example", "", as(domain)) // as if there were no such account
	a := "a@example.org"
	s.tell(store.Event{Type: "takeover", Account: a}, store.Event{Type: "session.ended", Account: a}, store.Event{Type: "takeover", Account: "c@other.example"},
		store.Event{Type: "link.down", Data: json.RawMessage(`{"link":"main"}`)}, store.Event{Type: "rule.changed", Data: json.RawMessage(`{"level":"domain","domain":"other.example"}`)},
		store.Event{Type: "rule.changed", Data: json.RawMessage(`{"level":"domain","domain":"example.org"}`)}, store.Event{Type: "login.denied", Account: "b@example.org"})
	for want, stream := range streams {
		var got []string
		for range strings.Fields(want) {
			got = append(got, stream.want().ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// One more of each: what came in between would have come before it.
	s.tell(store.Event{Type: "takeover", Account: a}, store.Event{Type: "rule.changed", Data: json.RawMessage(`{"level":"domain","domain":"example.org"}`)},
		store.Event{Type: "takeover", Account: "b@example.org"})
	next := map[string]string{"1 2": "8", "1 3": "8", "6": "9", "7": "10", "1 2 6 7": "8"}
	for which, want := range next {
		if got := streams[which].want().ID; got != want {
			t.Errorf("%s: got %s, want %s", which, got, want)
		}
	}
	foreign.close()
	if e, err := foreign.next(); err == nil {
		t.Errorf("another domain's event: %+v", e)
	}
	r := s.get("/v1/events", as(mint(t, api.Claims{Scopes: []string{api.ScopeRulesRead}})))
	r.fails(http.StatusForbidden, "insufficient_scope", "-")
}

// A stream ends with its token, and with the service.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	s := newService(t)
	short := s.open("", "", as(mint(t, api.Claims{Scopes: []string{api.ScopeAdmin}, TTL: 2 * time.Second})))
	if _, err := short.next(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the token's time: %v", err)
	}

	pool := pgtest.New(t)
	g := gate.New(store.FromPool(pool), gate.Config{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	h, err := api.New(t.Context(), api.Config{Store: store.FromPool(pool), Gate: g, Keys: secret})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := api.Server(h, "", nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s2 := &service{t: t, pool: pool, url: "http://" + listener.Addr().String(), token: s.token}
	stream := s2.open("", "")
	s2.tell(store.Event{Type: "link.up"})
	if e := stream.want(); e.Type != "link.up" {
		t.Errorf("%+v", e)
	}
	begin := time.Now()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the service took %s to stop", took)
	}
	if _, err := stream.next(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after the service's end: %v", err)
	}
	<-served
}

// A client that takes nothing is dropped; another one gets everything meanwhile, and so does the first when it comes back.
func TestSlowStream(t *testing.T) {
	t.Parallel()
	s := newService(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nLast-Event-ID: 0\r\n\r\n", s.token)
	streams := func(n int) func() bool {
		return func() bool {
			return strings.Contains(string(s.get("/metrics").body), fmt.Sprintf("\nbindgate_event_streams %d\n", n))
		}
	}
	s.wait("the slow stream is open", streams(1))
	quick := s.open("", "0")
	const batches, each = 200, 20
	padding := strings.Repeat("x", 4000)
	go func() {
		for range batches {
			events := make([]store.Event, each)
			for i := range events {
				events[i] = store.Event{Type: "link.up", Data: json.RawMessage(`{"reason":"` + padding + `"}`)}
			}
			s.tell(events...)
		}
	}()
	for n := range batches * each {
		if e := quick.want(); e.ID != strconv.Itoa(n+1) {
			t.Fatalf("id %s, want %d", e.ID, n+1)
		}
	}
	s.wait("the slow stream is dropped", streams(1))
	// It reads up to somewhere.
	b, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	ids := strings.Split(got[:strings.LastIndex(got, "\n\n")], "\nid: ")
	last, _, _ := strings.Cut(ids[len(ids)-1], "\n")
	n, err := strconv.Atoi(last)
	if err != nil || n == 0 || n == batches*each {
		t.Fatalf("the last id that the slow one had is %q", last)
	}
	back := s.open("", last)
	for ; n < batches*each; n++ {
		if e := back.want(); e.ID != strconv.Itoa(n+1) {
			t.Fatalf("back: id %s, want %d", e.ID, n+1)
		}
	}
}
