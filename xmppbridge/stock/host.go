package stock

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// startSlack is how much later one listing may say that a session began than another. Servers tell how long ago it was, to the second, and see to each session at another
// moment of a call that lasts as long as listTimeout: one that was first listed late in a slow call seems to begin that much later in the next.
const startSlack = listTimeout + 3*time.Second

// fewStarts is how many sessions have to have been known for what is common to their starts to be the server's clock, and not theirs.
const fewStarts = 3

// maxDelta is how many differences are told as events. What is more, as when a server comes back with all of its clients, is left to a comparison, which goes in parts.
const maxDelta = 500

// host is a domain with what was last listed of it.
type host struct {
	src   gate.Source
	epoch string
	tell  func(gate.Event) // never blocks

	mu       sync.Mutex
	seq      int64
	mode     string
	accounts map[string][]*session   // user → sessions, oldest first
	buckets  map[int]map[string]bool // bucket → users with sessions
	total    int
	listed   int                  // whole lists that were taken over
	asked    time.Time            // when the last of them was asked for
	taken    chan struct{}        // closed when the next one is
	looked   map[string]time.Time // user → when it was last listed alone
}

// session is one that was listed.
type session struct {
	Session
	sid   string
	since time.Time // on this machine's clock
	shown time.Time // the latest start that a listing gave it, by the server's clock as it is now
}

func newHost(src gate.Source, tell func(gate.Event)) *host {
	return &host{src: src, epoch: "stock-" + rand.Text()[:12], tell: tell, mode: gate.ModeEnforce, accounts: map[string][]*session{}, buckets: map[int]map[string]bool{}, looked: map[string]time.Time{}, taken: make(chan struct{})}
}

// A sid says which session it is of, so that whoever observes next, after a restart or in another process, knows it again: a hash of the resource and the server's
// mark, and when it began. The rest makes it unlike all others: what vanished and came back is another session to the gate.
func newSID(s Session, since time.Time) string {
	return fingerprint(s) + "-" + strconv.FormatInt(since.Unix(), 36) + "-" + strings.ToLower(rand.Text()[:8])
}

func fingerprint(s Session) string {
	h := sha256.Sum256([]byte(s.User + "\n" + s.Resource + "\n" + s.Mark))
	return hex.EncodeToString(h[:6])
}

// parseSID returns what a sid says; false: another kind of link made it.
func parseSID(sid string) (mark string, since time.Time, ok bool) {
	parts := strings.Split(sid, "-")
	if len(parts) != 3 || len(parts[0]) != 12 {
		return "", time.Time{}, false
	}
	n, err := strconv.ParseInt(parts[1], 36, 64)
	return parts[0], time.Unix(n, 0), err == nil
}

// is reports whether a listed session is one that is known: by the server's mark, and because it did not begin later. That a listing has it begin earlier says nothing: a
// server that tells how long ago it was may have taken its time over those before it in the list.
func (k *session) is(s Session) bool { return k.likely(s) && !later(s, k.shown) }

// likely is is by the mark alone.
func (k *session) likely(s Session) bool { return k.Resource == s.Resource && k.Mark == s.Mark }

// seems is is for an account that was listed alone. That does not show whether a clock was set: where there is a mark the start is left to the next whole list.
func (k *session) seems(s Session) bool { return k.is(s) || s.Mark != "" && k.likely(s) }

func later(s Session, shown time.Time) bool {
	return s.Started.Sub(shown) > startSlack && !s.Started.IsZero()
}

// step is how much later all sessions seem to begin than they were known to: the server's clock was put back, or summer time has ended there. A start is the listed one of
// a known session, and the one that it was known by.
func step(starts [][2]time.Time) time.Duration {
	if len(starts) < fewStarts {
		return 0
	}
	by := make([]time.Duration, len(starts))
	for i, s := range starts {
		by[i] = s[0].Sub(s[1])
	}
	slices.Sort(by)
	if median := by[len(by)/2]; median > startSlack {
		return median
	}
	return 0
}

