package gate

import (
	"cmp"
	"time"

	"github.com/bindgate/bindgate/store"
)

const day = 24 * time.Hour

// keeping fills in what is not set of how long things are kept.
func keeping(k store.Retention) store.Retention {
	return store.Retention{
		Sessions: cmp.Or(k.Sessions, 90*day), Decisions: cmp.Or(k.Decisions, 90*day), Events: cmp.Or(k.Events, 30*day),
		Audit: cmp.Or(k.Audit, 365*day), Addresses: cmp.Or(k.Addresses, 30*day), Devices: cmp.Or(k.Devices, forgetProbable),
	}
}
