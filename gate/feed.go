package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/store"
)

// Bounds of a feed: what it keeps in memory for all its readers, and how many of those that lag behind it read the database at once.
const (
	feedEvents   = 4096
	feedBytes    = 8 << 20
	feedChunk    = 512
	feedLaggards = 2
	feedPeriod   = 100 * time.Millisecond
	feedFresh    = 2 * time.Second // what has not been compared with the erasures for so long is told to nobody
)

// ErrEventsGone is returned to a reader that wants events which have been dropped by age.
var ErrEventsGone = errors.New("gate: the events behind that position are not kept any more")

// Told is an event as others are told of it.
type Told struct {
	Position int64
	Type     string
	Account  string // bare JID; empty: of no account
	Domain   string // the account's, or that of a domain's rule; empty: of none
	Body     []byte // {"id","type","at","account","data"}
}

// told is an event on the wire.
type told struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	At      time.Time       `json:"at"`
	Account *string         `json:"account"`
	Data    json.RawMessage `json:"data"`
}

// TellOf writes an event of the log as others are told of it.
func TellOf(e store.LoggedEvent) Told {
	t := Told{Position: e.Position, Type: e.Type, Account: e.Account}
	wire := told{ID: strconv.FormatInt(e.Position, 10), Type: e.Type, At: e.At.UTC(), Data: e.Data}
	if e.Account != "" {
		_, t.Domain = split(e.Account)
		wire.Account = &e.Account
	} else if e.Type == "rule.changed" {
		var rule struct {
			Level  string `json:"level"`
			Domain string `json:"domain"`
		}
		if json.Unmarshal(e.Data, &rule) == nil && rule.Level == "domain" {
			t.Domain = rule.Domain
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(wire) != nil { // the database has it as JSON, so it is
		wire.Data = json.RawMessage("{}")
		_ = enc.Encode(wire)
	}
	t.Body = []byte(strings.TrimSuffix(b.String(), "\n"))
	return t
}

// EventTypes returns every type of event there is.
func EventTypes() []string {
	return []string{
		"session.started", "session.hibernated", "session.resumed", "session.ended", "takeover", "login.denied", "kick.requested", "kick.verified", "kick.unverified",
		"loop.opened", "loop.closed", "rule.changed", "link.up", "link.down", "webhook.disabled",
	}
}

// Feed is the event log for many readers. One goroutine reads what is new, once for all of them, and keeps the last of it in memory; a reader is a position.
// Who is too far behind reads the database for itself, until it has caught up.
//
// What is in memory is forgotten as soon as events are erased from the log, and not told when it is not known whether some were: nothing is told of an account
// later than feedFresh after its erasure, and as a rule not later than feedPeriod.
type Feed struct {
	store    *store.Store
	kick     chan struct{} // there may be something new; one waits
	laggards chan struct{}

	mu       sync.Mutex
	erasures int64     // of events, that had been made when what is kept was read
	checked  time.Time // when that was last known to be all of them

	kept  []Told // without gaps. Readers have slices of it: what is in it never changes
	bytes int
	head  int64 // position of the last event that was read; -1: nothing has been read yet
	grown chan struct{}
	// Whether anybody wants to know: somebody may hold grown, and when the feed was used last.
	awaited bool
	used    time.Time
	current time.Time // when all that there was had been read
}

// feedIdle is how long a feed goes on that nobody reads: then it costs nothing until somebody comes.
const feedIdle = 10 * time.Second

func newFeed(st *store.Store) *Feed {
	return &Feed{store: st, kick: make(chan struct{}, 1), laggards: make(chan struct{}, feedLaggards), head: -1, grown: make(chan struct{})}
}

// Events returns the feed of this process, which lives as long as Run.
func (g *Gate) Events() *Feed { return g.feed }

// Bounds returns the positions of the oldest event that is kept in the database and of the newest; if none is kept, oldest is newest + 1.
func (f *Feed) Bounds(ctx context.Context) (oldest, newest int64, err error) {
	return f.store.LogBounds(ctx)
}

// Grown returns a channel that is closed when there are events behind those that Read gives now. Take it before Read, so that nothing is missed in between.
func (f *Feed) Grown() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited, f.used = true, time.Now()
	if f.head < 0 {
		f.wake()
	}
	return f.grown
}

// Read returns up to limit events behind a position, in order and without a gap; none if there are none yet. Whoever is not up to date may get some more
// than limit. ErrEventsGone: the next one is not kept any more.
func (f *Feed) Read(ctx context.Context, after int64, limit int) ([]Told, error) {
	if events, ok := f.recent(after, limit); ok {
		return events, nil
	}
	select {
	case f.laggards <- struct{}{}:
		defer func() { <-f.laggards }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	logged, err := f.store.EventsAfter(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return tellAll(logged, after)
}

// tellAll writes events that follow a position, up to the first gap.
func tellAll(logged []store.LoggedEvent, after int64) ([]Told, error) {
	events := make([]Told, 0, len(logged))
	for _, e := range logged {
		if e.Position != after+1 {
			break
		}
		after = e.Position
		events = append(events, TellOf(e))
	}
	if len(events) == 0 && len(logged) > 0 {
		return nil, ErrEventsGone
	}
	return events, nil
}

// recent returns what is in memory; false: that is not where the position is.
func (f *Feed) recent(after int64, limit int) ([]Told, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = time.Now()
	switch {
	case f.head < 0:
		return nil, false
	case after >= f.head:
		return nil, true
	case len(f.kept) == 0 || after < f.kept[0].Position-1 || time.Since(f.checked) > feedFresh:
		return nil, false
	}
	from := int(after - (f.kept[0].Position - 1))
	return f.kept[from:min(from+limit, len(f.kept)):min(from+limit, len(f.kept))], true
}

// Age is how long ago all that is in the log had been read for those who read it: a moment, unless the feed stands still. 0: nobody reads.
func (f *Feed) Age() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current.IsZero() {
		return 0
	}
	return time.Since(f.current)
}

// Erasures returns a number that grows with every erasure of events. What was read when it was another may say what nobody is to be told any more.
func (f *Feed) Erasures() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.erasures
}

// wake has the log looked at now.
func (f *Feed) wake() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// follow reads what is new until ctx ends.
func (f *Feed) follow(ctx context.Context, t trouble) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-f.kick:
		}
		if f.idle() {
			timer.Reset(feedPeriod)
			continue
		}
		f.read(false)
		err := f.catchUp(ctx)
		t.note(ctx, err)
		f.read(err == nil)
		if err != nil {
			timer.Reset(time.Second)
		} else {
			timer.Reset(feedPeriod)
		}
	}
}

