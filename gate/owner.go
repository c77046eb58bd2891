package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// OwnDevice is a device as the account's owner sees it: a live session, or a device that has none. It holds no address.
type OwnDevice struct {
	ID         string // public: of the session, or of the device that has none
	Generation int64  // of the session; 0: not signed in
	Name       string // that the device was given, else its resource; from a client, and not to be trusted
	Platform   string // empty: not known
	State      string // binding, active, hibernating, evicting; empty: not signed in
	Here       bool   // the one that asks
	SignedInAt time.Time
	Idle       time.Duration // since it was seen, as far as the record knows; negative: it was never seen
}

// OwnDevices are what an account's owner may know of it: what is signed in, the asking session first and then the newest, then what is not.
type OwnDevices struct {
	Langs   []string // of the asking session, then of the account and its domain; may be empty
	Devices []OwnDevice
}

// Bounds of what owners read.
const (
	ownersAtOnce = 4
	maxOwn       = 50 // sessions, and as many devices
)

// ByOwner is an account's owner as the one who asks for a change.
func ByOwner(account string) store.Actor { return store.Actor{Via: store.ViaOwner, Subject: account} }

// OwnDevices returns an account's devices for its owner, who asks from a resource. An account that is not on record has none.
func (g *Gate) OwnDevices(ctx context.Context, account, resource string) (OwnDevices, error) {
	select {
	case g.owners <- struct{}{}:
		defer func() { <-g.owners }()
	case <-ctx.Done():
		return OwnDevices{}, ctx.Err()
	}
	key := store.KeyOf(account)
	own, err := g.store.FindOwn(ctx, key, resource, maxOwn)
	if err != nil {
		return OwnDevices{}, fmt.Errorf("own devices: %w", err)
	}
	var out OwnDevices
	here := -1
	for i, s := range own.Sessions {
		// The newest on the resource that may stay: an older one is on its way out.
		if s.Resource == resource && (here < 0 || own.Sessions[here].State == store.StateEvicting && s.State != store.StateEvicting) {
			here = i
		}
	}
	for i, s := range own.Sessions {
		d := OwnDevice{
			ID: store.SessionID(key, s.Generation), Generation: s.Generation, Name: s.Name, Platform: s.Platform, State: s.State, Here: i == here,
			SignedInAt: s.StartedAt, Idle: max(own.Now.Sub(s.LastSeenAt), 0),
		}
		if d.Name == "" {
			d.Name = s.Resource
		}
		if d.Platform == rules.UnknownPlatform {
			d.Platform = ""
		}
		if d.Here {
			out.Langs = append(out.Langs, s.Lang)
		}
		out.Devices = append(out.Devices, d)
	}
	for _, s := range own.Devices {
		d := OwnDevice{ID: store.DeviceID(key, s.ID), Name: s.Name, Platform: s.Platform, Idle: -1}
		if d.Name == "" {
			d.Name = s.Resource
		}
		if s.LastSeenAt.Year() > 1 { // else it was registered and never seen
			d.Idle = max(own.Now.Sub(s.LastSeenAt), 0)
		}
		out.Devices = append(out.Devices, d)
	}
	out.Langs = append(out.Langs, own.Langs...)
	return out, nil
}
