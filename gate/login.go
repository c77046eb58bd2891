package gate

import (
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// deviceSeen is how old a device's last sight may get before it is written again: a device in use costs no write a login.
const deviceSeen = time.Hour

// forgetProbable is how long a device that is known by its resource alone is remembered.
const forgetProbable = 90 * 24 * time.Hour

// deviceIDs are the devices that a login could be.
func deviceIDs(clientID, resource string) []int64 {
	ids := []int64{store.DeviceOf("resource", resource)}
	if clientID != "" {
		ids = append(ids, store.DeviceOf("user_agent_id", clientID))
	}
	return ids
}

// identify fills in the session's device, identity and platform, and returns the device's name. It remembers devices it has not met.
func identify(r *store.Record, s *store.Session, chosen bool) (name string) {
	d := recognize(r, s, chosen)
	if d != nil {
		s.Device, name = d.ID, d.Name
		if r.Now.Sub(d.LastSeenAt) > deviceSeen || d.Client != s.Client {
			if d.FirstSeenAt.IsZero() {
				d.FirstSeenAt = r.Now
			}
			d.LastSeenAt, d.Client = r.Now, s.Client
			r.SaveDevice(d)
		}
		if d.Platform != "" {
			s.Platform = d.Platform
			return name
		}
	}
	s.Platform = r.Platforms.Matchers.Platform(rules.Subject{Account: r.JID, Group: r.Group, DeviceID: deviceID(r, s.Device), IP: s.IP, Resource: s.Resource, Client: s.Client})
	return name
}

// recognize returns the device that the session is of, nil if that is not known, and fills in how surely.
func recognize(r *store.Record, s *store.Session, chosen bool) *store.Device {
	byResource := store.DeviceOf("resource", s.Resource)
	switch {
	case s.ClientID != "":
		s.Identity = rules.Certain
		if d := r.Device(store.DeviceOf("user_agent_id", s.ClientID)); d != nil {
			return d
		}
		return &store.Device{ID: store.DeviceOf("user_agent_id", s.ClientID), Identity: rules.Certain, UserAgentID: s.ClientID}
	case r.Device(byResource) != nil && r.Device(byResource).Registered:
		s.Identity = rules.Certain
		return r.Device(byResource)
	case chosen && free(r, s.Resource):
		s.Identity = rules.Probable
		if d := r.Device(byResource); d != nil && r.Now.Sub(d.LastSeenAt) <= forgetProbable {
			return d
		}
		return &store.Device{ID: byResource, Identity: rules.Probable, Resource: s.Resource}
	}
	s.Identity = rules.UnknownIdentity
	return nil
}

// deviceID is a device's public id; "" if it is not known.
func deviceID(r *store.Record, device int64) string {
	if device == 0 {
		return ""
	}
	return store.DeviceID(r.Key, device)
}

func registered(r *store.Record, device int64) bool {
	d := r.Device(device)
	return d != nil && d.Registered
}

// free reports whether no live session has the resource.
func free(r *store.Record, resource string) bool {
	return !slices.ContainsFunc(r.Sessions, func(o *store.Session) bool { return o.Resource == resource })
}

// decide asks the rules about a session as the newcomer among the live ones that were admitted before it. With final, what was not
// probed counts as alive, so that the answer is never Need.
func (g *Gate) decide(r *store.Record, s *store.Session, rule rules.Effective, verdicts map[probed]rules.Verdict, final bool) rules.Decision {
	f := rules.Facts{Account: r.JID, Group: r.Group, Rule: rule, Groups: r.Platforms.Groups, Newcomer: rules.Newcomer{
		Resource: s.Resource, Device: s.Device, DeviceID: deviceID(r, s.Device), Registered: registered(r, s.Device), Identity: s.Identity, Platform: s.Platform, IP: s.IP, Secure: s.Secure, Client: s.Client,
	}}
	if rule.Condition != nil {
		f.Condition = g.conditions.Get(*rule.Condition)
	}
	for _, o := range r.Sessions {
		if o == s || o.Eviction != nil || s.Generation != 0 && o.Generation > s.Generation {
			continue
		}
		v := verdicts[probedOf(o)]
		if v == rules.Unprobed && final {
			v = rules.Alive
		}
		x := rules.Session{
			Generation: o.Generation, Resource: o.Resource, Device: o.Device, Registered: registered(r, o.Device), Identity: o.Identity, Platform: o.Platform, IP: o.IP, Client: o.Client,
			State: o.State, StartedAt: o.StartedAt, LastSeenAt: o.LastSeenAt, Verdict: v,
		}
		if len(rule.Exempt) > 0 {
			x.DeviceID = deviceID(r, o.Device)
		}
		f.Sessions = append(f.Sessions, x)
	}
	return rules.Decide(f, r.Now)
}

// evict marks those who go for the winner. next is when the server is asked to end them; zero: they ride in the winner's answer.
func evict(r *store.Record, winner *store.Session, name string, generations []int64, next time.Time) {
	for _, n := range generations {
		s := r.ByGeneration(n)
		own := winner.Identity == rules.Certain && winner.Device != 0 && s.Device == winner.Device
		if s.State == rules.Binding { // those it was to replace have to go for the new winner now
			for _, o := range r.Sessions {
				if e := o.Eviction; e != nil && e.NextAt.IsZero() && e.Winner == s.Generation {
					e.Winner, e.NextAt = winner.Generation, next
					r.EvictionChanged(o)
				}
			}
		}
		r.Evict(s, store.Eviction{Code: "takeover", Winner: winner.Generation, Own: own, Device: name, Platform: winner.Platform, NextAt: next})
	}
}

// keep notes the decision, and tells of a denial.
func keep(r *store.Record, s *store.Session, d rules.Decision, askID string) {
	r.Decide(&store.Decision{
		AskID: askID, Resource: s.Resource, Device: s.Device, Platform: s.Platform, Generation: s.Generation, Outcome: string(d.Outcome), Code: string(d.Code), Evicted: d.Evict,
		RuleLevel: string(d.Level), Explanation: d.Explanation, Condition: d.Condition, Shadow: d.Shadow,
	})
	if d.Outcome == rules.Denied && !d.Shadow {
		r.Tell("login.denied", deniedData{Resource: s.Resource, Platform: s.Platform, Code: string(d.Code), DecisionID: store.DecisionID(r.Key, r.Now)})
	}
}

// maxKicks bounds the kicks of an answer, in bytes on the wire: a module takes only so large a stanza. Who is left out is kicked when the bind is seen.
const maxKicks = 192 << 10

// kicks names the sessions of the account that have to go, so that one that was missed before goes with the next login: first who is in the
// newcomer's place.
func kicks(r *store.Record, rule rules.Effective, newcomer, resource string) []Kick {
	var out []Kick
	size := 0
	for _, same := range []bool{true, false} {
		for _, s := range r.Sessions {
			if s.Eviction == nil || s.SID == newcomer || (s.Resource == resource) != same {
				continue
			}
			k := kickOf(r.JID, r.Lang, rule, s, s.Eviction)
			if size += k.size(); size > maxKicks {
				return out
			}
			out = append(out, k)
		}
	}
	return out
}

// size is how long a kick is at most as a stanza's child.
func (k Kick) size() int {
	n := 200 // names and what is short
	for _, s := range []string{k.User, k.SID, k.Resource, k.Device, k.Platform, k.Text} {
		n += len(s)
		for i := range len(s) {
			if s[i] < ' ' || strings.IndexByte(`&<>'"`, s[i]) >= 0 {
				n += 5
			}
		}
	}
	return n
}

// probed is a session as it was when it was probed: what was found out holds until an event speaks of it.
type probed struct {
	sid, epoch string
	seq        int64
}

func probedOf(s *store.Session) probed { return probed{s.SID, s.Epoch, s.Seq} }

func allProbed(r *store.Record, generations []int64) []probed {
	var out []probed
	for _, g := range generations {
		out = append(out, probedOf(r.ByGeneration(g)))
	}
	return out
}
