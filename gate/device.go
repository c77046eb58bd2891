package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Registration makes a device known for certain, also before its first login: a bind with its user-agent id, or with its resource, is it.
type Registration struct {
	Account     string // bare JID, as the server has it; it need not be on record
	By          store.Actor
	Resource    string // exactly one of Resource and UserAgentID is set
	UserAgentID string
	Name        *string // nil: as it is
	Platform    *string // nil: as it is
}

// DeviceChange changes what operators say of a device.
type DeviceChange struct {
	Account  string // bare JID, as the server has it
	Device   int64
	By       store.Actor
	Name     *string // nil: as it is; "": none
	Platform *string // nil: as it is; "": found by the matchers
	Blocked  *bool   // nil: as it is
}

// RegisterDevice registers a device and returns its id. One that is on record already is changed and registered; created is false then. Live sessions on a
// registered resource that are of no other registered device are the device's from now on.
func (g *Gate) RegisterDevice(ctx context.Context, reg Registration) (device int64, created bool, err error) {
	device = store.DeviceOf("resource", reg.Resource)
	if reg.UserAgentID != "" {
		device = store.DeviceOf("user_agent_id", reg.UserAgentID)
	}
	if was, ok, err := store.Made[registrationOutcome](reg.By); ok || err != nil {
		return device, was.Created, err
	}
	want := store.Want{Key: store.KeyOf(reg.Account), JID: reg.Account, Create: true, Devices: []int64{device}}
	err = g.await(ctx, &op{want: want, apply: func(r *store.Record) func() {
		d := r.Device(device)
		created = d == nil
		if created {
			d = &store.Device{ID: device, UserAgentID: reg.UserAgentID, Resource: reg.Resource}
		}
		before := *d
		d.Registered, d.Identity = true, rules.Certain
		change(d, reg.Name, reg.Platform)
		if *d == before {
			return nil
		}
		r.ManageDevice(d)
		e := store.Entry{Action: store.DeviceRegister, Target: store.DeviceID(r.Key, d.ID), New: auditDevice(d), Outcome: registrationOutcome{created}}
		if !created {
			e.Old = auditDevice(&before)
		}
		r.Audit(reg.By, e)
		for _, s := range r.Sessions {
			if s.Device == d.ID || !registered(r, s.Device) && d.Resource != "" && s.Resource == d.Resource {
				s.Device, s.Identity = d.ID, d.Identity
				r.Changed(s)
			}
		}
		return nil
	}})
	if err != nil {
		return 0, false, fmt.Errorf("register device: %w", err)
	}
	return device, created, nil
}

// ChangeDevice names, blocks or unblocks a device; ErrNotFound of the store if there is none. A block ends the device's live sessions in the same transaction, which
// is a kick: ChangeDevice waits for proof until wait is over, and the report says what became of them. A platform holds from the device's next login on.
func (g *Gate) ChangeDevice(ctx context.Context, c DeviceChange, wait time.Duration) (KickReport, error) {
	if was, ok, err := store.Made[kickOutcome](c.By); err != nil {
		return KickReport{}, err
	} else if ok {
		return g.proveKick(ctx, store.KeyOf(c.Account), was.report(), nil, wait)
	}
	var report KickReport
	var links []string
	found := false
	id := kickNumber()
	selector, err := json.Marshal(KickSelect{Devices: []int64{c.Device}})
	if err != nil {
		return report, fmt.Errorf("change device: %w", err)
	}
	want := store.Want{Key: store.KeyOf(c.Account), JID: c.Account, Devices: []int64{c.Device}}
	err = g.await(ctx, &op{want: want, apply: func(r *store.Record) func() {
		report, links = KickReport{}, nil
		d := deviceOf(r, c.Device)
		if found = d != nil; !found {
			return nil
		}
		before := *d
		change(d, c.Name, c.Platform)
		if c.Blocked != nil && !*c.Blocked {
			d.Blocked = false
		}
		if *d != before {
			r.ManageDevice(d)
		}
		if c.Blocked != nil && *c.Blocked {
			k := newKicking(r, id, nil)
			k.block(d)
			for _, s := range r.Sessions {
				if k.bars(s) {
					k.kick(s)
				}
			}
			thaw(r)
			if len(k.sids) > 0 {
				k.close(c.By.String(), "device blocked", selector)
			}
			report, links = k.report, k.links
		}
		if after := *d; len(links) > 0 || operatorsWord(after) != operatorsWord(before) {
			r.Audit(c.By, store.Entry{Action: changeOf(before, after), Target: store.DeviceID(r.Key, d.ID), Old: auditDevice(&before), New: auditDevice(d), Outcome: outcomeOf(r.Key, report)})
		}
		return nil
	}})
	switch {
	case err != nil: // it may still be done
		return KickReport{}, fmt.Errorf("change device: %w", err)
	case !found:
		return KickReport{}, store.ErrNotFound
	}
	return g.proveKick(ctx, store.KeyOf(c.Account), report, links, wait)
}

// ForgetDevice deletes what is known of a device, its registration and its block too; ErrNotFound of the store if there is none. Its live sessions stay; its
// next login is that of a device never met.
func (g *Gate) ForgetDevice(ctx context.Context, account string, device int64, by store.Actor) error {
	if _, ok, err := store.Made[struct{}](by); ok || err != nil {
		return err
	}
	found := false
	want := store.Want{Key: store.KeyOf(account), JID: account, Devices: []int64{device}}
	err := g.await(ctx, &op{want: want, apply: func(r *store.Record) func() {
		d := deviceOf(r, device)
		if found = d != nil; found {
			r.ForgetDevice(d)
			r.Audit(by, store.Entry{Action: store.DeviceForget, Target: store.DeviceID(r.Key, d.ID), Old: auditDevice(d)})
		}
		return nil
	}})
	switch {
	case err != nil:
		return fmt.Errorf("forget device: %w", err)
	case !found:
		return store.ErrNotFound
	}
	return nil
}

// deviceOf returns a device of an account; either may be missing.
func deviceOf(r *store.Record, id int64) *store.Device {
	if r == nil {
		return nil
	}
	return r.Device(id)
}

func change(d *store.Device, name, platform *string) {
	if name != nil {
		d.Name = *name
	}
	if platform != nil {
		d.Platform = *platform
	}
}
