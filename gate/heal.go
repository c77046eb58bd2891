package gate

import (
	"cmp"
	"slices"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// view is a server's list of one account's sessions, made after its event seq of epoch.
type view struct {
	Source
	epoch    string
	seq      int64
	sessions []Listed
	more     bool          // there are others
	old      time.Duration // since it was made
}

// idleStep is how much later a session must have been seen for the record to be written.
const idleStep = time.Minute

// heal brings the record of an account in line with what the server has. It never ends a session that an event newer than the list spoke
// of, or that is not bound yet, and never adds one whose unbind is on record. It reports whether it added sessions, which have to be judged.
func heal(r *store.Record, v view) (adopted bool) {
	listed, place := make(map[string]*Listed, len(v.sessions)), make(map[string]int, len(v.sessions))
	for i := range v.sessions {
		listed[v.sessions[i].SID], place[v.sessions[i].SID] = &v.sessions[i], i
	}
	for _, s := range slices.Clone(r.Sessions) {
		l := listed[s.SID]
		if s.Link != v.Link && (l != nil || s.State != rules.Binding && !v.more) {
			end(r, s, "vanished") // a domain has one link, and it got another name; what is listed is added again below
		}
		if s.Link != v.Link {
			continue
		}
		delete(listed, s.SID)
		newer := s.Epoch == v.epoch && s.Seq > v.seq
		switch {
		case newer:
		case l != nil:
			confirm(r, s, *l, v)
		case s.State == rules.Binding || v.more:
		default:
			end(r, s, "vanished")
		}
	}
	var unknown []*Listed
	for sid, l := range listed {
		if reason, ended := r.Ended[sid]; !ended || (reason == "vanished" || reason == "abandoned") && !taken(r, *l, v) {
			unknown = append(unknown, l)
		}
	}
	slices.SortFunc(unknown, func(x, y *Listed) int {
		return cmp.Or(cmp.Compare(y.Age, x.Age), cmp.Compare(place[x.SID], place[y.SID]))
	})
	for _, l := range unknown {
		s := &store.Session{SID: l.SID, Link: v.Link, Resource: l.Resource, State: stateOf(l.State), Epoch: v.epoch, Seq: v.seq}
		setPeer(s, l.Peer)
		s.Chosen = !l.Made
		adopt(r, s, l.Age+v.old, l.Idle+v.old)
	}
	return len(unknown) > 0
}

// taken reports whether the resource of a listed session is another's since the list was made.
func taken(r *store.Record, l Listed, v view) bool {
	return slices.ContainsFunc(r.Sessions, func(s *store.Session) bool {
		return s.Link == v.Link && s.Resource == l.Resource && s.State != rules.Binding && s.Epoch == v.epoch && s.Seq > v.seq
	})
}

// confirm notes what the server says of a session that the record has.
func confirm(r *store.Record, s *store.Session, l Listed, v view) {
	if s.State == rules.Binding {
		s.Epoch, s.Seq = v.epoch, v.seq
		s.Resource = l.Resource
		bound(r, s, false)
	}
	if state := stateOf(l.State); state != s.State {
		setState(r, s, state)
		r.Changed(s)
		r.Touch()
	}
	if seen := r.Now.Add(-l.Idle - v.old); seen.After(s.LastSeenAt) {
		if seen.Sub(s.LastSeenAt) >= idleStep {
			r.Changed(s)
		}
		s.LastSeenAt = seen
	}
}

// adopt adds a session that lives on the server and was never admitted. It gets the next generation; nobody has judged it.
func adopt(r *store.Record, s *store.Session, age, idle time.Duration) {
	s.StartedAt, s.LastSeenAt = r.Now.Add(-age), r.Now.Add(-idle)
	identify(r, s, false).remember(r, s)
	r.Admit(s)
	r.Tell("session.started", sessionEvent{dataOf(r, s)})
}

// bound turns a session that was allowed into an active one and gives the evictions that rode in its answer a time by which they must have
// happened: soon if the server has carried them out with the bind, now if the answer came too late for it.
func bound(r *store.Record, s *store.Session, carried bool) {
	s.State, s.BindDeadline, s.LastSeenAt = rules.Active, time.Time{}, r.Now
	r.Changed(s)
	r.Touch()
	settleTakeover(r, s)
	next := r.Now
	if carried {
		next = next.Add(time.Second)
	}
	for _, o := range r.Sessions {
		if e := o.Eviction; e != nil && e.NextAt.IsZero() && e.Winner == s.Generation {
			e.NextAt = next
			r.EvictionChanged(o)
		}
	}
	r.Tell("session.started", sessionEvent{dataOf(r, s)})
}

// end moves a session to history and tells of it. One that was never bound leaves those it was to replace where they are.
func end(r *store.Record, s *store.Session, reason string) {
	e := s.Eviction
	if e != nil && s.State != rules.Binding {
		reason = e.Code
		if e.Own {
			reason = "own_reconnect"
		}
	}
	r.End(s, reason)
	r.CountEnded(reason)
	if s.DecidedAt.IsZero() {
		giveBack(r, s)
	}
	if s.State == rules.Binding {
		r.Unsee(s)
		withdraw(r, s.Generation)
		thaw(r)
		return
	}
	thaw(r)
	d := dataOf(r, s)
	d.EndReason = reason
	if e != nil && e.Code == "takeover" && !e.Own {
		var winner any = endedWinner{store.SessionID(r.Key, e.Winner), e.Winner}
		if w := r.ByGeneration(e.Winner); w != nil {
			winner = dataOf(r, w)
		}
		r.Tell("takeover", takeoverData{Winner: winner, Loser: d})
	}
	if e != nil && e.Kick != 0 {
		r.Tell("kick.verified", kickData{KickID: store.KickID(r.Key, e.Kick), Sessions: []string{d.ID}})
	}
	r.Tell("session.ended", sessionEvent{d})
}

// withdraw takes back the evictions that rode in the answer to a bind which never came. Those who stay may by now be too many together with who came
// after, so the newest of them is judged again.
func withdraw(r *store.Record, winner int64) {
	if r.Standing.Free(winner) {
		r.StandingChanged()
	}
	taken := false
	for _, s := range r.Sessions {
		if e := s.Eviction; e != nil && e.NextAt.IsZero() && e.Winner == winner {
			r.Withdraw(s)
			taken = true
		}
	}
	undoTakeover(r, winner)
	if !taken {
		return
	}
	var newest *store.Session
	live := 0
	for _, s := range r.Sessions {
		if s.Eviction == nil {
			live++
			if newest == nil || s.Generation > newest.Generation {
				newest = s
			}
		}
	}
	if live > 1 {
		newest.DecidedAt = time.Time{}
		r.Changed(newest)
	}
}

// setState notes that a bound session hibernates or not.
func setState(r *store.Record, s *store.Session, state rules.State) {
	switch {
	case state != rules.Hibernating:
		s.PausedAt = time.Time{}
	case s.State != state:
		s.PausedAt = r.Now
	}
	s.State = state
}

func stateOf(s string) rules.State {
	if s == string(rules.Hibernating) {
		return rules.Hibernating
	}
	return rules.Active
}

func setPeer(s *store.Session, p Peer) {
	s.IP, s.Secure, s.Transport, s.ClientID, s.Client, s.Lang = p.IP, p.Secure, p.Transport, p.ClientID, fuller(p.Client, s.Client), p.Lang
}
