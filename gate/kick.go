package gate

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// KickRequest asks for the end of sessions of one account.
type KickRequest struct {
	Account    string // bare JID, as the server has it
	By         store.Actor
	Select     KickSelect
	Reason     string            // for the audit
	Text       map[string]string // language → what the clients are told; nil: the rule's words
	Cooldown   time.Duration     // so long the kicked devices, and who cannot be told from them, have to wait; 0: not at all
	Block      bool              // the devices of these sessions too, and those of Select.Devices that have none
	Revoke     bool              // what the server stores of login credentials, before the sessions end
	IfRevision *int64            // only if the account is still at this revision; else store.ErrVersion
}

// KickSelect says which sessions; exactly one field is set.
type KickSelect struct {
	Sessions []int64 `json:"sessions,omitempty"` // generations
	Devices  []int64 `json:"devices,omitempty"`
	Platform string  `json:"platform,omitempty"` // or a group of platforms
	Except   int64   `json:"except,omitempty"`   // the generation that stays
	All      bool    `json:"all,omitempty"`
}

// KickReport says what became of a kick.
type KickReport struct {
	KickID               string
	Generation, Revision int64
	Results              []KickOutcome
	Blocked              []int64     // devices that a kick with Block has blocked, or found so
	Credentials          Credentials // of a kick with Revoke
}

// KickOutcome of one session: kicked (its end was seen), gone (it was not live any more), pending (accepted, will be done), still_present
// (the server was asked several times and the session lives on).
type KickOutcome struct {
	Generation int64
	Resource   string
	Outcome    string
	Blocked    bool // its device is blocked now; one that is unknown cannot be
}

// The outcomes of a kick.
const (
	OutcomeKicked       = "kicked"
	OutcomeGone         = "gone"
	OutcomePending      = "pending"
	OutcomeStillPresent = "still_present"
)

// Kick marks the selected sessions as having to go in one durable transaction, then waits for proof until wait is over, or not at all if the links are down. What has no
// proof by then is pending: it is done as soon as the server can be asked, also after a crash or a restart. An unknown account is store.ErrNotFound.
func (g *Gate) Kick(ctx context.Context, req KickRequest, wait time.Duration) (KickReport, error) {
	if was, ok, err := store.Made[kickOutcome](req.By); err != nil {
		return KickReport{}, err
	} else if ok {
		return g.proveKick(ctx, store.KeyOf(req.Account), was.report(), nil, wait)
	}
	var report KickReport
	var links []string
	found := true
	id := kickNumber()
	selector, err := json.Marshal(req.Select)
	if err != nil {
		return report, fmt.Errorf("kick: %w", err)
	}
	stale := false
	err = g.await(ctx, &op{want: store.Want{Key: store.KeyOf(req.Account), JID: req.Account, Devices: req.Select.Devices, Known: req.Block || req.Revoke}, apply: func(r *store.Record) func() {
		report, links, found, stale = KickReport{}, nil, r != nil, false
		if r == nil {
			return nil
		}
		if req.IfRevision != nil && *req.IfRevision != r.Revision {
			stale = true
			return nil
		}
		report, links = applyKick(r, req, id, selector)
		return nil
	}})
	switch {
	case err != nil: // it may still be done
		return KickReport{}, fmt.Errorf("kick: %w", err)
	case !found:
		return report, store.ErrNotFound
	case stale:
		return report, store.ErrVersion
	}
	g.stats.Kicks.Add(1)
	return g.proveKick(ctx, store.KeyOf(req.Account), report, links, wait)
}

// proveKick has a kick that is on record carried out, and waits for proof until wait is over.
func (g *Gate) proveKick(ctx context.Context, account store.Key, report KickReport, links []string, wait time.Duration) (KickReport, error) {
	for _, l := range links {
		g.wake(l)
	}
	var err error
	deadline := time.Now().Add(wait)
	if report.Credentials.Outcome == OutcomePending {
		g.revokeNow()
		_, id, err := store.ParseKickID(report.KickID)
		if err != nil {
			return report, err
		}
		if report.Credentials, err = g.proveRevocation(ctx, account, id, wait); err != nil {
			return report, err
		}
	}
	if len(links) == 0 || g.anyUp(ctx, links) {
		err = g.prove(ctx, account, &report, time.Until(deadline))
	}
	return report, err
}

