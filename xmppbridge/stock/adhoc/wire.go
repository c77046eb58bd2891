package adhoc

import "encoding/xml"

const (
	nsCommands = "http://jabber.org/protocol/commands"    // XEP-0050
	nsItems    = "http://jabber.org/protocol/disco#items" // XEP-0030 §4
	nsInfo     = "http://jabber.org/protocol/disco#info"  // XEP-0030 §3
	nsAdmin    = "http://jabber.org/protocol/admin"       // XEP-0133
)

// reply is an IQ of type result.
type reply struct {
	Command *command `xml:"http://jabber.org/protocol/commands command"`
	Items   *query   `xml:"http://jabber.org/protocol/disco#items query"`
	Info    *query   `xml:"http://jabber.org/protocol/disco#info query"`
}

// query is a question of service discovery and its answer.
type query struct {
	XMLName    xml.Name
	Node       string `xml:"node,attr,omitempty"`
	Items      []Item `xml:"item"`
	Identities []struct {
		Category string `xml:"category,attr"`
		Name     string `xml:"name,attr"`
	} `xml:"identity"`
}

// command is a step of a command, of either side.
type command struct {
	XMLName xml.Name `xml:"http://jabber.org/protocol/commands command"`
	Node    string   `xml:"node,attr"`
	Session string   `xml:"sessionid,attr,omitempty"`
	Action  string   `xml:"action,attr,omitempty"`
	Status  string   `xml:"status,attr,omitempty"`
	Actions *struct {
		Default  string    `xml:"execute,attr,omitempty"`
		Next     *struct{} `xml:"next"`
		Complete *struct{} `xml:"complete"`
	} `xml:"actions"`
	Form  *form `xml:"jabber:x:data x"`
	Notes []struct {
		Kind string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"note"`
}

// form is a data form (XEP-0004).
type form struct {
	XMLName xml.Name `xml:"jabber:x:data x"`
	Kind    string   `xml:"type,attr"`
	Fields  []field  `xml:"field"`
}

type field struct {
	Name     string    `xml:"var,attr"`
	Type     string    `xml:"type,attr,omitempty"`
	Required *struct{} `xml:"required"`
	Values   []string  `xml:"value"`
	Options  []option  `xml:"option"`
}

type option struct {
	Value string `xml:"value"`
}
