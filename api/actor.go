package api

import (
	"github.com/bindgate/bindgate/store"
)

// actor is the caller as the one who asks for a change: for the audit, and for the request's Idempotency-Key.
func (c *call) actor() store.Actor {
	by := store.Actor{Via: c.caller.via, Subject: c.caller.subject, RequestID: c.Response().Header().Get(headerRequestID), Claim: c.claim}
	if c.address.IsValid() {
		by.Address = c.address.String()
	}
	return by
}
