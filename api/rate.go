package api

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBudgets bounds how many budgets are kept at most in each of two generations, about 100 bytes each.
const maxBudgets = 20_000

// limiter gives everyone a budget of requests that fills up again at a steady rate. Whoever has not asked for as long as that takes has a full one, and
// is forgotten. When more than maxBudgets ask within that time the oldest are forgotten too: memory is bounded, and nobody is refused for it.
type limiter[K comparable] struct {
	perSecond float64
	quota     int // requests at once
	window    time.Duration

	mu          sync.Mutex
	recent, old map[K]*rate.Limiter
	turned      time.Time // when recent was begun
}

// newLimiter returns nil, which refuses nobody, if perSecond is 0.
func newLimiter[K comparable](perSecond float64) *limiter[K] {
	if perSecond == 0 {
		return nil
	}
	quota := max(1, math.Floor(perSecond))
	return &limiter[K]{perSecond: perSecond, quota: int(quota), window: seconds(quota / perSecond), recent: map[K]*rate.Limiter{}}
}

// budget is what is left after a request.
type budget struct {
	ok    bool
	left  int
	whole time.Duration // until it is full again; if not ok, until one more request is taken
}

// take takes one request from somebody's budget.
func (l *limiter[K]) take(who K, now time.Time) budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.find(who, now)
	ok := b.AllowN(now, 1)
	tokens := max(0, b.TokensAt(now))
	if !ok {
		return budget{whole: seconds((1 - tokens) / l.perSecond)}
	}
	return budget{ok: true, left: int(tokens), whole: seconds((float64(l.quota) - tokens) / l.perSecond)}
}

// seconds are rounded up to whole ones, which is all that headers can say; a year has to do.
func seconds(s float64) time.Duration {
	return time.Duration(min(math.Ceil(s), 366*24*3600)) * time.Second
}

func (l *limiter[K]) find(who K, now time.Time) *rate.Limiter {
	if now.Sub(l.turned) > l.window || len(l.recent) >= maxBudgets {
		old := l.recent
		if now.Sub(l.turned) > 2*l.window { // those are full again as well
			old = nil
		}
		l.old, l.recent, l.turned = old, map[K]*rate.Limiter{}, now
	}
	b := l.recent[who]
	if b == nil {
		if b = l.old[who]; b == nil {
			b = rate.NewLimiter(rate.Limit(l.perSecond), l.quota)
		}
		l.recent[who] = b
	}
	return b
}

// tell adds the headers of draft-ietf-httpapi-ratelimit-headers-11.
func (l *limiter[K]) tell(h http.Header, b budget) {
	h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, l.quota, int(l.window/time.Second)))
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, b.left, int(b.whole/time.Second)))
	if !b.ok {
		h.Set("Retry-After", strconv.Itoa(max(1, int(b.whole/time.Second))))
	}
}

// limits are those of one process.
type limits struct {
	tokens    *limiter[[sha256.Size]byte] // nil: none
	addresses *limiter[netip.Prefix]      // of requests without a good token; nil: none
}

// network is what an address is counted as: an IPv6 host has a whole /64.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of no address it is the zero prefix, which is one for all
	return p
}

// admit counts a request, by its token or, if that is not good (err), by its client's address. The answer is err, or that there were too many.
func (a *api) admit(c *call, err error) error {
	now := time.Now()
	h := c.Response().Header()
	if err == nil {
		if a.limits.tokens == nil {
			return nil
		}
		b := a.limits.tokens.take(c.caller.token, now)
		if a.limits.tokens.tell(h, b); !b.ok {
			return fail(codeRateLimited, "There were too many requests with this token. Wait as long as Retry-After says.")
		}
		return nil
	}
	if a.limits.addresses == nil || explain(err).code != codeUnauthorized {
		return err
	}
	b := a.limits.addresses.take(network(c.address), now)
	if a.limits.addresses.tell(h, b); !b.ok {
		return fail(codeRateLimited, "There were too many requests without a valid token from this address. Wait as long as Retry-After says.")
	}
	return err
}
