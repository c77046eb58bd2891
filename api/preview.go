package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// preview is what a rule would come to on the wire.
type preview struct {
	Accounts   int             `json:"accounts"`
	Sessions   int             `json:"sessions"`
	Considered int             `json:"considered"`
	Complete   bool            `json:"complete"`
	Example    *previewExample `json:"example"`
}

type previewExample struct {
	Account     string    `json:"account"`
	Sessions    []session `json:"sessions"`
	Explanation []string  `json:"explanation"`
}

func (a *api) previewRule(c *call) error {
	o, err := readObject(c.Request(), "level", "subject", "rule")
	if err != nil {
		return err
	}
	req := gate.PreviewRequest{Domains: c.caller.domains}
	if req.Scope, err = a.previewScope(c, o); err != nil {
		return err
	}
	raw, ok := o.fields["rule"]
	switch {
	case !ok:
		return failField(codeInvalidField, "/rule", "This is needed: a rule, or null for none.")
	case string(raw) != "null":
		rule, err := rules.Parse(raw)
		if err != nil {
			return within("/rule", err)
		}
		req.Rule = &rule
	}
	p, err := a.gate.Preview(c.ctx, req)
	if err != nil {
		return err
	}
	v := preview{Accounts: p.Accounts, Sessions: p.Sessions, Considered: p.Considered, Complete: p.Complete}
	if e := p.Example; e != nil {
		_, domain, _ := strings.Cut(e.Account, "@")
		v.Example = &previewExample{Account: e.Account, Explanation: e.Explanation, Sessions: make([]session, len(e.Sessions))}
		for i, s := range e.Sessions {
			v.Example.Sessions[i] = showSession(store.ListedSession{
				Key: e.Key, JID: e.Account, Domain: domain, SID: s.SID, Generation: s.Generation, Link: s.Link, Resource: s.Resource, State: string(s.State), Device: s.Device,
				Identity: string(s.Identity), Platform: s.Platform, IP: s.IP, Secure: s.Secure, Client: s.Client, DecidedAt: s.DecidedAt, StartedAt: s.StartedAt, LastSeenAt: s.LastSeenAt,
			})
		}
	}
	return c.respond(http.StatusOK, v)
}

// previewScope reads whose rule it is. What the caller's token does not cover is not there.
func (a *api) previewScope(c *call, o *object) (store.RuleScope, error) {
	scope := store.RuleScope{Level: rules.Level(o.text("level", 16))}
	subject := o.text("subject", 3072)
	switch scope.Level {
	case rules.LevelDefault, rules.LevelDomain, rules.LevelGroup, rules.LevelAccount:
	default:
		o.wrong("/level", "This must be default, domain, group or account.")
	}
	switch {
	case scope.Level == rules.LevelDefault && o.has("subject"):
		o.wrong("/subject", "The default rule has no subject; leave it out.")
	case scope.Level != rules.LevelDefault && !o.has("subject"):
		o.wrong("/subject", fmt.Sprintf("This is needed: which %s.", scope.Level))
	}
	if o.problem != nil {
		return scope, o.problem
	}
	switch scope.Level {
	case rules.LevelDomain:
		d, err := parseDomain("/subject", subject)
		switch {
		case err != nil:
			return scope, err
		case !c.caller.sees(d):
			return scope, notFound().at("/subject")
		}
		scope.Subject = d
	case rules.LevelAccount:
		acc, err := parseAccount("/subject", subject)
		switch {
		case err != nil:
			return scope, err
		case !c.caller.sees(acc.domain):
			return scope, notFound().at("/subject")
		}
		scope.Subject = acc.jid
	case rules.LevelGroup:
		if !rules.GroupName(subject) {
			return scope, failField(codeInvalidField, "/subject", groupNames)
		}
		if err := a.seesGroup(c, subject, "/subject"); err != nil {
			return scope, err
		}
		scope.Subject = subject
	case rules.LevelDefault:
	}
	return scope, nil
}

// within puts the place of what is wrong in a rule behind that of the rule.
func within(at string, err error) error {
	var field *rules.FieldError
	if errors.As(err, &field) {
		moved := *field
		moved.Field = at + field.Field
		return &moved
	}
	return err
}
