package gate

import (
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	var th throttle
	now := time.Unix(0, 0)
	for i, want := range []bool{true, false, false} {
		if ok, _ := th.pass(now); ok != want {
			t.Fatalf("message %d: said %v", i, ok)
		}
	}
	if ok, unsaid := th.pass(now.Add(time.Second)); !ok || unsaid != 2 {
		t.Fatalf("a second later: said %v, %d unsaid", ok, unsaid)
	}
}
