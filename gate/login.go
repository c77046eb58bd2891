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

// guest is what is known of a login's device, beside what its session says.
type guest struct {
	name      string
	known     bool          // it was admitted before, or is registered
	device    *store.Device // nil: nobody knows which
	forgotten bool          // its row is of a device that was forgotten since
}

// identify fills in the session's device, identity and platform. Nothing is written: remember does, once it is admitted.
func identify(r *store.Record, s *store.Session, chosen bool) guest {
	s.Identity = rules.UnknownIdentity
	d, forgotten := deviceBehind(r, s, chosen)
	if d == nil {
		s.Platform = platform(r, s)
		return guest{}
	}
	return guest{name: become(r, s, d), known: admittedBefore(r, d, s), device: d, forgotten: forgotten}
}

// admittedBefore reports whether a session's device was admitted before the session came, by a login that was bound, or is registered.
func admittedBefore(r *store.Record, d *store.Device, s *store.Session) bool {
	return d.Registered || !d.FirstSeenAt.IsZero() && d.FirstSeenAt.Before(s.StartedAt) && !slices.ContainsFunc(r.Sessions, func(o *store.Session) bool {
		return o.State == rules.Binding && o.Device == d.ID && o.StartedAt.Equal(d.FirstSeenAt)
	})
}

// remember writes down the device of a session that was admitted.
func (u guest) remember(r *store.Record, s *store.Session) {
	d := u.device
	if d == nil {
		return
	}
	if u.forgotten {
		r.ManageDevice(d)
	}
	if r.Now.Sub(d.LastSeenAt) > deviceSeen || d.Client != s.Client {
		if d.FirstSeenAt.IsZero() {
			d.FirstSeenAt = r.Now
		}
		d.LastSeenAt, d.Client = r.Now, s.Client
		r.SaveDevice(d)
	}
}

// unlearn forgets the device of a session that the server let in and that is denied: it was never admitted, so it is as new as before.
func (u guest) unlearn(r *store.Record) {
	if d := u.device; d != nil && !u.known && !d.Blocked && !d.Cloned && d.Name == "" {
		r.ForgetDevice(d)
	}
}

// deviceBehind returns the device that a login is of, nil if that is not known. forgotten: its row is of one that was not seen for too long.
func deviceBehind(r *store.Record, s *store.Session, chosen bool) (d *store.Device, forgotten bool) {
	byAgent, byResource := store.DeviceOf("user_agent_id", s.ClientID), store.DeviceOf("resource", s.Resource)
	switch {
	case s.ClientID != "" && registered(r, byAgent):
		return r.Device(byAgent), false
	case ownsResource(r.Device(byResource)):
		return r.Device(byResource), false
	case s.ClientID != "":
		if d := r.Device(byAgent); d != nil {
			return d, false
		}
		return &store.Device{ID: byAgent, Identity: rules.Certain, UserAgentID: s.ClientID}, false
	case chosen && free(r, s.Resource):
		old := r.Device(byResource)
		if old != nil && r.Now.Sub(old.LastSeenAt) <= forgetProbable {
			return old, false
		}
		return &store.Device{ID: byResource, Identity: rules.Probable, Resource: s.Resource}, old != nil
	}
	return nil, false
}

// recognize makes a session that was added without a look at the devices that of its device, or of the one that owns its resource. One that was admitted
// already, and is judged again, is known by that.
func recognize(r *store.Record, s *store.Session) guest {
	let := s.AskID != "" || slices.ContainsFunc(r.Standing.Grants, func(g store.Grant) bool { return g.Reserved == s.Generation && g.Used })
	d := r.Device(s.Device)
	if owner := r.Device(store.DeviceOf("resource", s.Resource)); !registered(r, s.Device) && ownsResource(owner) {
		d = owner
	}
	if d == nil {
		return guest{known: let}
	}
	return guest{name: become(r, s, d), known: let || admittedBefore(r, d, s), device: d}
}

