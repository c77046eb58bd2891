package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// firstWait is how long the first wait is at most; each further one may be twice as long.
const firstWait = 250 * time.Millisecond

// again says whether a call whose nth attempt has failed is tried again, and after which wait. It is not when the context would end before.
func (c *Client) again(ctx context.Context, n int, err error) (time.Duration, bool) {
	if n >= c.attempts || ctx.Err() != nil || !passing(err) {
		return 0, false
	}
	wait := backoff(n, c.maxWait)
	var said *Error
	if errors.As(err, &said) && said.RetryAfter > 0 {
		if said.RetryAfter > c.maxWait {
			return 0, false
		}
		wait = said.RetryAfter + rand.N(firstWait) // those who were refused together do not come back together
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return 0, false
	}
	return wait, true
}

// passing reports whether an error may be gone at the next attempt. A request whose connection was lost may have been carried out: its idempotency key has
// the server answer the next attempt as it would have answered this one, and one that is still being carried out is waited for.
func passing(err error) bool {
	var said *Error
	if errors.As(err, &said) {
		switch said.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return true
		case http.StatusBadGateway, http.StatusGatewayTimeout: // of a proxy, while bindgate restarts
			return true
		case http.StatusConflict:
			return said.Code == codeInProgress
		}
		return false
	}
	var cert *tls.CertificateVerificationError
	return isLost(err) && !errors.As(err, &cert)
}

// backoff is a random wait up to a bound that doubles ("full jitter").
func backoff(n int, longest time.Duration) time.Duration {
	bound := longest
	if n < 16 {
		bound = min(longest, firstWait<<(n-1))
	}
	return rand.N(max(bound, 1)) + time.Millisecond
}
