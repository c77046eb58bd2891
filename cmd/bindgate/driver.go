package main

import (
	"errors"
	"fmt"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
	"github.com/bindgate/bindgate/xmppbridge/stock/httpapi"
)

// checkDriver says whether there is a driver of that name.
func checkDriver(name string) error {
	switch name {
	case xmppbridge.DriverGate, xmppbridge.DriverEjabberd, xmppbridge.DriverAdmin:
		return nil
	}
	return fmt.Errorf("unknown driver %q: use gate, with our module in the XMPP server, ejabberd, with its HTTP API, or admin, with ad-hoc commands (XEP-0133)", name)
}

// checkAPI says whether a link has the URL of an API exactly if its driver needs one.
func checkAPI(l linkConfig) error {
	switch {
	case l.Driver != xmppbridge.DriverEjabberd && l.APIURL != "":
		return fmt.Errorf("belongs to the driver ejabberd, and this link's is %s: remove it, or change the driver", l.Driver)
	case l.Driver == xmppbridge.DriverEjabberd && l.APIURL == "":
		return errors.New("missing; it is the URL of ejabberd's HTTP API, such as http://127.0.0.1:5280/api")
	case l.APIURL != "":
		return httpapi.CheckURL(l.APIURL)
	}
	return nil
}

// driverOf is how a server without a module is worked; nil: it has one.
func driverOf(l linkConfig) stock.Driver {
	switch l.Driver {
	case xmppbridge.DriverEjabberd:
		return httpapi.New(l.APIURL)
	case xmppbridge.DriverAdmin:
		return adhoc.New(l.Component)
	}
	return nil
}
