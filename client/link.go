package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Link is the connection to one XMPP server.
type Link struct {
	ID        string       `json:"id"`
	Driver    string       `json:"driver"`
	Component string       `json:"component"`
	State     LinkState    `json:"state"`
	Mode      Mode         `json:"mode"`  // that its modules have to be in
	Owner     string       `json:"owner"` // the process that holds it; "": none
	Mine      bool         `json:"mine"`  // it is the process that answers
	Since     time.Time    `json:"since"` // when its state last changed
	LastError string       `json:"last_error"`
	Domains   []LinkDomain `json:"domains"`
	// Abilities are what is wanted of a link, and whether this one can. None before a domain has said hello.
	Abilities []LinkAbility `json:"abilities"`
	SelfTest  *SelfTest     `json:"self_test"` // nil: none is configured, or it is still to come
}

// SelfTest is what the last trial of a link with a throw-away account came to.
type SelfTest struct {
	At       time.Time     `json:"at"`
	Account  string        `json:"account"`
	OK       bool          `json:"ok"`   // it was let in, seen and kicked, and its client was told <conflict/>
	Held     *bool         `json:"held"` // the login waited for its decision; nil: not found out
	Kick     *SelfTestKick `json:"kick"` // nil: there was none
	Findings []string      `json:"findings"`
}

// SelfTestKick is what the account's client was told when it was kicked.
type SelfTestKick struct {
	Outcome   Outcome `json:"outcome"`
	Condition string  `json:"condition"` // the stream error's; "": the stream ended without one
	Text      string  `json:"text"`
	Lang      string  `json:"lang"`       // of the text
	EndedCode string  `json:"ended_code"` // in <ended/>; "": there was none
}

// LinkAbility is something that is wanted of a link. What cannot be done says why not, for operators.
type LinkAbility struct {
	Name string `json:"name"`
	Can  bool   `json:"can"`
	Why  string `json:"why"` // "": there is nothing to say
}

// LinkState is whether a link is connected.
type LinkState string

// The states of a link.
const (
	LinkUp      LinkState = "up"
	LinkDown    LinkState = "down"
	LinkUnowned LinkState = "unowned" // no process holds it
)

// LinkDomain is a virtual host of a link whose module has said hello, on one node.
type LinkDomain struct {
	Domain           string    `json:"domain"`
	Node             string    `json:"node"`
	Server           string    `json:"server"`
	ServerVersion    string    `json:"server_version"`
	Module           string    `json:"module"`
	Protocol         string    `json:"protocol"`
	Mode             Mode      `json:"mode"`
	OnFailure        string    `json:"on_failure"`
	Epoch            string    `json:"epoch"`
	Seq              int64     `json:"seq"`
	Sessions         int64     `json:"sessions"`
	Abilities        []string  `json:"abilities"`
	MissingAbilities []string  `json:"missing_abilities"`
	LastHelloAt      time.Time `json:"last_hello_at"`
	LastSnapshotAt   time.Time `json:"last_snapshot_at"`
	Problem          string    `json:"problem"` // what keeps the module from being used; "": nothing
}

// Mode is the emergency brake of a link.
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce" // rules are carried out
	ModeObserve Mode = "observe" // decisions are made and recorded, everybody is let in
	ModeOff     Mode = "off"     // the server does not ask
)

// ListLinks lists the connections to XMPP servers.
func (c *Client) ListLinks(ctx context.Context) iter.Seq2[Link, error] {
	return list[Link](ctx, c, ListOptions{}, nil, "/v1/links")
}

// ModeChange is what became of a change of a link's mode.
type ModeChange struct {
	ID      string       `json:"id"` // of the link
	Mode    Mode         `json:"mode"`
	Applied bool         `json:"applied"` // every module of the link has confirmed it; else they will when they can be told
	State   LinkState    `json:"state"`
	Domains []ModeDomain `json:"domains"`
}

// ModeDomain is what a module says of itself.
type ModeDomain struct {
	Domain string `json:"domain"`
	Node   string `json:"node"`
	Mode   Mode   `json:"mode"` // "": not known now
}

// PutLinkMode pulls or releases a link's emergency brake. It is on record when the call returns, which waits up to two seconds for the modules' word.
func (c *Client) PutLinkMode(ctx context.Context, id string, m Mode) (*ModeChange, error) {
	body := struct {
		Mode Mode `json:"mode"`
	}{m}
	v, _, err := send[ModeChange](ctx, c, request{method: http.MethodPut, body: body, changes: true}, "/v1/links/%s/mode", id)
	return v, err
}
