package dashboard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func roundTrip(ctx context.Context, t *testing.T, h http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://inside/v1/a%2Fb?q=1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return transport{h}.RoundTrip(req)
}

func TestTransport(t *testing.T) {
	t.Parallel()
	ctx := context.WithValue(t.Context(), requestIDKey{}, "the-page")
	resp, err := roundTrip(ctx, t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.URL.EscapedPath()+" "+r.Header.Get(headerRequestID)+" "+string(b))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
		w.Header().Set("X-Late", "1")
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.Body.Close() != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("X-Seen"); resp.StatusCode != http.StatusTeapot || got != "/v1/a%2Fb the-page body" || resp.Header.Get("X-Late") != "" || string(b) != "short and stout" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, b)
	}
}

// What a handler has written is read before it ends, and it ends with its reader.
func TestTransportStreams(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	resp, err := roundTrip(t.Context(), t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "first" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended: // Close has waited for it
	default:
		t.Error("the handler goes on")
	}
}

func TestTransportBreaksOff(t *testing.T) {
	t.Parallel()
	resp, err := roundTrip(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); !errors.Is(err, errCutOff) || string(b) != "half" {
		t.Errorf("%q, %v", b, err)
	}
	_ = resp.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp, err = roundTrip(ctx, t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if resp != nil {
		_ = resp.Body.Close() // it may have begun when that was seen
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
