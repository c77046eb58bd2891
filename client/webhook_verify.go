package client

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WebhookTolerance is how far the clocks of bindgate and of a webhook's receiver may be apart. What is older is taken for a replay.
const WebhookTolerance = 5 * time.Minute

// What VerifyWebhook finds wrong.
var (
	ErrWebhookUnsigned = errors.New("client: the webhook is not signed with a known secret")
	ErrWebhookTime     = errors.New("client: the webhook was signed too long ago, or in the future")
)

// maxWebhook bounds the body of a webhook. Bindgate's have less than 20 kB.
const maxWebhook = 1 << 20

// Delivery is what came to a webhook. It comes at least once: again if the answer of the first time was lost.
type Delivery struct {
	ID    string    // the same each time that it comes
	At    time.Time // when this attempt was signed
	Event Event
}

// VerifyWebhook checks by Standard Webhooks that a request to a webhook was signed with one of the secrets ("whsec_…"), not long ago, and decodes it. While a
// secret is being rotated give the old and the new one. The body is that of the request, byte for byte.
func VerifyWebhook(secrets []string, h http.Header, body []byte, now time.Time) (*Delivery, error) {
	keys, err := webhookKeys(secrets)
	if err != nil {
		return nil, err
	}
	return verifyWebhook(keys, h, body, now)
}

func webhookKeys(secrets []string) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("client: a webhook's secret is needed")
	}
	keys := make([][]byte, len(secrets))
	for i, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil || len(key) < 24 { // the standard has 24 to 64 bytes
			return nil, fmt.Errorf("client: secret %d of the webhook is none: it must be whsec_ and the base64 of 24 bytes at least", i)
		}
		keys[i] = key
	}
	return keys, nil
}

func verifyWebhook(keys [][]byte, h http.Header, body []byte, now time.Time) (*Delivery, error) {
	id, stamp, given := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), h.Get("Webhook-Signature")
	seconds, err := strconv.ParseUint(stamp, 10, 40)
	if id == "" || given == "" || err != nil {
		return nil, fmt.Errorf("%w: its headers are not there, or cannot be read", ErrWebhookUnsigned)
	}
	if !signed(keys, id+"."+stamp+".", body, given) {
		return nil, ErrWebhookUnsigned
	}
	d := &Delivery{ID: id, At: time.Unix(int64(seconds), 0)}
	if now.Sub(d.At).Abs() > WebhookTolerance {
		return nil, ErrWebhookTime
	}
	if err := json.Unmarshal(body, &d.Event); err != nil {
		return nil, fmt.Errorf("client: webhook %s: %w", id, err)
	}
	return d, nil
}

// signed reports whether one of the given signatures, "v1,<base64>" separated by spaces, is of one of the keys.
func signed(keys [][]byte, prefix string, body []byte, given string) bool {
	ok := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(prefix))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, signature := range strings.Fields(given) {
			version, text, _ := strings.Cut(signature, ",")
			if got, err := base64.StdEncoding.DecodeString(text); err == nil && version == "v1" && hmac.Equal(got, want) {
				ok = true
			}
		}
	}
	return ok
}

// WebhookHandler returns a handler for a webhook's URL. It verifies each request and gives it to handle, which answers soon: bindgate waits some seconds, and the
// account's later events wait with it. An error of handle is a 500: the delivery comes again. What is not verified is a 401 and not given to handle.
func WebhookHandler(secrets []string, handle func(context.Context, Delivery) error) (http.Handler, error) {
	keys, err := webhookKeys(secrets)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "POST only", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
		if err != nil {
			status := http.StatusBadRequest
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, "the body cannot be read", status)
			return
		}
		d, err := verifyWebhook(keys, r.Header, body, time.Now())
		if err != nil {
			http.Error(w, "not verified", http.StatusUnauthorized)
			return
		}
		if err := handle(r.Context(), *d); err != nil {
			http.Error(w, "not taken", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}
