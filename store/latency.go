package store

import (
	"math"
	"strconv"
	"time"
)

// Latencies are counted in buckets: of half a millisecond, and then each up to √2 of the one before, to 4.1 s; the last has what took longer. So a quantile is told to a sixth of itself or so.
const (
	tookFirst   = 500 * time.Microsecond
	tookBuckets = 28
)

// TookCode returns the code of how long something took.
func TookCode(d time.Duration) string {
	bucket := 0
	if d > tookFirst {
		bucket = min(int(math.Ceil(2*math.Log2(float64(d)/float64(tookFirst)))), tookBuckets-1)
	}
	return strconv.Itoa(bucket)
}

// tookUpTo returns the upper end of a bucket in milliseconds.
func tookUpTo(bucket int) float64 {
	return tookFirst.Seconds() * 1000 * math.Pow(2, float64(bucket)/2)
}

// Quantile returns the milliseconds that a share of what was counted by CountTook took at most, as if what is in a bucket were spread evenly over it; nothing, if nothing was. What is in the last
// bucket took as long as it begins at, at least.
func (t Tally) Quantile(share float64) (ms float64, ok bool) {
	var counts [tookBuckets]int64
	var all int64
	for c, n := range t {
		if b, err := strconv.Atoi(c.Code); c.Of == CountTook && err == nil && b >= 0 && b < tookBuckets {
			counts[b] += n
			all += n
		}
	}
	if all == 0 {
		return 0, false
	}
	rank, below := share*float64(all), int64(0)
	for b, n := range counts {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		from, to := 0.0, tookUpTo(b)
		if b > 0 {
			from = tookUpTo(b - 1)
		}
		if b == tookBuckets-1 {
			return from, true
		}
		return from + (to-from)*(rank-float64(below))/float64(n), true
	}
	return tookUpTo(tookBuckets - 2), true
}
