package client_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/client"
)

// wire answers requests without a network, so that a test has a clock of its own (synctest).
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w(r)
}

// says is an answer; headers alternate names and values.
func says(status int, body string, headers ...string) (*http.Response, error) {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ProtoMajor: 1, ProtoMinor: 1}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r, nil
}

func clientOn(t *testing.T, w wire, cfg client.Config) *client.Client {
	t.Helper()
	cfg.HTTPClient = &http.Client{Transport: w}
	c, err := client.New("https://bindgate.test/gate/", client.StaticToken("token"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const report = `{"generation":1,"revision":2,"results":[]}`

func TestRetriesKeepTheirKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		failures := []func() (*http.Response, error){
			func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
			func() (*http.Response, error) { return says(503, "") },
			func() (*http.Response, error) { return says(200, report) },
		}
		c := clientOn(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != "https://bindgate.test/gate/v1/accounts/a%2Fb@x/kick" || r.Header.Get("Authorization") != "Bearer token" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			return failures[(len(keys)-1)%3]()
		}, client.Config{})
		for range 2 {
			if _, err := c.Kick(t.Context(), "a/b@x", client.KickRequest{All: true}); err != nil {
				t.Fatal(err)
			}
		}
		if len(keys) != 6 || keys[0] == "" || keys[0] != keys[2] || keys[3] != keys[5] || keys[0] == keys[3] {
			t.Errorf("keys %q: want one for each call", keys)
		}
		if _, err := c.Kick(client.WithIdempotencyKey(t.Context(), "mine"), "a/b@x", client.KickRequest{All: true}); err != nil || keys[8] != "mine" {
			t.Errorf("%v, keys %q: want the given one", err, keys[6:])
		}
	})
}

func TestWhatIsRetried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		body     string
		attempts int
		is       error
	}{
		"400":            {400, "", 1, client.ErrInvalid},
		"401":            {401, "", 1, client.ErrUnauthorized},
		"403":            {403, "", 1, client.ErrForbidden},
		"404":            {404, "", 1, client.ErrNotFound},
		"405":            {405, "", 1, client.ErrInvalid},
		"408":            {408, "", 4, nil},
		"409":            {409, `{"code":"revision_mismatch"}`, 1, client.ErrConflict},
		"409 of its own": {409, `{"code":"idempotency_in_progress"}`, 4, client.ErrConflict},
		"410":            {410, "", 1, client.ErrEventsGone},
		"412":            {412, "", 1, client.ErrPreconditionFailed},
		"413":            {413, "", 1, client.ErrInvalid},
		"415":            {415, "", 1, client.ErrInvalid},
		"422":            {422, "", 1, client.ErrInvalid},
		"429":            {429, "", 4, client.ErrRateLimited},
		"500":            {500, "", 1, nil},
		"502":            {502, "<html>", 4, client.ErrUnavailable},
		"503":            {503, "", 4, client.ErrUnavailable},
		"504":            {504, "", 4, client.ErrUnavailable},
		"redirected":     {302, "", 1, nil},
		"no JSON":        {200, "<html>", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				cl := clientOn(t, func(*http.Request) (*http.Response, error) { attempts++; return says(c.status, c.body) }, client.Config{})
				_, err := cl.GetAccount(t.Context(), "a@x")
				if err == nil || attempts != c.attempts {
					t.Fatalf("%v after %d attempts, want %d", err, attempts, c.attempts)
				}
				var said *client.Error
				if errors.As(err, &said) != (c.status != 200) || said != nil && said.Status != c.status {
					t.Errorf("%#v", err)
				}
				for _, sentinel := range []error{
					client.ErrInvalid, client.ErrUnauthorized, client.ErrForbidden, client.ErrNotFound, client.ErrConflict, client.ErrEventsGone, client.ErrPreconditionFailed,
					client.ErrRateLimited, client.ErrUnavailable,
				} {
					if errors.Is(err, sentinel) != (sentinel == c.is) {
						t.Errorf("errors.Is(%v, %v) is %t", err, sentinel, errors.Is(err, sentinel))
					}
				}
			})
		})
	}
}

func TestErrorHasEverything(t *testing.T) {
	t.Parallel()
	c := clientOn(t, func(*http.Request) (*http.Response, error) {
		return says(422, `{"type":"urn:bindgate:problem:invalid_field","code":"invalid_field","title":"A value is not valid","status":422,"detail":"This must be an integer.","field":"/x","request_id":"R1","new":1}`, "X-Request-Id", "R1")
	}, client.Config{})
	_, err := c.GetAccount(t.Context(), "a@x")
	var said *client.Error
	if !errors.As(err, &said) {
		t.Fatal(err)
	}
	if want := (client.Error{Status: 422, Code: client.CodeInvalidField, Title: "A value is not valid", Detail: "This must be an integer.", Field: "/x", RequestID: "R1"}); *said != want {
		t.Errorf("%#v, want %#v", *said, want)
	}
	if want := "bindgate: 422 invalid_field at /x: This must be an integer. (request R1)"; said.Error() != want {
		t.Errorf("%q, want %q", said, want)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header      func() string
		limit       time.Duration // of the call; 0: none
		least, most time.Duration
		attempts    int
	}{
		"seconds":                      {func() string { return "7" }, 0, 21 * time.Second, 22 * time.Second, 4},
		"a date":                       {func() string { return time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat) }, 0, 12 * time.Second, 16 * time.Second, 4},
		"nothing that makes sense":     {func() string { return "soon" }, 0, 0, 2 * time.Second, 4},
		"past":                         {func() string { return "Sun, 06 Nov 1994 08:49:37 GMT" }, 0, 0, 2 * time.Second, 4},
		"longer than the client waits": {func() string { return "31" }, 0, 0, 0, 1},
		"longer than the call has":     {func() string { return "7" }, 5 * time.Second, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts, begin := 0, time.Now()
				cl := clientOn(t, func(*http.Request) (*http.Response, error) {
					attempts++
					return says(429, "", "Retry-After", c.header())
				}, client.Config{})
				ctx := t.Context()
				if c.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.limit)
					defer cancel()
				}
				_, err := cl.GetAccount(ctx, "a@x")
				if took := time.Since(begin); !errors.Is(err, client.ErrRateLimited) || attempts != c.attempts || took < c.least || took > c.most {
					t.Errorf("%v after %d attempts and %s, want %d and %s to %s", err, attempts, took, c.attempts, c.least, c.most)
				}
			})
		})
	}
}

func TestAttemptsHaveAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts, begin := 0, time.Now()
		c := clientOn(t, func(r *http.Request) (*http.Response, error) {
			attempts++
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, client.Config{Timeout: time.Second, Attempts: 3})
		_, err := c.GetAccount(t.Context(), "a@x")
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || attempts != 3 || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("%v after %d attempts and %s", err, attempts, took)
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
		c = clientOn(t, func(*http.Request) (*http.Response, error) { return says(503, "", "Retry-After", "9") }, client.Config{})
		if _, err := c.GetAccount(ctx, "a@x"); !errors.Is(err, enough) || !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%v: want what has ended the call, and what was before that", err)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	attempts := 0
	c := clientOn(t, func(*http.Request) (*http.Response, error) {
		attempts++
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(endless{})}, nil
	}, client.Config{})
	if _, err := c.GetAccount(t.Context(), "a@x"); err == nil || !strings.Contains(err.Error(), "longer than") || attempts != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Nobody's token goes to another host, and a server that cannot prove who it is is not asked again.
func TestTokensStayAtHome(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, client.StaticToken("x"), client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.KickSession(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "redirected") || asked != 1 || elsewhere.Load() != 0 {
		t.Errorf("%v after %d requests, and %d elsewhere", err, asked, elsewhere.Load())
	}

	tokens := 0
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that the client breaks off
	secure.StartTLS()
	defer secure.Close()
	c, err = client.New(secure.URL, func(context.Context) (string, error) { tokens++; return "x", nil }, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ForgetDevice(t.Context(), "a@x", "d"); err == nil || tokens != 1 {
		t.Errorf("%v after %d attempts", err, tokens)
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("no token today")
	c, err := client.New("http://127.0.0.1:1", func(context.Context) (string, error) { return "", broken }, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetStats(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// What no header may have is said at once, and not taken for a lost connection.
func TestControlCharactersAreNotSent(t *testing.T) {
	t.Parallel()
	attempts := 0
	count := func(context.Context) (string, error) { attempts++; return "read from a file\n", nil }
	c, err := client.New("http://127.0.0.1:1", count, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetStats(t.Context()); err == nil || !strings.Contains(err.Error(), "Authorization") || attempts != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
	c = clientOn(t, func(*http.Request) (*http.Response, error) { return says(200, report) }, client.Config{})
	if _, err := c.Kick(client.WithIdempotencyKey(t.Context(), "a\r\nb"), "a@x", client.KickRequest{All: true}); err == nil || !strings.Contains(err.Error(), "Idempotency-Key") {
		t.Error(err)
	}
}

func TestEmptyNamesAreNotAsked(t *testing.T) {
	t.Parallel()
	c := clientOn(t, func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s %s", r.Method, r.URL)
		return says(200, "{}")
	}, client.Config{})
	if _, err := c.EraseAccount(t.Context(), ""); err == nil {
		t.Error("erased")
	}
	if err := c.ForgetDevice(t.Context(), "a@x", ""); err == nil {
		t.Error("forgotten")
	}
	if _, err := client.Collect(c.ListDevices(t.Context(), "", client.ListOptions{})); err == nil {
		t.Error("listed")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "bindgate.test", "ftp://x", "http://", "http://u:p@x", "http://x/?a=1", "http://x/#a", "http://[::1", "://"} {
		if _, err := client.New(bad, client.StaticToken("x"), client.Config{}); err == nil {
			t.Errorf("New(%q) is a client", bad)
		}
	}
	if _, err := client.New("http://x", nil, client.Config{}); err == nil {
		t.Error("a client without a TokenFunc")
	}
	if _, err := client.New("http://x", client.StaticToken("x"), client.Config{Attempts: -1}); err == nil {
		t.Error("a client with -1 attempts")
	}
}

func TestHealthIsAskedOnce(t *testing.T) {
	t.Parallel()
	attempts := 0
	c := clientOn(t, func(*http.Request) (*http.Response, error) { attempts++; return says(503, "") }, client.Config{})
	if err := c.GetReady(t.Context()); !errors.Is(err, client.ErrUnavailable) || attempts != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}
