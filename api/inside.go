package api

import (
	"context"
	"net/netip"
	"time"

	"github.com/bindgate/bindgate/store"
)

// Caller is who calls the API within this process, without a token. Whoever makes one has found out who it is.
type Caller struct {
	User    int64      // whose Idempotency-Keys these are; a name may be another user's tomorrow
	Subject string     // whom the audit names
	Scopes  []string   // as in a token
	Domains []string   // to which the caller is limited; nil: all
	Address netip.Addr // from which the caller has come; zero: not known
}

type insideKey struct{}

// insideIssuer stands for the issuer of a token: no key of such a caller is one of a token's holder.
const insideIssuer = "\x00dashboard"

// insideLife is how long a stream of such a caller may last.
const insideLife = time.Hour

// As returns a context with which requests to the API's handler are the caller's. Nothing in a request from outside gets there: a context's values
// come from this process alone. Rates are not limited; what else bounds a token's requests bounds these too.
func As(ctx context.Context, c Caller) context.Context {
	who := &caller{via: store.ViaDashboard, issuer: insideIssuer, user: c.User, subject: c.Subject, scopes: c.Scopes, expires: time.Now().Add(insideLife), address: c.Address}
	if c.Domains != nil {
		who.domains = append([]string{}, c.Domains...)
	}
	return context.WithValue(ctx, insideKey{}, who)
}

// inside returns the caller that As has named; nil: the request has come from outside.
func inside(ctx context.Context) *caller {
	who, _ := ctx.Value(insideKey{}).(*caller)
	return who
}

// Stopping returns a context that ends when the server of a request's context (Server) begins to shut down; else one that does not end.
func Stopping(ctx context.Context) context.Context {
	if stops, ok := ctx.Value(stoppingKey{}).(context.Context); ok {
		return stops
	}
	return context.Background()
}
