package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bindgate/bindgate/client"
)

const (
	whsec    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	oldWhsec = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQgb2xk"
	body     = `{"id":"7","type":"link.down","at":"2026-11-23T08:00:00Z","account":null,"data":{"link":"main","reason":"♥"},"new":1}`
)

// webhook is a request that the reference library has signed.
func webhook(t *testing.T, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := w.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", signature)
	return h
}

// VerifyWebhook says what the reference library says.
func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		change func(http.Header)
		at     time.Time
		body   string
		want   error
	}{
		"as sent":                  {nil, now, body, nil},
		"nearly too old":           {nil, now.Add(-299 * time.Second), body, nil},
		"too old":                  {nil, now.Add(-302 * time.Second), body, client.ErrWebhookTime},
		"nearly too new":           {nil, now.Add(299 * time.Second), body, nil},
		"too new":                  {nil, now.Add(302 * time.Second), body, client.ErrWebhookTime},
		"another body":             {nil, now, body + " ", client.ErrWebhookUnsigned},
		"another id":               {func(h http.Header) { h.Set("Webhook-Id", "8") }, now, body, client.ErrWebhookUnsigned},
		"another time":             {func(h http.Header) { h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix()-1, 10)) }, now, body, client.ErrWebhookUnsigned},
		"no id":                    {func(h http.Header) { h.Del("Webhook-Id") }, now, body, client.ErrWebhookUnsigned},
		"no time":                  {func(h http.Header) { h.Del("Webhook-Timestamp") }, now, body, client.ErrWebhookUnsigned},
		"no signature":             {func(h http.Header) { h.Del("Webhook-Signature") }, now, body, client.ErrWebhookUnsigned},
		"a time that is none":      {func(h http.Header) { h.Set("Webhook-Timestamp", "now") }, now, body, client.ErrWebhookUnsigned},
		"a time without end":       {func(h http.Header) { h.Set("Webhook-Timestamp", "9223372036854775807") }, now, body, client.ErrWebhookUnsigned},
		"a signature that is none": {func(h http.Header) { h.Set("Webhook-Signature", "v1 , v1,,") }, now, body, client.ErrWebhookUnsigned},
		"another version": {func(h http.Header) {
			h.Set("Webhook-Signature", strings.Replace(h.Get("Webhook-Signature"), "v1,", "v1a,", 1))
		}, now, body, client.ErrWebhookUnsigned},
		"one of several": {func(h http.Header) {
			h.Set("Webhook-Signature", "v1a,eA== v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))+" "+h.Get("Webhook-Signature"))
		}, now, body, nil},
	} {
		h := webhook(t, whsec, "msg_7", c.at, body)
		if c.change != nil {
			c.change(h)
		}
		d, err := client.VerifyWebhook([]string{whsec}, h, []byte(c.body), now)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && (d.ID != "msg_7" || d.At.Unix() != c.at.Unix() || d.Event.ID != "7" || d.Event.Type != client.EventLinkDown) {
			t.Errorf("%s: %+v", name, d)
		}
		reference, err := standardwebhooks.NewWebhook(whsec)
		if err != nil {
			t.Fatal(err)
		}
		if err := reference.Verify([]byte(c.body), h); (err == nil) != (c.want == nil) {
			t.Errorf("%s: the reference library says %v, want %v", name, err, c.want)
		}
	}
}

func TestWebhookSecretsRotate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := webhook(t, oldWhsec, "1", now, body)
	if _, err := client.VerifyWebhook([]string{whsec}, h, []byte(body), now); !errors.Is(err, client.ErrWebhookUnsigned) {
		t.Errorf("with the new secret alone: %v", err)
	}
	if _, err := client.VerifyWebhook([]string{whsec, oldWhsec}, h, []byte(body), now); err != nil {
		t.Errorf("with both: %v", err)
	}
	if _, err := client.VerifyWebhook([]string{strings.TrimPrefix(oldWhsec, "whsec_")}, h, []byte(body), now); err != nil {
		t.Errorf("without its prefix: %v", err)
	}
	for _, bad := range [][]string{nil, {""}, {"whsec_"}, {"whsec_c2hvcnQ="}, {"whsec_%"}, {whsec, ""}} {
		if _, err := client.VerifyWebhook(bad, h, []byte(body), now); err == nil || errors.Is(err, client.ErrWebhookUnsigned) {
			t.Errorf("the secrets %q: %v, want that they are none", bad, err)
		}
		if _, err := client.WebhookHandler(bad, nil); err == nil {
			t.Errorf("a handler with the secrets %q", bad)
		}
	}
}

func TestWebhookHandler(t *testing.T) {
	t.Parallel()
	var got []client.Delivery
	fail := false
	h, err := client.WebhookHandler([]string{whsec}, func(_ context.Context, d client.Delivery) error {
		if got = append(got, d); fail {
			return errors.New("the database is away")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func(method string, header http.Header, body string) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.Header = header
		h.ServeHTTP(w, r)
		return w.Code
	}
	good := webhook(t, whsec, "1", time.Now(), body)
	for _, c := range []struct {
		method string
		header http.Header
		body   string
		fail   bool
		status int
		taken  bool
	}{
		{"POST", good, body, false, 204, true},
		{"POST", good, body, true, 500, true},
		{"GET", good, body, false, 405, false},
		{"POST", good, body + "x", false, 401, false},
		{"POST", http.Header{}, body, false, 401, false},
		{"POST", webhook(t, oldWhsec, "1", time.Now(), body), body, false, 401, false},
		{"POST", webhook(t, whsec, "1", time.Now().Add(-time.Hour), body), body, false, 401, false},
		{"POST", webhook(t, whsec, "1", time.Now(), "hello"), "hello", false, 401, false},
		{"POST", good, strings.Repeat("x", 2<<20), false, 413, false},
	} {
		got, fail = nil, c.fail
		if status := send(c.method, c.header, c.body); status != c.status || (len(got) == 1) != c.taken {
			t.Errorf("%s %.20s: %d, taken: %v; want %d, %t", c.method, c.body, status, got, c.status, c.taken)
		}
	}
}
