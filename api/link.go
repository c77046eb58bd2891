package api

import (
	"net/http"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// linkView is a link on the wire.
type linkView struct {
	ID        string       `json:"id"`
	Driver    string       `json:"driver"`
	Component string       `json:"component"`
	State     string       `json:"state"`
	Mode      string       `json:"mode"`
	Owner     *string      `json:"owner"`
	Mine      bool         `json:"mine"`
	Since     *time.Time   `json:"since"`
	LastError *string      `json:"last_error"`
	Domains   []domainView `json:"domains"`
	Abilities []ability    `json:"abilities"`
	SelfTest  *selfTest    `json:"self_test"`
}

// selfTest is what the last trial of a link with a throw-away account came to.
type selfTest struct {
	At       *time.Time `json:"at"`
	Account  string     `json:"account"`
	OK       bool       `json:"ok"`
	Held     *bool      `json:"held"`
	Kick     *told      `json:"kick"`
	Findings []string   `json:"findings"`
}

// told is what the account's client was told when it was kicked.
type told struct {
	Outcome   string  `json:"outcome"`
	Condition *string `json:"condition"`
	Text      *string `json:"text"`
	Lang      *string `json:"lang"`
	Ended     *string `json:"ended_code"`
}

// ability is something that is wanted of a link. Why is in words, for operators.
type ability struct {
	Name string  `json:"name"`
	Can  bool    `json:"can"`
	Why  *string `json:"why"`
}

// domainView is what the module of one virtual host, on one node, says of itself.
type domainView struct {
	Domain         string     `json:"domain"`
	Node           string     `json:"node"`
	Server         string     `json:"server"`
	ServerVersion  string     `json:"server_version"`
	Module         string     `json:"module"`
	Protocol       string     `json:"protocol"`
	Mode           string     `json:"mode"`
	OnFailure      string     `json:"on_failure"`
	Epoch          string     `json:"epoch"`
	Seq            int64      `json:"seq"`
	Sessions       int        `json:"sessions"`
	Abilities      []string   `json:"abilities"`
	Missing        []string   `json:"missing_abilities"`
	LastHelloAt    *time.Time `json:"last_hello_at"`
	LastSnapshotAt *time.Time `json:"last_snapshot_at"`
	Problem        *string    `json:"problem"`
}

// listLinks shows all links. A caller that is limited to domains sees the links that have one of them, and only those domains on them.
func (a *api) listLinks(c *call) error {
	links, err := a.gate.Links(c.ctx)
	if err != nil {
		return err
	}
	p := list[linkView]{Items: []linkView{}}
	for _, l := range links {
		v := linkView{
			ID: l.Name, Driver: l.Driver, Component: l.Component, State: l.State, Mode: l.Mode, Owner: orNull(l.Owner), Mine: l.Mine, Since: utc(l.Since),
			LastError: orNull(l.LastError), Domains: []domainView{}, Abilities: []ability{},
		}
		if t := l.SelfTest; t != nil && c.caller.sees(t.Domain()) {
			v.SelfTest = &selfTest{At: utc(t.At), Account: t.Account, OK: t.OK, Held: t.Held, Findings: append([]string{}, t.Findings...)}
			if k := t.Kick; k != nil {
				v.SelfTest.Kick = &told{k.Outcome, orNull(k.Condition), orNull(k.Text), orNull(k.Lang), orNull(k.Ended)}
			}
		}
		for _, b := range l.Abilities {
			v.Abilities = append(v.Abilities, ability{b.Name, b.Can, orNull(b.Why)})
		}
		for _, d := range l.Domains {
			if c.caller.sees(d.Domain) {
				v.Domains = append(v.Domains, showDomain(d))
			}
		}
		if c.caller.domains == nil || len(v.Domains) > 0 {
			p.Items = append(p.Items, v)
		}
	}
	return c.respond(http.StatusOK, p)
}

func showDomain(d gate.DomainStatus) domainView {
	return domainView{
		Domain: d.Domain, Node: d.Node, Server: d.Server, ServerVersion: d.ServerVersion, Module: d.Module, Protocol: d.Protocol, Mode: d.Mode, OnFailure: d.OnFailure,
		Epoch: d.Epoch, Seq: d.Seq, Sessions: d.Sessions, Abilities: append([]string{}, d.Abilities...), Missing: append([]string{}, d.Missing...),
		LastHelloAt: d.LastHelloAt, LastSnapshotAt: d.LastSnapshotAt, Problem: orNull(d.Problem),
	}
}