// follow takes a step of the server's clock over, for who holds mu.
func (h *host) follow(listed map[string][]Session) {
	var starts [][2]time.Time
	for user, list := range listed {
		for _, k := range h.accounts[user] {
			if i := slices.IndexFunc(list, k.likely); i >= 0 && !list[i].Started.IsZero() {
				starts = append(starts, [2]time.Time{list[i].Started, k.shown})
			}
		}
	}
	by := step(starts)
	if by == 0 {
		return
	}
	for _, list := range h.accounts {
		for _, k := range list {
			k.shown = k.shown.Add(by)
		}
	}
}

// adopt takes over the first listing, with the sids that are on record. Nothing is told: the hello that follows has the record compared.
func (h *host) adopt(listed []Session, recorded []gate.Listed, at time.Time) {
	byUser, byStart := map[string][]gate.Listed{}, map[string]time.Time{}
	for _, r := range recorded {
		byUser[r.User] = append(byUser[r.User], r)
		if mark, since, ok := parseSID(r.SID); ok {
			byStart[mark] = since
		}
	}
	var starts [][2]time.Time
	for _, s := range listed {
		if since, ok := byStart[fingerprint(s)]; ok && !s.Started.IsZero() {
			starts = append(starts, [2]time.Time{s.Started, since})
		}
	}
	by := step(starts)
	h.mu.Lock()
	defer h.mu.Unlock()
	for user, list := range group(listed) {
		var out []*session
		for _, s := range list {
			k := newSession(s, at)
			for i, r := range byUser[user] {
				if mark, since, ok := parseSID(r.SID); ok && mark == fingerprint(s) && !later(s, since.Add(by)) {
					k.sid, k.since = r.SID, since
					byUser[user] = slices.Delete(byUser[user], i, i+1)
					break
				}
			}
			out = append(out, k)
		}
		h.keep(user, out)
	}
	h.listed++
}

func newSession(s Session, at time.Time) *session {
	k := &session{Session: s, since: at}
	if !s.Started.IsZero() {
		k.since = s.Started
	}
	k.shown = k.since
	k.sid = newSID(s, k.since)
	return k
}

// group sorts sessions by account. One that is listed twice, as ejabberd lists the resource of two sessions that replace each other just then, is one.
func group(listed []Session) map[string][]Session {
	out := map[string][]Session{}
	for _, s := range listed {
		if !slices.ContainsFunc(out[s.User], func(o Session) bool { return o.Resource == s.Resource && o.Mark == s.Mark }) {
			out[s.User] = append(out[s.User], s)
		}
	}
	return out
}

// keep is for who holds mu.
func (h *host) keep(user string, sessions []*session) {
	h.total += len(sessions) - len(h.accounts[user])
	switch bucket := gate.BucketOf(user + "@" + h.src.Domain); {
	case len(sessions) == 0:
		delete(h.accounts, user)
		delete(h.buckets[bucket], user)
		return
	case len(h.accounts[user]) > 0:
	case h.buckets[bucket] == nil:
		h.buckets[bucket] = map[string]bool{user: true}
	default:
		h.buckets[bucket][user] = true
	}
	slices.SortStableFunc(sessions, func(a, b *session) int { return a.since.Compare(b.since) })
	h.accounts[user] = sessions
}

// change is the difference that a listing makes to an account.
type change struct {
	user         string
	gone, paused []*session // paused: or no more
	came         []*session
}

// diff is for who holds mu. It keeps what is listed.
func (h *host) diff(user string, listed []Session, at time.Time, same func(*session, Session) bool) change {
	c := change{user: user}
	var now []*session
	left := group(listed)[user]
	for _, k := range h.accounts[user] {
		i := slices.IndexFunc(left, func(s Session) bool { return same(k, s) })
		if i < 0 {
			c.gone = append(c.gone, k)
			continue
		}
		s := left[i]
		left = slices.Delete(left, i, i+1)
		if s.Paused != k.Paused {
			c.paused = append(c.paused, k)
		}
		k.Session = s
		if s.Started.After(k.shown) && k.is(s) {
			k.shown = s.Started
		}
		now = append(now, k)
	}
	for _, s := range left {
		k := newSession(s, at)
		c.came, now = append(c.came, k), append(now, k)
	}
	slices.SortStableFunc(c.came, func(a, b *session) int { return a.since.Compare(b.since) })
	h.keep(user, now)
	return c
}

