package gate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// partyOf says who a session is of, as far as it can be told.
func partyOf(s *store.Session) rules.Party {
	switch {
	case s.Device != 0:
		return rules.Party(s.Device)
	case s.Chosen:
		return rules.Party(store.DeviceOf("resource", s.Resource))
	}
	return rules.NoParty
}

func combatant(s *store.Session) rules.Combatant {
	return rules.Combatant{Party: partyOf(s), Device: s.Device, Resource: s.Resource, Generation: s.Generation}
}

// contend notes what an admission leaves behind: who was displaced by it, and who is no more.
func contend(r *store.Record, s *store.Session, d rules.Decision) {
	st, w := &r.Standing, combatant(s)
	if len(d.Evict) == 0 && st.Of(w.Party) == nil {
		return
	}
	r.StandingChanged()
	if !comesBack(r, st.Of(w.Party), w.Party, d) {
		if ended := st.Admit(w.Party, s.Generation); ended != nil {
			closeLoop(r, *ended)
		}
	}
	for _, g := range d.Evict {
		passLoops(r, st.Succeed(g, s.Generation))
	}
	for _, g := range oneEach(r, d.Replaced) {
		if ended := st.Replace(combatant(r.ByGeneration(g)), w, r.Now); ended != nil {
			closeLoop(r, *ended)
		}
	}
	for _, g := range oneEach(r, d.Displaced) {
		opened, ended := st.Displace(combatant(r.ByGeneration(g)), w, r.Now)
		if ended != nil {
			closeLoop(r, *ended)
		}
		if opened != nil {
			openLoop(r, *opened)
		}
	}
}

// oneEach returns the last session of each party: one admission is one turn against a party, however many sessions that had.
func oneEach(r *store.Record, generations []int64) (out []int64) {
	seen := map[rules.Party]bool{}
	for _, g := range slices.Backward(generations) {
		if party := partyOf(r.ByGeneration(g)); !seen[party] {
			seen[party] = true
			out = append(out, g)
		}
	}
	return out
}

// comesBack reports whether an admission is the return of who won a displacement of its own party: the winner's session was found dead and goes.
func comesBack(r *store.Record, was *rules.Displacement, party rules.Party, d rules.Decision) bool {
	if was == nil || was.Winner == 0 || !slices.Contains(d.Evict, was.Winner) || slices.Contains(d.Displaced, was.Winner) || slices.Contains(d.Replaced, was.Winner) {
		return false
	}
	return partyOf(r.ByGeneration(was.Winner)) == party
}

// settleTakeover notes that an admitted session is bound: its grant is used up, and what its admission left behind stays.
func settleTakeover(r *store.Record, s *store.Session) {
	if r.Standing.Consume(s.Generation) {
		r.Standing.Excuse(partyOf(s))
		r.StandingChanged()
	}
	if r.Standing.Settle(s.Generation) {
		r.StandingChanged()
	}
}

// undoTakeover takes back what the admission of a session left behind that never came. Those who were to go for it are in place again.
func undoTakeover(r *store.Record, never int64) {
	open, ended := r.Standing.Undo(never)
	for _, d := range ended {
		closeLoop(r, d)
	}
	for _, d := range open {
		openLoop(r, d)
	}
	r.StandingChanged()
}

type loopData struct {
	Winner string     `json:"winner"` // session id
	Loser  loserData  `json:"loser"`
	Until  *time.Time `json:"until,omitempty"`
}

type loserData struct {
	DeviceID *string `json:"device_id"`
	Resource string  `json:"resource"`
}

func loopOf(r *store.Record, d rules.Displacement) (store.Loop, loopData) {
	data := loopData{Winner: store.SessionID(r.Key, d.Winner), Loser: loserData{Resource: d.Resource}}
	if d.Device != 0 {
		id := store.DeviceID(r.Key, d.Device)
		data.Loser.DeviceID = &id
	}
	return store.Loop{Account: r.Key, Party: d.Party, Device: d.Device, Resource: d.Resource, Winner: d.Winner, OpenedAt: d.FrozenAt(), Until: d.FrozenUntil}, data
}

func openLoop(r *store.Record, d rules.Displacement) {
	loop, data := loopOf(r, d)
	until := d.FrozenUntil.UTC()
	data.Until = &until
	r.OpenLoop(loop)
	r.Tell("loop.opened", data)
}

// passLoops notes that open loops have another session in the winner's place.
func passLoops(r *store.Record, loops []rules.Displacement) {
	for _, d := range loops {
		loop, _ := loopOf(r, d)
		r.OpenLoop(loop)
	}
}

func closeLoop(r *store.Record, d rules.Displacement) {
	loop, data := loopOf(r, d)
	r.CloseLoop(loop)
	r.Tell("loop.closed", data)
}

// thaw closes the loops whose time is over, or whose winner is gone.
func thaw(r *store.Record) {
	for _, d := range r.Standing.Thaw(r.Now, func(generation int64) bool {
		s := r.ByGeneration(generation)
		return s != nil && s.Eviction == nil
	}) {
		r.StandingChanged()
		closeLoop(r, d)
	}
}