// read keeps when the log was read to its end; before that it is when it was read for somebody first.
func (f *Feed) read(whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if whole || f.current.IsZero() {
		f.current = time.Now()
	}
}

// idle reports whether nobody reads the feed; then it lets go of what it keeps.
func (f *Feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.awaited || time.Since(f.used) < feedIdle {
		return false
	}
	f.head, f.kept, f.bytes, f.current = -1, nil, 0, time.Time{}
	return true
}

// catchUp reads all that is new; at first only where the log ends.
func (f *Feed) catchUp(ctx context.Context) error {
	f.mu.Lock()
	head := f.head
	f.mu.Unlock()
	if head < 0 {
		_, newest, err := f.store.LogBounds(ctx)
		if err != nil {
			return err
		}
		f.grow(newest, nil)
		return nil
	}
	for {
		asked := time.Now()
		erasures, err := f.store.EventErasures(ctx) // before the events
		if err != nil {
			return err
		}
		f.check(erasures, asked)
		logged, err := f.store.EventsAfter(ctx, head, feedChunk)
		if err != nil || len(logged) == 0 {
			return err
		}
		events, err := tellAll(logged, head)
		if err != nil { // it was away for longer than anything is kept
			events, _ = tellAll(logged, logged[0].Position-1)
		}
		head = events[len(events)-1].Position
		f.grow(head, events)
	}
}

// check forgets what was read before events were erased.
func (f *Feed) check(erasures int64, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checked = asked; f.erasures != erasures {
		f.erasures, f.kept, f.bytes = erasures, nil, 0
	}
}

// grow appends events and lets go of the oldest that are too many.
func (f *Feed) grow(head int64, events []Told) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) > 0 && len(events) > 0 && events[0].Position != f.head+1 {
		f.kept, f.bytes = nil, 0
	}
	f.head = head
	f.kept = append(f.kept, events...)
	for _, e := range events {
		f.bytes += len(e.Body)
	}
	drop := 0
	for drop < len(f.kept) && (len(f.kept)-drop > feedEvents || f.bytes > feedBytes) {
		f.bytes -= len(f.kept[drop].Body)
		drop++
	}
	f.kept = f.kept[drop:]
	close(f.grown)
	f.grown, f.awaited = make(chan struct{}), false
}
