package gate

import (
	"sync"
	"time"
)

// allowance bounds what is done beside the admissions: how much of it is open, and how much is begun in a second. The zero value is ready.
type allowance struct {
	mu     sync.Mutex
	open   int
	second time.Time // in which begun were begun
	begun  int
}

// begin reports whether one more may be begun now; end follows it.
func (a *allowance) begin(now time.Time, atOnce, aSecond int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.second) >= time.Second {
		a.second, a.begun = now, 0
	}
	if a.open >= atOnce || a.begun >= aSecond {
		return false
	}
	a.open++
	a.begun++
	return true
}

func (a *allowance) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
}
