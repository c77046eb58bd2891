package xmppclient

import (
	"errors"
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
	b := dialBOSH(server.URL, false)
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

// A stream that the server ends is over although it leaves a request without an answer, the earlier or the later one, and says why.
func TestBOSHEndsWithoutAllAnswers(t *testing.T) {
	t.Parallel()
	for _, forgotten := range []string{"1", "2"} {
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
			request := "1"
			if body.Child("", "presence") != nil {
				request = "2"
			}
			switch {
			case body.Attr("sid") == "":
				fmt.Fprintf(w, "<body xmlns='%s' sid='s'/>", nsBOSH)
			case request == forgotten:
				<-r.Context().Done()
			default:
				fmt.Fprintf(w, "<body xmlns='%s' sid='s' type='terminate'><message/></body>", nsBOSH)
			}
		}))
		b := dialBOSH(server.URL, false)
		if err := b.open(t.Context(), "localhost", "en"); err != nil {
			t.Fatal(err)
		}
		if err := b.write("<presence/>"); err != nil {
			t.Fatal(err)
		}
		if e, err := b.read(); err != nil || e.Name.Local != "message" {
			t.Errorf("request %s has no answer: got %+v, %v, want the message", forgotten, e, err)
		}
		if e, err := b.read(); !errors.Is(err, errStreamEnd) {
			t.Errorf("request %s has no answer: got %+v, %v, want the end", forgotten, e, err)
		}
		b.abort()
		server.Close()
	}
}
