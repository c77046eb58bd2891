package main

import (
	"errors"
	"fmt"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/httpapi"
)

// checkDriver says whether there is a driver of that name.
func checkDriver(name string) error {
	switch name {
	case xmppbridge.DriverGate, xmppbridge.DriverEjabberd:
		return nil
	case xmppbridge.DriverAdmin:
		return errors.New("the driver admin is not in this build: use gate, with our module in the XMPP server, or ejabberd, with its HTTP API")
	}
	return fmt.Errorf("unknown driver %q: use gate, with our module in the XMPP server, or ejabberd, with its HTTP API", name)
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
	if l.Driver == xmppbridge.DriverEjabberd {
		return httpapi.New(l.APIURL)
	}
	return nil
}
