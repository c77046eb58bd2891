package api

import (
	"net/http"

	"github.com/bindgate/bindgate/rules"
)

// platformWarnings says that a platform is one that no matcher gives, and no group: most likely a slip. "" is none.
func (a *api) platformWarnings(c *call, at, platform string) ([]string, error) {
	if platform == "" {
		return nil, nil
	}
	p, err := a.store.FindPlatforms(c.ctx)
	if err != nil {
		return nil, err
	}
	return p.NameWarnings(at, platform), nil
}

// platformsView is how platforms are told, on the wire. Warnings are of a change only.
type platformsView struct {
	rules.Platforms
	Warnings []string `json:"warnings,omitempty"`
}

func (a *api) getPlatforms(c *call) error {
	if err := c.allDomains("the platforms are"); err != nil {
		return err
	}
	kept, err := a.store.FindPlatforms(c.ctx)
	if err != nil {
		return err
	}
	c.setETag(kept.Version)
	return c.respond(http.StatusOK, platformsView{Platforms: kept.Platforms})
}

func (a *api) putPlatforms(c *call) error {
	if err := c.allDomains("the platforms are"); err != nil {
		return err
	}
	body, err := readBody(c.Request())
	if err != nil {
		return err
	}
	p, err := rules.ParsePlatforms(body)
	if err != nil {
		return err
	}
	kept, err := a.store.PutPlatforms(c.ctx, p, c.actor(), c.precondition())
	if err != nil {
		return err
	}
	c.setETag(kept.Version)
	return c.respond(http.StatusOK, platformsView{kept.Platforms, kept.Warnings()})
}

// warnings says of a rule that is right what is probably not meant.
func (a *api) warnings(c *call, rule rules.Rule) ([]string, error) {
	p, err := a.store.FindPlatforms(c.ctx)
	if err != nil {
		return nil, err
	}
	return p.RuleWarnings(rule), nil
}

// someDomain refuses a token that is limited to no domain at all what would be about none, and everybody's to see.
func (c *call) someDomain() error {
	if c.caller.domains != nil && len(c.caller.domains) == 0 {
		return fail(codeInsufficientScope, "The token covers no domain: its claim domains is an empty list.")
	}
	return nil
}

// allDomains refuses a token that is limited to some domains what concerns all of them.
func (c *call) allDomains(what string) error {
	if c.caller.domains != nil {
		return fail(codeInsufficientScope, "The token is limited to some domains; "+what+" for all of them.")
	}
	return nil
}
