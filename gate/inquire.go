package gate

import (
	"context"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Bounds of what clients are asked. Those beyond are not asked: their platform stays unknown until they log in again.
const (
	inquiriesAtOnce = 256
	inquiriesASec   = 100
	inquiryPause    = 300 * time.Millisecond // lets the client finish its login first
	inquiryTimeout  = 5 * time.Second
)

// strange reports whether a session's client is to be asked what it is; nil is not.
func strange(r *store.Record, s *store.Session) bool {
	switch {
	case s == nil || s.State != rules.Active || s.Eviction != nil:
		return false
	case s.Platform == rules.UnknownPlatform:
		return true
	}
	rule := rules.Merge(r.Levels...)
	return s.Client == "" && (rule.MindsClient() || !registered(r, s.Device) && r.Platforms.Matchers.Hinges(subjectOf(r, s)))
}

// inquire asks a client what it is, remembers the answer on the session and its device, and if that tells the platform, has the account judged
// again with the session as the newcomer. It never blocks.
func (g *Gate) inquire(src Source, user, sid, resource string) {
	conn := g.connOf(src.Link)
	if conn == nil || !g.curious.begin(time.Now(), inquiriesAtOnce, inquiriesASec) {
		g.stats.InquiriesLeftOut.Add(1)
		return
	}
	g.stats.Inquiries.Add(1)
	if !g.bg.run(func() {
		defer g.curious.end()
		ctx, cancel := context.WithTimeout(context.Background(), inquiryTimeout)
		defer cancel()
		pause(ctx, inquiryPause)
		software, err := conn.Software(ctx, src, user, resource)
		if err != nil {
			g.log.Debug("a client did not tell what it is", "link", src.Link, "error", err)
			return
		}
		if client := software.String(); client != "" {
			g.learn(src, user+"@"+src.Domain, sid, client)
		}
	}) {
		g.curious.end()
	}
}

// learn notes what a session's client says of itself.
func (g *Gate) learn(src Source, jid, sid, client string) {
	want := store.Want{Key: store.KeyOf(jid), JID: jid, Known: true}
	g.do(&op{want: want, fence: g.fence(src.Link), apply: func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		s := r.Live(sid)
		if s == nil || s.Client == client {
			return nil
		}
		s.Client = client
		r.Changed(s)
		r.Touch()
		platform := platform(r, s)
		if d := r.Device(s.Device); d != nil {
			if d.Platform != "" {
				platform = d.Platform
			}
			d.Client = client
			r.SaveDevice(d)
		}
		rule := rules.Merge(r.Levels...)
		if platform == s.Platform && !rule.MindsClient() {
			return nil
		}
		s.Platform = platform
		if u := recognize(r, s); rule.Condition != nil { // it was judged by a client that nobody knew
			if d := g.hear(r, s, u, claim{}, rule, nil, rules.Alive); d.Code == rules.CodeCondition {
				conclude(r, s, u, claim{}, d, rule)
				if !d.Shadow {
					return func() { g.wake(src.Link) }
				}
			}
		}
		// Who came after it was judged by what it seemed to be.
		for _, o := range r.Sessions {
			if o.Generation >= s.Generation {
				o.DecidedAt = time.Time{}
				r.Changed(o)
			}
		}
		return func() { g.judge(src.Link, jid) }
	}})
}