// ownsResource reports whether every bind of a device's resource is the device: it was registered by it, or nobody may have it.
func ownsResource(d *store.Device) bool { return d != nil && (d.Registered || d.Blocked) }

// become makes a session that of a device and returns the device's name.
func become(r *store.Record, s *store.Session, d *store.Device) (name string) {
	s.Device, s.Identity, s.Client = d.ID, d.Identity, fuller(s.Client, d.Client)
	if d.Cloned {
		s.Identity = rules.UnknownIdentity
	}
	if s.Platform = d.Platform; s.Platform == "" {
		s.Platform = platform(r, s)
	}
	return d.Name
}

// platform is what the operator's matchers say of a session.
func platform(r *store.Record, s *store.Session) string {
	return r.Platforms.Matchers.Platform(subjectOf(r, s))
}

// subjectOf is what the matchers of platforms see of a session.
func subjectOf(r *store.Record, s *store.Session) rules.Subject {
	return rules.Subject{Account: r.JID, Group: r.Group, DeviceID: deviceID(r, s.Device), IP: s.IP, Resource: s.Resource, Client: s.Client}
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

// fuller is what a client says of itself now, with what it told before if that begins with the same words.
func fuller(now, before string) string {
	if strings.HasPrefix(before, now) {
		return before
	}
	return now
}

// blocked reports whether a session's device is blocked, or the one that its resource stands for.
func blocked(r *store.Record, s *store.Session) bool {
	for _, id := range []int64{s.Device, store.DeviceOf("resource", s.Resource)} {
		if d := r.Device(id); d != nil && d.Blocked {
			return true
		}
	}
	return false
}

// free reports whether no live session has the resource.
func free(r *store.Record, resource string) bool {
	return !slices.ContainsFunc(r.Sessions, func(o *store.Session) bool { return o.Resource == resource })
}

// decide asks the rules about a session as the newcomer among the live ones that were admitted before it. unprobed is what an active session gets of which
// nothing was found out; with any but rules.Unprobed the answer is never Need. used is the claim that the decision rests on: a grant that came by itself is left
// alone by a login that gets in without it.
func (g *Gate) decide(r *store.Record, s *store.Session, u guest, c claim, rule rules.Effective, verdicts map[probed]rules.Verdict, unprobed rules.Verdict) (d rules.Decision, used claim) {
	if c.bound {
		without := claim{chosen: c.chosen, wrong: c.wrong}
		if d = g.hear(r, s, u, without, rule, verdicts, unprobed); d.Outcome != rules.Denied && !d.Cloned {
			return d, without
		}
	}
	return g.hear(r, s, u, c, rule, verdicts, unprobed), c
}

func (g *Gate) hear(r *store.Record, s *store.Session, u guest, c claim, rule rules.Effective, verdicts map[probed]rules.Verdict, unprobed rules.Verdict) rules.Decision {
	party := partyOf(s)
	if c.let {
		rule.Condition = nil
	}
	f := rules.Facts{
		Account: r.JID, Group: r.Group, Rule: rule, Braked: braked(r), Groups: r.Platforms.Groups, Displaced: r.Standing.Of(party), WaitUntil: r.Standing.WaitOf(party),
		Newcomer: rules.Newcomer{
			Party: party, Resource: s.Resource, Device: s.Device, DeviceID: deviceID(r, s.Device), Registered: registered(r, s.Device), Identity: s.Identity, Platform: s.Platform,
			IP: s.IP, Secure: s.Secure, Client: s.Client, Blocked: blocked(r, s), Known: u.known, Cloned: u.device != nil && u.device.Cloned,
			Grant: c.grant != nil, Chosen: c.chosen, Token: c.wrong,
		},
	}
	if c.let {
		f.WaitUntil = time.Time{}
	}
	if rule.Condition != nil {
		f.Condition = g.conditions.Get(*rule.Condition)
	}
	for _, o := range r.Sessions {
		if o == s || o.Eviction != nil || s.Generation != 0 && o.Generation > s.Generation {
			continue
		}
		x := factOf(r, o, &rule)
		if x.Verdict = verdicts[probedOf(o)]; x.Verdict == rules.Unprobed && x.State == rules.Active {
			x.Verdict = unprobed
		}
		f.Sessions = append(f.Sessions, x)
	}
	return rules.Decide(f, r.Now)
}

// factOf is what a decision rests on of a live session.
func factOf(r *store.Record, s *store.Session, rule *rules.Effective) rules.Session {
	x := rules.Session{
		Generation: s.Generation, Party: partyOf(s), Resource: s.Resource, Device: s.Device, Registered: registered(r, s.Device), Identity: s.Identity, Platform: s.Platform,
		IP: s.IP, Client: s.Client, State: s.State, StartedAt: s.StartedAt, LastSeenAt: s.LastSeenAt, PausedAt: s.PausedAt,
	}
	if d := r.Device(s.Device); d != nil {
		x.DeviceName = d.Name
	}
	if len(rule.Exempt) > 0 {
		x.DeviceID = deviceID(r, s.Device)
	}
	return x
}

// admit notes what follows from an admission: its device, its grant, those who go for it and what that leaves behind. The session has its generation.
// next is when the server is asked to end them; zero: they ride in the winner's answer.
func admit(r *store.Record, s *store.Session, u guest, c claim, d rules.Decision, next time.Time) {
	if d.Cloned {
		u.cloned(r, s)
	}
	u.remember(r, s)
	if c.grant != nil {
		r.Standing.Reserve(c.grant.ID, s.Generation)
		r.StandingChanged()
	}
	contend(r, s, d)
	if s.State != rules.Binding {
		settleTakeover(r, s)
	}
	evict(r, s, u.name, d, next)
}

// cloned marks the login's device as one whose id several clients show.
func (u guest) cloned(r *store.Record, s *store.Session) {
	if u.device == nil {
		return
	}
	u.device.Cloned = true
	r.ManageDevice(u.device)
	for _, o := range append([]*store.Session{s}, r.Sessions...) {
		if o.Device == u.device.ID && o.Identity != rules.UnknownIdentity {
			o.Identity = rules.UnknownIdentity
			r.Changed(o)
		}
	}
}

// evict marks those who go for the winner.
func evict(r *store.Record, winner *store.Session, name string, d rules.Decision, next time.Time) {
	for _, n := range d.Evict {
		s := r.ByGeneration(n)
		own := winner.Identity == rules.Certain && winner.Device != 0 && s.Device == winner.Device ||
			d.Code == rules.CodeOwnReconnect && partyOf(s) == partyOf(winner) && !slices.Contains(d.Displaced, n)
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

// keep notes a decision that let somebody in, or would have denied it were the rule enforced.
func keep(r *store.Record, s *store.Session, d rules.Decision, askID string) {
	r.Decide(decisionOf(s, d, askID))
	if d.Outcome == rules.Denied {
		r.Count(store.CountLogin, store.CodeShadow)
	} else {
		r.Count(store.CountLogin, string(d.Code))
	}
}

func decisionOf(s *store.Session, d rules.Decision, askID string) *store.Decision {
	return &store.Decision{
		AskID: askID, Resource: s.Resource, Device: s.Device, Platform: s.Platform, Generation: s.Generation, Outcome: string(d.Outcome), Code: string(d.Code), Evicted: d.Evict,
		RuleField: d.Field, RuleLevel: string(d.Level), Explanation: d.Explanation, Condition: d.Condition, Shadow: d.Shadow,
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
			if s.Eviction == nil || braked(r) && !s.Eviction.ByOperator() || s.SID == newcomer || (s.Resource == resource) != same {
				continue
			}
			k := kickOf(r.JID, r.Langs(s.Lang), rule, s, s.Eviction)
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