// takeUser takes over the listing of one account that began at began, when listed whole lists had been. false: a whole list came in between, which may be newer.
func (h *host) takeUser(user string, sessions []Session, lists int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listed != lists {
		return false
	}
	now := time.Now()
	h.looked[user] = now
	h.report(h.diff(user, sessions, now, (*session).seems))
	return true
}

// lists is how many whole lists there were.
func (h *host) lists() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listed
}

// listedAfter waits for a whole list that was asked for after at. false: ctx ended first.
func (h *host) listedAfter(ctx context.Context, at time.Time) bool {
	for {
		h.mu.Lock()
		asked, taken := h.asked, h.taken
		h.mu.Unlock()
		if asked.After(at) {
			return true
		}
		select {
		case <-taken:
		case <-ctx.Done():
			return false
		}
	}
}

// takeAll takes over a whole list that was asked for at began. What was listed alone since is newer and stays. It returns how many differences there were and whether they
// were told; else the record has to be compared.
func (h *host) takeAll(listed []Session, began time.Time) (differences int, toldAll bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, by := time.Now(), group(listed)
	h.follow(by)
	var changes []change
	take := func(user string, sessions []Session) {
		if h.looked[user].Before(began) {
			c := h.diff(user, sessions, now, (*session).is)
			if n := len(c.gone) + len(c.came) + len(c.paused); n > 0 {
				differences += n
				changes = append(changes, c)
			}
		}
	}
	for user, sessions := range by {
		take(user, sessions)
	}
	for user := range h.accounts {
		if by[user] == nil {
			take(user, nil)
		}
	}
	h.listed++
	h.asked = began
	close(h.taken)
	h.taken = make(chan struct{})
	for user, at := range h.looked {
		if at.Before(began) {
			delete(h.looked, user)
		}
	}
	if differences > maxDelta {
		h.seq++ // nothing has this number: what was told before is older than the list
		return differences, false
	}
	for _, c := range changes {
		h.report(c)
	}
	return differences, true
}

// report tells the gate of an account's changes, for who holds mu.
func (h *host) report(c change) {
	for _, k := range c.gone {
		h.event(gate.EventUnbind, c.user, k, "closed")
	}
	for _, k := range c.paused {
		kind := gate.EventResume
		if k.Paused {
			kind = gate.EventHibernate
		}
		h.event(kind, c.user, k, "")
	}
	for _, k := range c.came {
		h.event(gate.EventBind, c.user, k, "")
	}
}

func (h *host) event(kind gate.EventKind, user string, k *session, reason string) {
	h.seq++
	l := k.entry(time.Now())
	h.tell(gate.Event{
		Source: h.src, Epoch: h.epoch, Seq: h.seq, Kind: kind, User: user, SID: k.sid, Resource: k.Resource, Reason: reason, Age: l.Age, Idle: l.Idle, Peer: l.Peer,
	})
}

// entry is how a snapshot lists a session.
func (k *session) entry(now time.Time) gate.Listed {
	state := "active"
	if k.Paused {
		state = "hibernating"
	}
	return gate.Listed{
		SID: k.sid, User: k.User, Resource: k.Resource, State: state, Age: max(now.Sub(k.since), 0), Idle: k.Idle,
		Peer: gate.Peer{IP: k.IP, Secure: k.Secure, Transport: k.Transport, Made: k.Made},
	}
}

// find returns a known session by its sid.
func (h *host) find(user, sid string) (Session, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.accounts[user] {
		if k.sid == sid {
			return k.Session, true
		}
	}
	return Session{}, false
}

// part answers for all of the buckets first … first+count-1.
func (h *host) part(first, count int, digest string) gate.Part {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := gate.Part{Source: h.src, First: first, Count: count, Total: h.total, Epoch: h.epoch, Seq: h.seq}
	var d gate.Digest
	now := time.Now()
	for bucket := range count {
		for user := range h.buckets[first+bucket] {
			for _, k := range h.accounts[user] {
				l := k.entry(now)
				d.Add(l.SID, l.Resource, l.State)
				p.Sessions = append(p.Sessions, l)
			}
		}
	}
	if digest != "" && digest == d.String() {
		p.Same, p.Sessions = true, nil
	}
	return p
}

func (h *host) hello() (seq int64, total int, mode string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq, h.total, h.mode
}
