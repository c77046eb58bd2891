package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// domainScope reads the path's domain. One that the caller's token does not cover is not there.
func (a *api) domainScope(c *call) (store.RuleScope, error) {
	d, err := parseDomain("domain", c.pathParam("domain"))
	switch {
	case err != nil:
		return store.RuleScope{}, err
	case !c.caller.sees(d):
		return store.RuleScope{}, notFound()
	}
	return store.RuleScope{Level: rules.LevelDomain, Subject: d}, nil
}

// groupScope reads the path's group. A group goes across domains: for a token that is limited to some it is there if it has an account of them, and
// its rule can only be looked at.
func (a *api) groupScope(c *call) (store.RuleScope, error) {
	name, err := c.group()
	if err != nil {
		return store.RuleScope{}, err
	}
	if err := a.seesGroup(c, name, ""); err != nil {
		return store.RuleScope{}, err
	}
	if c.Request().Method != http.MethodGet {
		if err := c.allDomains("a group's rule holds"); err != nil {
			return store.RuleScope{}, err
		}
	}
	return store.RuleScope{Level: rules.LevelGroup, Subject: name}, nil
}

// seesGroup says of a group that the caller's token does not cover that it is not there. Nor can an account be put into it: what it then falls under would
// tell of the group. field is where the body names it; "": the path does.
func (a *api) seesGroup(c *call, name, field string) error {
	if c.caller.domains == nil {
		return nil
	}
	seen, err := a.store.HasMember(c.ctx, name, c.caller.domains)
	if err == nil && !seen {
		if field == "" {
			return notFound()
		}
		return notFound().at(field)
	}
	return err
}

// seesDomain says of a domain that it is not there if nothing on record is of it and no link serves it, or the caller's token does not cover it. field is where the
// body names it.
func (a *api) seesDomain(c *call, name, field string) error {
	missing := failField(codeNotFound, field, "There is no such domain: no account is of it, and no link serves it.")
	if !c.caller.sees(name) {
		return missing
	}
	known, err := a.store.KnowsDomain(c.ctx, name)
	if known || err != nil {
		return err
	}
	links, err := a.gate.Links(c.ctx)
	if err != nil {
		return err
	}
	for _, l := range links {
		if slices.ContainsFunc(l.Domains, func(d gate.DomainStatus) bool { return d.Domain == name }) {
			return nil
		}
	}
	return missing
}

func (c *call) group() (string, error) {
	name := c.pathParam("group")
	if !rules.GroupName(name) {
		return "", failField(codeInvalidField, "group", groupNames)
	}
	return name, nil
}

const groupNames = "A group's name must be 1 to 64 printable characters, without spaces at its ends."

func (a *api) getDomainRule(c *call) error    { return a.getLevelRule(c, a.domainScope) }
func (a *api) putDomainRule(c *call) error    { return a.putLevelRule(c, a.domainScope) }
func (a *api) deleteDomainRule(c *call) error { return a.deleteLevelRule(c, a.domainScope) }
func (a *api) getGroupRule(c *call) error     { return a.getLevelRule(c, a.groupScope) }
func (a *api) putGroupRule(c *call) error     { return a.putLevelRule(c, a.groupScope) }
func (a *api) deleteGroupRule(c *call) error  { return a.deleteLevelRule(c, a.groupScope) }

func (a *api) getLevelRule(c *call, of func(*call) (store.RuleScope, error)) error {
	scope, err := of(c)
	if err != nil {
		return err
	}
	kept, err := a.store.FindRule(c.ctx, scope)
	if err != nil {
		return err
	}
	c.setETag(kept.Version)
	return c.respond(http.StatusOK, kept.Rule)
}

func (a *api) putLevelRule(c *call, of func(*call) (store.RuleScope, error)) error {
	scope, err := of(c)
	if err != nil {
		return err
	}
	change, err := c.ruleChange(scope)
	if err != nil {
		return err
	}
	body, err := readBody(c.Request())
	if err != nil {
		return err
	}
	rule, err := rules.Parse(body)
	if err != nil {
		return err
	}
	warnings, err := a.warnings(c, rule)
	if err != nil {
		return err
	}
	kept, created, job, err := a.store.PutRule(c.ctx, change, rule, time.Time{})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	c.setETag(kept.Version)
	c.setJob(job)
	return c.respond(status, changedRule{kept.Rule, warnings})
}

func (a *api) deleteLevelRule(c *call, of func(*call) (store.RuleScope, error)) error {
	scope, err := of(c)
	if err != nil {
		return err
	}
	change, err := c.ruleChange(scope)
	if err != nil {
		return err
	}
	job, err := a.store.DeleteRule(c.ctx, change)
	if err != nil {
		return err
	}
	c.setJob(job)
	return c.NoContent(http.StatusNoContent)
}
