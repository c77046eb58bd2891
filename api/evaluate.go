package api

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

func (a *api) evaluate(c *call) error {
	o, err := readObject(c.Request(), "account", "resource", "platform", "device_id", "ip", "grant")
	if err != nil {
		return err
	}
	if !o.has("account") {
		return failField(codeInvalidField, "/account", "This is needed: the bare JID of the account that would log in.")
	}
	name := o.text("account", 3071)
	if o.problem != nil {
		return o.problem
	}
	acc, err := parseAccount("/account", name)
	if err != nil {
		return err
	}
	if !c.caller.sees(acc.domain) {
		return notFound().at("/account")
	}
	e := gate.Evaluation{Account: acc.jid, Platform: o.text("platform", maxPlatform), IP: o.text("ip", 64), Grant: o.text("grant", 512)}
	if o.has("resource") {
		e.Resource = o.resource("resource")
	}
	if o.has("device_id") {
		e.Device = o.id("/device_id", "device", o.fields["device_id"], acc.key, store.ParseDeviceID)
	}
	if o.has("platform") && !rules.PlatformName(e.Platform) {
		o.wrong("/platform", "A platform's name must be 1 to 64 printable characters, without spaces at its ends.")
	}
	if e.IP != "" {
		if ip, err := netip.ParseAddr(e.IP); err != nil || ip.Zone() != "" {
			o.wrong("/ip", "This must be an IP address, such as 192.0.2.7 or 2001:db8::7.")
		}
	}
	if o.problem != nil {
		return o.problem
	}
	d, err := a.gate.Evaluate(c.ctx, e)
	var token gate.TokenError
	switch {
	case errors.As(err, &token):
		return failField(codeInvalidField, "/grant", claimProblem(token))
	case errors.Is(err, store.ErrNotFound):
		return failField(codeInvalidField, "/device_id", "This account has no such device.")
	case err != nil:
		return err
	}
	kept := store.ListedDecision{
		At: d.Now, Resource: e.Resource, Device: d.Device, Platform: d.Platform, Outcome: string(d.Outcome), Code: string(d.Code), Evicted: d.Evict, RuleField: d.Field, RuleLevel: string(d.Level),
		Explanation: d.Explanation, Shadow: d.Shadow, RetryAfter: int(d.RetryAfter / time.Second),
	}
	v := showDecision(acc.key, acc.jid, kept)
	v.ID = nil
	return c.respond(http.StatusOK, v)
}

// claimProblem says what is wrong with a token.
func claimProblem(e gate.TokenError) string {
	switch e {
	case gate.TokenUsed:
		return "This token was used already; each lets one login in."
	case gate.TokenExpired:
		return "This token has expired."
	case gate.TokenForeign:
		return "This token is for another device or resource, or was made for another login."
	case gate.TokenGone:
		return "The session that this token would end is not there any more."
	case gate.TokenUseless:
		return "The account's rule does not let users choose whom to end (on_excess is not choose)."
	}
	return "This is no token of this account."
}
