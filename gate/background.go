package gate

import "sync"

// background are goroutines that Run waits for. The zero value is ready.
type background struct {
	mu    sync.Mutex
	ended bool
	wait  sync.WaitGroup
}

// run starts f, or returns false if it is too late: a link may tell of its end when the gate has ended.
func (b *background) run(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.wait.Go(f)
	return true
}

// end starts nothing more and waits.
func (b *background) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.wait.Wait()
}