func applyKick(r *store.Record, req KickRequest, id int64, selector []byte) (report KickReport, links []string) {
	k := newKicking(r, id, req.Text)
	if req.Block {
		for _, d := range req.Select.Devices {
			k.block(r.Device(d))
		}
		for _, s := range r.Sessions {
			if req.Select.picks(s, r.Platforms) {
				k.block(r.Device(s.Device))
			}
		}
	}
	if len(k.blocked) > 0 {
		release(r) // who is blocked is to keep nobody out: the owner gets in at once
	}
	for _, s := range r.Sessions {
		if req.Select.picks(s, r.Platforms) || k.bars(s) {
			k.kick(s)
			if req.Cooldown > 0 {
				makeWait(r, s, req.Cooldown)
			}
		}
	}
	for _, n := range req.Select.Sessions {
		if !slices.ContainsFunc(k.report.Results, func(o KickOutcome) bool { return o.Generation == n }) {
			k.report.Results = append(k.report.Results, KickOutcome{Generation: n, Outcome: OutcomeGone})
		}
	}
	if req.Cooldown > 0 { // also the devices that are not in just now
		for _, d := range req.Select.Devices {
			makeWait(r, &store.Session{Device: d}, req.Cooldown)
		}
	}
	if req.Revoke {
		k.report.Credentials = revoke(r, id, req.Select)
	}
	thaw(r)
	k.close(req.By.String(), req.Reason, selector)
	r.Audit(req.By, store.Entry{Action: store.SessionKick, Target: k.report.KickID, New: auditedKick{req.Reason, req.Block, req.Revoke, int64(req.Cooldown / time.Second)}, Outcome: outcomeOf(r.Key, k.report)})
	return k.report, k.links
}

// kicking is a kick while it is put on record.
type kicking struct {
	r         *store.Record
	id        int64
	text      map[string]string
	report    KickReport
	blocked   []*store.Device
	links     []string // of its sessions
	sids, ids []string
}

func newKicking(r *store.Record, id int64, text map[string]string) *kicking {
	return &kicking{r: r, id: id, text: text, report: KickReport{KickID: store.KickID(r.Key, id)}}
}

// block blocks a device; nil is none.
func (k *kicking) block(d *store.Device) {
	if d == nil || slices.Contains(k.blocked, d) {
		return
	}
	k.blocked = append(k.blocked, d)
	k.report.Blocked = append(k.report.Blocked, d.ID)
	if !d.Blocked {
		d.Blocked = true
		k.r.ManageDevice(d)
	}
}

// bars reports whether a session is of a device that the kick blocks, or has the resource that stands for one.
func (k *kicking) bars(s *store.Session) bool {
	return slices.ContainsFunc(k.blocked, func(d *store.Device) bool { return s.Device == d.ID || d.Resource != "" && s.Resource == d.Resource })
}

func (k *kicking) kick(s *store.Session) {
	code := "kick"
	if k.bars(s) {
		code = "blocked"
	}
	k.report.Results = append(k.report.Results, KickOutcome{Generation: s.Generation, Resource: s.Resource, Outcome: OutcomePending, Blocked: k.bars(s)})
	if !s.Going() {
		k.r.Evict(s, store.Eviction{Code: code, Kick: k.id, Text: k.text, NextAt: k.r.Now})
	}
	k.sids, k.ids = append(k.sids, s.SID), append(k.ids, store.SessionID(k.r.Key, s.Generation))
	if !slices.Contains(k.links, s.Link) {
		k.links = append(k.links, s.Link)
	}
}

// close keeps the request and tells of it.
func (k *kicking) close(by, reason string, selector []byte) {
	k.r.Touch()
	k.r.SaveKick(store.Kick{ID: k.id, RequestedBy: by, Selector: selector, Reason: reason, SIDs: k.sids})
	k.r.Tell("kick.requested", kickData{KickID: k.report.KickID, By: by, Reason: reason, Sessions: orEmpty(k.ids)})
	k.report.Generation, k.report.Revision = k.r.Generation, k.r.Revision
}

// picks reports whether a session is selected. A group of platforms stands for its members.
func (by KickSelect) picks(s *store.Session, platforms rules.Platforms) bool {
	switch {
	case by.All:
		return true
	case by.Except != 0:
		return s.Generation != by.Except
	case by.Platform != "":
		return slices.Contains(platforms.Named(by.Platform), s.Platform)
	case len(by.Devices) > 0:
		return s.Device != 0 && slices.Contains(by.Devices, s.Device)
	}
	return slices.Contains(by.Sessions, s.Generation)
}

// prove waits until every session of the report has a proven outcome, or until the wait is over. It reads the record, so it sees what any replica did.
func (g *Gate) prove(ctx context.Context, account store.Key, report *KickReport, wait time.Duration) error {
	var generations []int64
	for _, o := range report.Results {
		generations = append(generations, o.Generation)
	}
	deadline := time.Now().Add(wait)
	for pause := 5 * time.Millisecond; len(generations) > 0; pause = min(2*pause, 100*time.Millisecond) {
		known, err := g.store.Outcomes(ctx, account, generations)
		if err != nil {
			g.log.WarnContext(ctx, "an accepted kick could not be followed", "error", err)
			return nil // it is accepted; what is not known is pending
		}
		if settle(report, known) || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

// settle fills in the outcomes and reports whether all are final.
func settle(report *KickReport, known []store.Outcome) bool {
	final := true
	for i := range report.Results {
		o := &report.Results[i]
		n := slices.IndexFunc(known, func(k store.Outcome) bool { return k.Generation == o.Generation })
		switch {
		case n < 0:
		case o.Outcome == OutcomeGone:
			o.Resource = known[n].Resource
		case !known[n].Live:
			o.Outcome = OutcomeKicked
		case known[n].StillPresent:
			o.Outcome = OutcomeStillPresent
		default:
			o.Outcome, final = OutcomePending, false
		}
	}
	return final
}

func kickNumber() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
