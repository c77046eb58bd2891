package webhook

import (
	"container/heap"
	"strconv"
	"time"
)

// delivery is an event that is to be sent.
type delivery struct {
	id      int64 // position; below zero: a test
	account string
	byHand  bool   // one attempt
	tries   int    // attempts that failed while the target was not at fault
	body    []byte // nil: to be read from the log
	asOf    int64  // the erasures that had been made when it was read
}

// lane is what is to be sent of one account, in order; only the first of it is ever on its way.
type lane struct {
	key   string
	queue []*delivery
	due   time.Time // when the first of it is to be sent
	hold  time.Time // not before, since the target asked for it
	index int       // in the heap; -1: it is on its way

	settled bool // an attempt has ended that is not written yet
}

// lanes are those that have something, the one that is due first on top.
type lanes struct {
	byKey map[string]*lane
	heap  laneHeap
	count int // deliveries in all of them
}

func newLanes() *lanes { return &lanes{byKey: map[string]*lane{}} }

// add appends a delivery to its lane. The lane of one that is asked for by hand is its own: it waits for nobody.
func (ls *lanes) add(d *delivery, due time.Time) {
	key := "account " + d.account
	if d.byHand { // before all others
		due = time.Time{}
		key = "by hand " + strconv.FormatInt(d.id, 10)
	}
	l := ls.byKey[key]
	if l == nil {
		l = &lane{key: key, due: due}
		ls.byKey[key] = l
		heap.Push(&ls.heap, l)
	}
	l.queue = append(l.queue, d)
	ls.count++
}

// top returns the lane that is due first, of those that are not on their way; nil: there is none.
func (ls *lanes) top() *lane {
	if len(ls.heap) == 0 {
		return nil
	}
	return ls.heap[0]
}

// take has the first of a lane be on its way.
func (ls *lanes) take(l *lane) { heap.Remove(&ls.heap, l.index) }

// done takes the first off a lane that was on its way; what is behind it is due at once.
func (ls *lanes) done(l *lane, now time.Time) {
	l.queue[0] = nil
	l.queue = l.queue[1:]
	ls.count--
	if len(l.queue) == 0 {
		delete(ls.byKey, l.key)
		return
	}
	l.due, l.hold = now, now
	heap.Push(&ls.heap, l)
}

// again has the first of a lane that was on its way be due later.
func (ls *lanes) again(l *lane, due time.Time) {
	l.due = due
	heap.Push(&ls.heap, l)
}

// hasten has all lanes be due at a time, but for those that the target wants held.
func (ls *lanes) hasten(due time.Time) {
	for _, l := range ls.heap {
		if l.due.After(due) {
			l.due = due
			if l.hold.After(due) {
				l.due = l.hold
			}
		}
	}
	heap.Init(&ls.heap)
}

// hurry has the delivery be due, if it is the first of its lane.
func (ls *lanes) hurry(account string, id int64, due time.Time) {
	l := ls.byKey["account "+account]
	if l != nil && l.index >= 0 && l.queue[0].id == id && l.due.After(due) {
		l.due, l.hold = due, due
		heap.Fix(&ls.heap, l.index)
	}
}

type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *laneHeap) Push(x any) {
	l, _ := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}

func (h *laneHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = -1
	return l
}
