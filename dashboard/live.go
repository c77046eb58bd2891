package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// Bounds of live streams.
const (
	maxStreams    = 1024             // at once
	userStreams   = 64               // of one user; a page that gets none asks every few seconds
	liveEvery     = time.Second      // a page is told at most once in this time that something has happened
	liveHeartbeat = 10 * time.Second // and so often that nothing has; the login is looked up as often
	liveWrite     = 10 * time.Second // a reader that does not take a write in this time is dropped; it comes back
	liveLife      = time.Hour        // then the browser comes back, and its user is looked up anew
	liveChunk     = 512              // events that are looked at together
)

// liveOf says what a page's figures depend on. The page's script opens one stream for it, and fetches the page anew when something has happened: what has
// the attribute data-live in it is put in place.
type liveOf struct {
	Types   []string // of events, or their beginnings up to a dot ("session"); nil: none
	Account string   // "": of any
	Every   int      // seconds after which it is fetched anyway, because not everything in it has events; 0: never
}

// URL is the address of the stream.
func (l *liveOf) URL() string {
	return link("/live", "types", strings.Join(l.Types, ","), "account", l.Account)
}

// live tells a page's script that something has happened which the user may see (Server-Sent Events), and says nothing of what: the page asks by the API.
func (d *Dashboard) live(v *visit) error {
	types := strings.Split(v.query.Get("types"), ",")
	account := v.query.Get("account")
	leave, ok := d.streams.enter(v.user.kept.ID)
	if !ok {
		v.w.WriteHeader(http.StatusTooManyRequests) // which nobody reads; it is no fault of bindgate's to be logged
		return nil
	}
	defer leave()
	_, newest, err := d.cfg.Events.Bounds(v.ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(v.ctx, liveLife)
	defer cancel()
	defer context.AfterFunc(d.cfg.Stopping(v.ctx), cancel)()
	rc := http.NewResponseController(v.w)
	_ = rc.SetReadDeadline(time.Time{})
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx keeps nothing back
	stands := func(ctx context.Context) bool {
		_, err := v.whoever(ctx)
		return !errors.Is(err, errNoLogin)
	}
	s := &liveStream{w: v.w, rc: rc, after: newest, stands: stands, passes: func(e gate.Told) bool {
		return e.Type != store.EventErased && slices.ContainsFunc(types, func(t string) bool { return t != "" && (e.Type == t || strings.HasPrefix(e.Type, t+".")) }) &&
			(v.user.Domains == nil || slices.Contains(v.user.Domains, e.Domain)) && (account == "" || account == e.Account)
	}}
	s.run(ctx, d.cfg.Events)
	return nil
}

// streams count those that are open.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[int64]int // by user
}

// enter begins a stream of a user, which ends with leave; false: there are too many.
func (s *streams) enter(user int64) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.of[user] >= userStreams {
		return nil, false
	}
	s.all++
	s.of[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[user]--; s.of[user] == 0 {
			delete(s.of, user)
		}
	}, true
}

type liveStream struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	after  int64
	passes func(gate.Told) bool
	stands func(context.Context) bool // whether the login does
}

func (s *liveStream) run(ctx context.Context, feed *gate.Feed) {
	defer func() { _ = s.rc.SetWriteDeadline(time.Now().Add(liveWrite)) }() // for the end of the answer
	if !s.send("retry: 2000\nevent: alive\ndata: {}\n\n") {
		return
	}
	heartbeat := time.NewTicker(liveHeartbeat)
	defer heartbeat.Stop()
	for looked := time.Now(); ; {
		if time.Since(looked) >= liveHeartbeat {
			if !s.stands(ctx) {
				return
			}
			looked = time.Now()
		}
		grown := feed.Grown()
		n, err := s.read(ctx, feed)
		if err != nil || n > 0 && !s.send(fmt.Sprintf("event: change\ndata: {\"events\":%d}\n\n", n)) {
			return
		}
		if n > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(liveEvery):
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-grown:
		case <-heartbeat.C:
			if !s.send("event: alive\ndata: {}\n\n") {
				return
			}
		}
	}
}

// read counts the new events that are the page's business. A page that was too far behind is told of one: it asks for everything anyway.
func (s *liveStream) read(ctx context.Context, feed *gate.Feed) (n int, err error) {
	for {
		events, err := feed.Read(ctx, s.after, liveChunk)
		switch {
		case ctx.Err() != nil:
			return n, ctx.Err()
		case err != nil:
			if _, s.after, err = feed.Bounds(ctx); err != nil {
				return n, err
			}
			return n + 1, nil
		case len(events) == 0:
			return n, nil
		}
		for _, e := range events {
			if s.after = e.Position; s.passes(e) {
				n++
			}
		}
	}
}

func (s *liveStream) send(text string) bool {
	if s.rc.SetWriteDeadline(time.Now().Add(liveWrite)) != nil {
		return false
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return false
	}
	return s.rc.Flush() == nil
}
