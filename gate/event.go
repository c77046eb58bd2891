package gate

import (
	"slices"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Event queues a module's report. It never blocks. Events may come twice, late, out of order or not at all: the record is right again after the
// account's next admission or the reconciliation that a missing number starts.
func (g *Gate) Event(e Event) {
	g.stats.Events.Add(1)
	g.noteSeq(e.Source, e.Epoch, e.Seq, true)
	if e.Kind == EventGone {
		g.asks.drop(e.Source, e.AskID)
	}
	jid := e.User + "@" + e.Domain
	want := store.Want{Key: store.KeyOf(jid), JID: jid, SIDs: []string{e.SID}}
	if e.Kind == EventBind {
		want.Create = true
		want.Devices = deviceIDs(e.ClientID, e.Resource)
	}
	g.do(&op{want: want, fence: g.fence(e.Link), failed: func(error) { g.resync(e.Source) }, apply: func(r *store.Record) func() {
		if r == nil {
			return nil
		}
		arrives := arrives(r, e)
		apply(r, e)
		if e.Kind == EventBind {
			g.bring(r, r.Live(e.SID), e.Takeover)
		}
		var login *newLogin
		if arrives {
			login = tellOthers(r, r.Live(e.SID))
		}
		ask, judge := e.Kind == EventBind && strange(r, r.Live(e.SID)), unjudged(r)
		if !ask && !judge && login == nil {
			return nil
		}
		return func() {
			g.notify(login)
			if ask {
				g.inquire(e.Source, e.User, e.SID, e.Resource)
			}
			if judge {
				g.judge(e.Link, jid)
			}
		}
	}})
}

// apply notes an event in the record.
func apply(r *store.Record, e Event) {
	s := r.Live(e.SID)
	if s != nil && s.Epoch == e.Epoch && s.Seq >= e.Seq {
		return // known already
	}
	switch e.Kind {
	case EventBind:
		applyBind(r, s, e)
	case EventUnbind:
		if s != nil {
			reason := e.Reason
			if s.State == rules.Binding {
				reason = "abandoned"
			}
			end(r, s, reason)
		}
	case EventGone:
		if s != nil && s.State == rules.Binding && s.AskID == e.AskID {
			end(r, s, "abandoned")
		}
	case EventHibernate, EventResume:
		applyPause(r, s, e)
	}
}

func applyBind(r *store.Record, s *store.Session, e Event) {
	if reason, ended := r.Ended[e.SID]; s == nil && ended && reason != "vanished" && reason != "abandoned" {
		return // its unbind came first
	}
	// A server has one session a resource: a bind on a taken one is the end of who had it. That is concluded and not seen, so a list that has it still is believed.
	for _, o := range slices.Clone(r.Sessions) {
		if o.SID == e.SID || o.Link != e.Link || o.Resource != e.Resource || o.State == rules.Binding {
			continue
		}
		if o.Epoch == e.Epoch && o.Seq > e.Seq { // this report is the late one
			return
		}
		end(r, o, "vanished")
	}
	if s == nil {
		s = &store.Session{SID: e.SID, Link: e.Link, Resource: e.Resource, State: rules.Active, AskID: e.AskID, Epoch: e.Epoch, Seq: e.Seq}
		setPeer(s, e.Peer)
		s.Chosen = !e.Made
		adopt(r, s, e.Age, e.Idle)
		return
	}
	if s.State != rules.Binding {
		return
	}
	setPeer(s, e.Peer)
	s.Resource, s.Epoch, s.Seq = e.Resource, e.Epoch, e.Seq
	bound(r, s, e.AskID == s.AskID)
}

func applyPause(r *store.Record, s *store.Session, e Event) {
	if s == nil || s.State == rules.Binding {
		return
	}
	state, kind := rules.Hibernating, "session.hibernated"
	if e.Kind == EventResume {
		state, kind = rules.Active, "session.resumed"
		if e.IP != "" {
			s.IP, s.Secure = e.IP, e.Secure
		}
		s.LastSeenAt = r.Now
	}
	changed := s.State != state
	setState(r, s, state)
	s.Epoch, s.Seq = e.Epoch, e.Seq
	r.Changed(s)
	if changed {
		r.Touch()
		r.Tell(kind, sessionEvent{dataOf(r, s)})
	}
}

// unjudged reports whether a bound session waits for its decision.
func unjudged(r *store.Record) bool {
	return slices.ContainsFunc(r.Sessions, func(s *store.Session) bool { return s.DecidedAt.IsZero() && s.State != rules.Binding })
}
