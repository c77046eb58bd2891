package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/store"
)

// Bounds of a request.
const (
	sendTimeout = 15 * time.Second // from the look-up of the name to the end of the answer
	answerRead  = 4 << 10          // bytes of an answer that are read; a longer one costs its connection
	answerKept  = 1 << 10
	headerLimit = 16 << 10
)

// sender makes requests. It follows no redirect and no proxy of the environment: both would lead where nobody looked.
type sender struct {
	client *http.Client
	agent  string
}

func newSender(targets target.Policy, version string) *sender {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Control: targets.Control}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: sendTimeout, MaxResponseHeaderBytes: headerLimit,
		MaxIdleConns: 2 * sharedSlots, MaxIdleConnsPerHost: maxSlots, IdleConnTimeout: 30 * time.Second, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	agent := "bindgate"
	if version != "" {
		agent += "/" + version
	}
	return &sender{agent: agent, client: &http.Client{
		Transport: transport, Timeout: sendTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// message is what is sent.
type message struct {
	url     string
	id      string // the same in every attempt
	body    []byte
	secrets []store.WebhookSecret
}

// outcome of a request.
type outcome struct {
	ok         bool // 2xx
	status     int  // 0: no answer
	took       time.Duration
	answer     string
	problem    string
	retryAfter time.Duration // what the target asked for; 0: nothing
	cancelled  bool          // by us
	late       bool          // since the lease may have ended
}

func (s *sender) send(ctx context.Context, m message) outcome {
	start := time.Now()
	out := s.post(ctx, m, start)
	out.took = time.Since(start)
	return out
}

func (s *sender) post(ctx context.Context, m message, now time.Time) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(m.body))
	if err != nil {
		return outcome{problem: "the URL cannot be used"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	sign(req.Header, m.id, now, m.body, m.secrets)
	resp, err := s.client.Do(req)
	if err != nil {
		return outcome{problem: problemOf(err), cancelled: ctx.Err() != nil}
	}
	defer resp.Body.Close()
	out := outcome{status: resp.StatusCode, ok: resp.StatusCode/100 == 2}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerRead))
	out.answer = legible(body)
	switch {
	case out.ok: // the body of a yes is nothing that could make it a no
	case resp.StatusCode/100 == 3:
		out.problem = fmt.Sprintf("the answer is %d, a redirect, which is not followed: set the webhook's URL to where it leads", resp.StatusCode)
	default:
		out.problem = fmt.Sprintf("the answer is %d", resp.StatusCode)
		out.retryAfter = retryAfter(resp.Header, now)
	}
	if err != nil && ctx.Err() != nil && !out.ok {
		out.cancelled = true
	}
	return out
}

// problemOf says why there was no answer, without what only this machine's log should know.
func problemOf(err error) string {
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.Is(err, target.ErrPrivate):
		return target.ErrPrivate.Error()
	case errors.As(err, &dns):
		return "the name " + strconv.Quote(dns.Name) + " cannot be resolved"
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %s", sendTimeout)
	}
	text := err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 { // url.Error: the method and the URL come first
		text = text[i+3:]
	}
	return legible([]byte(text))
}

// legible makes text of bytes from outside, as much of it as is kept.
func legible(b []byte) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(b[:min(len(b), answerKept)]), "\ufffd"), "\x00", "\ufffd")
}

// retryAfter reads when a target wants to be asked again: seconds or a date (RFC 9110 §10.2.3). What is neither, or over, is nothing.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 63); err == nil {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if v != "" && strings.Trim(v, "0123456789") == "" { // more than a number holds
		return maxRetryAfter
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
