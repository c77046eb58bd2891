package stock

import (
	"context"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
)

// Gate decides (package gate).
type Gate interface {
	Connected(link string, l gate.Link)
	Disconnected(link string, reason error)
	Hello(h gate.Hello)
	Event(e gate.Event)
	// Recorded are the link's sessions of a domain that are on record.
	Recorded(ctx context.Context, link, domain string) ([]gate.Listed, error)
}

// Observer keeps the link to one server without a module.
type Observer struct {
	cfg    xmppbridge.Config
	driver Driver
	gate   Gate
}

// New makes an observer. Without domains in its configuration it watches the one that the component is under.
func New(cfg xmppbridge.Config, d Driver, g Gate) *Observer {
	return &Observer{cfg: cfg, driver: d, gate: g}
}
