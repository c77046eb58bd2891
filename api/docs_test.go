package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	open := func(r *http.Request) { r.Header.Del("Authorization") }
	plain := s.get("/docs", open, header("Accept-Encoding", "identity")).ok(200, nil)
	if h := plain.header; h.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") || h.Get("Content-Encoding") != "" {
		t.Errorf("headers: %v", h)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/docs", nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != string(plain.body) || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("compressed: %d bytes, %v, %v", len(b), err, resp.Header)
	}
}
