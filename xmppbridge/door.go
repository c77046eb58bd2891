package xmppbridge

import (
	"sync"
	"time"
)

// Bounds of users' requests on one connection. What is beyond them is answered resource-constraint, type wait.
const (
	ownersOpen   = 64 // that wait or are at work
	ownersAtWork = 16
	ownersASec   = 200
	accountOpen  = 8 // the same for one account
	accountASec  = 20
)

// door lets in as many requests of users as the bounds say, so that one account does not take the room of all. The zero value is ready. It remembers
// who came in this second and who is inside.
type door struct {
	mu     sync.Mutex
	open   int
	inside map[string]int
	second time.Time
	came   map[string]int // since second began
	total  int
}

// enter reports whether a request of an account may come in; leave follows it.
func (d *door) enter(account string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.came == nil || now.Sub(d.second) >= time.Second {
		d.second, d.came, d.total = now, map[string]int{}, 0
	}
	if d.open >= ownersOpen || d.total >= ownersASec || d.inside[account] >= accountOpen || d.came[account] >= accountASec {
		return false
	}
	if d.inside == nil {
		d.inside = map[string]int{}
	}
	d.open++
	d.inside[account]++
	d.total++
	d.came[account]++
	return true
}

func (d *door) leave(account string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	if d.inside[account]--; d.inside[account] == 0 {
		delete(d.inside, account)
	}
}
