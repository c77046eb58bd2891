package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Requests that no client library sends.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	s := newService(t)
	auth := "Authorization: Bearer " + s.token + "\r\n"
	for raw, want := range map[string]int{
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n":                                              200,
		"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n":                                      200,
		"GET /healthz HTTP/1.0\r\n\r\n":                                                         200,
		"GET /healthz HTTP/1.1\r\n\r\n":                                                         400,
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                                  400,
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                 200, // net/http answers it
		"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n":                         404,
		"GET /v1/sessions HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 30000) + "\r\n\r\n": 431,
		"GET /" + strings.Repeat("a/", 4000) + " HTTP/1.1\r\nHost: x\r\n\r\n":                   404,
		"PUT /v1/rules/default HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n":        200,
		"PUT /v1/rules/default HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                      400,
		"PUT /v1/rules/default HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 90000000\r\n\r\n" + strings.Repeat(" ", 66000): 413,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, raw); err != nil {
			t.Errorf("%.80q: %v", raw, err)
		}
		method, _, _ := strings.Cut(raw, " ")
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method}) //nolint:bodyclose // the connection is closed
		if err != nil {
			t.Errorf("%.80q: %v", raw, err)
		} else if resp.StatusCode != want {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			t.Errorf("%.80q: %d, want %d: %s", raw, resp.StatusCode, want, body)
		}
		conn.Close()
	}
	if log := s.logs.String(); strings.Contains(log, "panic") {
		t.Error(log)
	}
}
