package xmppclient

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Answers are read in the order of their requests, whichever comes first.
func TestBOSHAnswersInOrder(t *testing.T) {
	t.Parallel()
	second := make(chan struct{}) // closed when the second request's answer is on its way
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body, err := parse(string(text))
		if err != nil {
			t.Error(err)
			return
		}
		payload := ""
		switch {
		case body.Attr("sid") == "":
		case body.Child("", "presence") != nil:
			payload = "<message id='2'/>"
			defer close(second)
		default:
			payload = "<message id='1'/>"
			select {
			case <-second:
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, "<body xmlns='%s' sid='s'>%s</body>", nsBOSH, payload)
	}))
	defer server.Close()
	b := dialBOSH(server.URL)
	defer b.abort()
	if err := b.open(t.Context(), "localhost", "en"); err != nil {
		t.Fatal(err)
	}
	if err := b.write("<presence/>"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2"} {
		if e, err := b.read(); err != nil || e.Attr("id") != want {
			t.Fatalf("got %+v, %v, want message %s", e, err, want)
		}
	}
}
