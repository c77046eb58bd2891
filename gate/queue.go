package gate

import (
	"sync"

	"github.com/bindgate/bindgate/store"
)

// op is one thing to be done to one account, under its row lock.
type op struct {
	want store.Want
	// apply notes the changes in the record and returns what is to be done once they are committed (nil: nothing). It may run again after a
	// failed transaction, with a fresh record. r is nil if the account does not exist and want.Create is not set.
	apply func(r *store.Record) func()
	// failed is told once if the operation could not be done. nil: nobody cares.
	failed func(error)
	fence  store.Fence
}

// queue keeps operations in order of arrival per account and hands out at most one operation an account at a time.
// It is bounded, and so is each lane, lest one account take all the room: push says no when one is full.
type queue struct {
	mu     sync.Mutex
	lanes  map[store.Key]*lane
	ready  []*lane
	length int
	limit  int
	filled chan struct{} // one token while there may be something ready
	closed bool
}

// laneLimit is how many operations of one account may wait before no more are taken from its server: about as many as are done in the time that
// the server waits for an answer. An operator's kick is always taken.
const laneLimit = 1024

type lane struct {
	key     store.Key
	ops     []*op
	running bool
}

func newQueue(limit int) *queue {
	return &queue{lanes: map[store.Key]*lane{}, limit: limit, filled: make(chan struct{}, 1)}
}

// push appends an operation. It never blocks: ErrOverloaded if the queue or the lane is full, ErrStopped if the queue is closed.
func (q *queue) push(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrStopped
	case q.length >= q.limit:
		return ErrOverloaded
	}
	l := q.lanes[o.want.Key]
	if l != nil && len(l.ops) >= laneLimit && o.fence.Link != "" {
		return ErrOverloaded
	}
	if l == nil {
		l = &lane{key: o.want.Key}
		q.lanes[o.want.Key] = l
	}
	l.ops = append(l.ops, o)
	q.length++
	if !l.running && len(l.ops) == 1 {
		q.ready = append(q.ready, l)
		q.signal()
	}
	return nil
}

func (q *queue) signal() {
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take returns the first operation of up to limit accounts that nobody works on; it returns nothing if there is none. All have one fence.
// Each account must be given back by done.
func (q *queue) take(limit int) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*op
	var left []*lane
	for i, l := range q.ready {
		if len(out) == limit {
			left = append(left, q.ready[i:]...)
			break
		}
		if len(out) > 0 && l.ops[0].fence != out[0].fence {
			left = append(left, l)
			continue
		}
		l.running = true
		out = append(out, l.ops[0])
	}
	q.ready = left
	if len(q.ready) > 0 {
		q.signal()
	}
	return out
}

// done gives an account back; its first operation is finished.
func (q *queue) done(key store.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[key]
	l.running = false
	l.ops[0] = nil
	l.ops = l.ops[1:]
	q.length--
	if len(l.ops) == 0 {
		delete(q.lanes, key)
		return
	}
	q.ready = append(q.ready, l)
	q.signal()
}

// close refuses what comes from now on and returns what is waiting, which nobody will do any more.
func (q *queue) close() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	var out []*op
	for _, l := range q.lanes {
		from := 0
		if l.running {
			from = 1
		}
		out = append(out, l.ops[from:]...)
		q.length -= len(l.ops) - from
		l.ops = l.ops[:from]
	}
	q.ready = nil
	return out
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.length
}
