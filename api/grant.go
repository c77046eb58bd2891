package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// grantView is a new grant on the wire.
type grantView struct {
	ID        string     `json:"id"`
	Token     string     `json:"token"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// How long a grant can be used, in seconds.
const (
	defaultGrantTTL = 300
	maxGrantTTL     = 86_400
)

func (a *api) grant(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "device_id", "resource", "ttl_seconds")
	if err != nil {
		return err
	}
	r := gate.GrantRequest{Account: acc.jid, By: c.actor(), TTL: defaultGrantTTL * time.Second}
	if o.has("device_id") {
		r.Device = o.id("/device_id", "device", o.fields["device_id"], acc.key, store.ParseDeviceID)
	}
	if o.has("resource") {
		r.Resource = o.resource("resource")
	}
	if n := o.within("ttl_seconds", 1, maxGrantTTL); n != nil {
		r.TTL = time.Duration(*n) * time.Second
	}
	if o.problem != nil {
		return o.problem
	}
	g, err := a.gate.Grant(c.ctx, r)
	switch {
	case errors.Is(err, gate.ErrTooManyGrants):
		return fail(codeTooManyGrants, "This account has 32 grants that nobody has used yet. Use one, or wait until one expires.")
	case errors.Is(err, store.ErrNotFound):
		return failField(codeInvalidField, "/device_id", "This account has no such device.")
	case err != nil:
		return err
	}
	return c.respond(http.StatusCreated, grantView{ID: g.ID, Token: g.Token, ExpiresAt: utc(g.ExpiresAt)})
}