// holdOf is how long the module is to keep a denial from its client that was repeated so often, for the first time so long ago: the one throttle that every
// client obeys. After ten seconds of a client that tries again soon it is at its longest, however long that client waits by itself.
func holdOf(repeats int, since time.Duration) time.Duration {
	const first, longest, patience = 250 * time.Millisecond, 4 * time.Second, 6 * time.Second
	switch {
	case repeats < 2:
		return 0
	case since >= patience:
		return longest
	}
	return min(first<<min(repeats-2, 10), longest)
}

// deny notes a denied attempt and returns how long the module is to keep it from the client. Repeats of one denial are one row, and one event a minute.
func deny(r *store.Record, s *store.Session, d rules.Decision, askID string) time.Duration {
	party := partyOf(s)
	hold := holdOf(r.Standing.Repeated(party, string(d.Code), r.Now))
	r.Standing.Attempt(party, r.Now, hold)
	kind, tell := r.Standing.Deny(party, string(d.Code), r.Now, hold)
	r.StandingChanged()
	row := decisionOf(s, d, askID)
	row.At, row.Repeats = kind.At, kind.Repeats
	row.RetryAfter = d.RetryAfter
	r.Decide(row)
	r.Count(store.CountDenial, string(d.Code))
	if tell {
		tellDenied(r, s, d, kind.At)
	}
	return hold
}

// denyLive notes the denial of a session that lives and has to go for it: always with a row and an event of its own.
func denyLive(r *store.Record, s *store.Session, d rules.Decision) {
	if r.Standing.Of(partyOf(s)) != nil {
		r.Standing.Attempt(partyOf(s), r.Now, 0)
		r.StandingChanged()
	}
	row := decisionOf(s, d, s.AskID)
	row.RetryAfter = d.RetryAfter
	r.Decide(row)
	r.Count(store.CountDenial, string(d.Code))
	tellDenied(r, s, d, r.Now)
}

func tellDenied(r *store.Record, s *store.Session, d rules.Decision, at time.Time) {
	r.Tell("login.denied", deniedData{
		Resource: s.Resource, DeviceID: dataOf(r, s).DeviceID, Platform: s.Platform, Code: string(d.Code), DecisionID: store.DecisionID(r.Key, at), RetryAfter: int64(d.RetryAfter / time.Second),
	})
}

// makeWait makes the party of a session that is kicked wait.
func makeWait(r *store.Record, s *store.Session, wait time.Duration) {
	r.Standing.Wait(rules.Wait{Party: partyOf(s), Device: s.Device, Resource: s.Resource, Until: r.Now.Add(wait)})
	r.StandingChanged()
}

// Protection is how an account's takeovers stand.
type Protection struct {
	Now       time.Time // by the database's clock
	Displaced []Cooldown
	Waits     []rules.Wait
}

// Cooldown is a displaced device whose winner lives.
type Cooldown struct {
	rules.Displacement
	RetryAfter time.Duration
	Frozen     bool
}

// Protection returns whom an account's takeovers and kicks keep out now. An unknown account is store.ErrNotFound.
func (g *Gate) Protection(ctx context.Context, account string) (Protection, error) {
	var p Protection
	found := false
	err := g.store.Look(ctx, store.Want{Key: store.KeyOf(account), JID: account}, func(r *store.Record) {
		if found = r != nil; !found {
			return
		}
		p.Now = r.Now
		rule := rules.Merge(r.Levels...)
		for _, d := range r.Standing.Displaced {
			w := r.ByGeneration(d.Winner)
			if w == nil || w.Eviction != nil || d.Own {
				continue
			}
			if left, frozen := d.Standing(rule, r.Now); left > 0 {
				p.Displaced = append(p.Displaced, Cooldown{d, left, frozen})
			}
		}
		for _, w := range r.Standing.Waits {
			if w.Until.After(r.Now) {
				p.Waits = append(p.Waits, w)
			}
		}
	})
	switch {
	case err != nil:
		return p, fmt.Errorf("protection: %w", err)
	case !found:
		return p, store.ErrNotFound
	}
	return p, nil
}

// Release lets everybody of an account take over at once: who was displaced, who was made to wait, who is shut out by a loop, and ids that were found out
// to be shown by several clients. An unknown account is store.ErrNotFound.
func (g *Gate) Release(ctx context.Context, account string, by store.Actor) error {
	if _, ok, err := store.Made[struct{}](by); ok || err != nil {
		return err
	}
	found := false
	err := g.await(ctx, &op{want: store.Want{Key: store.KeyOf(account), JID: account, Known: true}, apply: func(r *store.Record) func() {
		if found = r != nil; found {
			release(r)
			r.Audit(by, store.Entry{Action: store.ProtectionRelease})
		}
		return nil
	}})
	switch {
	case err != nil:
		return fmt.Errorf("release protection: %w", err)
	case !found:
		return store.ErrNotFound
	}
	return nil
}

// release needs Want.Known.
func release(r *store.Record) {
	for _, d := range r.Standing.Release(r.Now) {
		closeLoop(r, d)
	}
	r.StandingChanged()
	for _, d := range r.Cloned() {
		d.Cloned = false
		r.ManageDevice(d)
		for _, s := range r.Sessions {
			if s.Device == d.ID {
				s.Identity = d.Identity
				r.Changed(s)
			}
		}
	}
	r.Touch()
}
