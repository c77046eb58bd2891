package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 1, time.Second)
		if err := turns.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := turns.take(t.Context()); !errors.Is(err, errBusy) || time.Since(begun) != time.Second {
			t.Errorf("%v after %s, want errBusy after the wait", err, time.Since(begun))
		}
		waits := make(chan error)
		go func() { waits <- turns.take(t.Context()) }()
		synctest.Wait()
		if err := turns.take(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("with a full queue: %v", err)
		}
		turns.end()
		if err := <-waits; err != nil {
			t.Errorf("the one that waited: %v", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := turns.take(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("one that has left: %v", err)
		}
		turns.end()
		if len(turns.running) != 0 || len(turns.queued) != 0 {
			t.Errorf("%d run and %d wait when all is over", len(turns.running), len(turns.queued))
		}
	})
}

// bare serves one route of an API without a record.
func bare(t *testing.T, r route) (url, token string) {
	t.Helper()
	secret := Secret("0123456789abcdef0123456789abcdef")
	a := &api{
		auth: newAuthenticator(secret, "", ""), log: slog.New(slog.DiscardHandler), metrics: &metrics{}, running: newTurns(1, 0, 0),
	}
	e := echo.New()
	e.HTTPErrorHandler = a.handleError
	e.Add(r.method, r.path, func(c echo.Context) error { return a.serve(r, c) })
	srv := httptest.NewUnstartedServer(e)
	srv.Config = Server(e, "", nil)
	srv.Start()
	t.Cleanup(srv.Close)
	token, err := Mint(secret, Claims{Scopes: []string{ScopeSessionsRead}})
	if err != nil {
		t.Fatal(err)
	}
	return srv.URL, token
}

func get(t *testing.T, url, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestOneTurnAtATime(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan bool), make(chan bool)
	r := route{http.MethodGet, "/x", oneOf(ScopeSessionsRead), nil, func(_ *api, c *call) error {
		entered <- true
		<-leave
		return c.NoContent(http.StatusNoContent)
	}}
	url, token := bare(t, r)
	first := make(chan int)
	go func() { first <- get(t, url+"/x", token).StatusCode }()
	<-entered
	if resp := get(t, url+"/x", token); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("while another has the only turn: %s %v", resp.Status, resp.Header)
	}
	if resp := get(t, url+"/x", "nonsense"); resp.StatusCode != http.StatusUnauthorized { // which takes none
		t.Errorf("without a token: %s", resp.Status)
	}
	leave <- true
	if status := <-first; status != http.StatusNoContent {
		t.Error(status)
	}
	go func() { first <- get(t, url+"/x", token).StatusCode }()
	<-entered
	leave <- true
	if status := <-first; status != http.StatusNoContent {
		t.Errorf("the turn was not given back: %d", status)
	}
}

// A stream takes nobody's turn, and has no deadline.
func TestStreamsTakeNoTurn(t *testing.T) {
	t.Parallel()
	r := route{http.MethodGet, "/v1/events", oneOf(ScopeSessionsRead), nil, func(a *api, c *call) error {
		if _, ok := c.ctx.Deadline(); ok {
			t.Error("a stream has a deadline")
		}
		if n := len(a.running.running); n != 0 {
			t.Errorf("%d turns are taken", n)
		}
		return c.NoContent(http.StatusNoContent)
	}}
	url, token := bare(t, r)
	if resp := get(t, url+"/v1/events", token); resp.StatusCode != http.StatusNoContent {
		t.Error(resp.Status)
	}
}

// A body that does not come is 408, in bodyTimeout: this test takes as long.
func TestASlowBody(t *testing.T) {
	t.Parallel()
	r := route{http.MethodPut, "/x", oneOf(ScopeSessionsRead), nil, func(_ *api, c *call) error {
		if _, err := readObject(c.Request()); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}}
	url, token := bare(t, r)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", token)
	if err := conn.SetReadDeadline(time.Now().Add(2 * bodyTimeout)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || !resp.Close || !strings.Contains(string(body), `"request_timeout"`) {
		t.Errorf("%s, closes: %v, %s", resp.Status, resp.Close, body)
	}
}

// What follows a body has no deadline of the body's: a handler that works longer than bodyTimeout is not cut off.
func TestABodyThatCameEndsItsDeadline(t *testing.T) {
	t.Parallel()
	deadlines := make(chan time.Time, 8)
	body := &timedBody{ReadCloser: io.NopCloser(strings.NewReader("{}")), rc: http.NewResponseController(&deadlineWriter{deadlines: deadlines})}
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	close(deadlines)
	var all []bool
	for d := range deadlines {
		all = append(all, d.IsZero())
	}
	if len(all) != 2 || all[0] || !all[1] {
		t.Errorf("deadlines that were lifted: %v, want one that is set, then lifted", all)
	}
}

type deadlineWriter struct {
	http.ResponseWriter
	deadlines chan time.Time
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error {
	w.deadlines <- t
	return nil
}
