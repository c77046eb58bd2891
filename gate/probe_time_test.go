package gate

import (
	"testing"
	"time"
)

// What sessions may take to answer fits into what is left of the ask's deadline, and is long enough to mean something, or nothing.
func TestProbeTime(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct{ deadline, gone, want time.Duration }{
		{5000 * ms, 0, 4750 * ms},
		{5000 * ms, 3750 * ms, 1000 * ms},
		{5000 * ms, 3751 * ms, 0},
		{2000 * ms, 0, 1750 * ms},
		{2000 * ms, 1500 * ms, 400 * ms},
		{2000 * ms, 1501 * ms, 0},
		{1000 * ms, 0, 800 * ms},
		{LeastTimeout, 125 * ms, 300 * ms}, // so much is left to ask and decide
		{LeastTimeout, 126 * ms, 0},
		{374 * ms, 0, 0},
		{1000 * ms, 1100 * ms, 0},
	} {
		if got := probeTime(tt.deadline, tt.gone); got != tt.want {
			t.Errorf("%s of %s are gone: %s, want %s", tt.gone, tt.deadline, got, tt.want)
		}
	}
}
