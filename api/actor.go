package api

import (
	"net"

	"github.com/bindgate/bindgate/store"
)

// actor is the caller as the one who asks for a change: for the audit, and for the request's Idempotency-Key.
func (c *call) actor() store.Actor {
	return store.Actor{Via: store.ViaAPI, Subject: c.caller.subject, Address: c.address(), RequestID: c.Response().Header().Get(headerRequestID), Claim: c.claim}
}

// address is where the request comes from; "" if it cannot be told.
func (c *call) address() string {
	host, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
