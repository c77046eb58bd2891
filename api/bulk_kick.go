package api

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// kickFilter says on the wire which sessions a kick of many accounts is for.
type kickFilter struct {
	All       bool   `json:"all,omitzero"`
	Domain    string `json:"domain,omitzero"`
	Group     string `json:"group,omitzero"`
	Platform  string `json:"platform,omitzero"`
	State     string `json:"state,omitzero"`
	Resource  string `json:"resource,omitzero"`
	OlderThan int64  `json:"older_than_seconds,omitzero"`
}

var (
	kickFilterFields = []string{"all", "domain", "group", "platform", "state", "resource", "older_than_seconds"}
	kickableStates   = []string{string(rules.Binding), string(rules.Active), string(rules.Hibernating)}
)

// maxOlderThan is ten years of seconds.
const maxOlderThan = 10 * 366 * 86_400

func showKickFilter(f store.KickFilter) *kickFilter {
	return &kickFilter{
		All: f == (store.KickFilter{}), Domain: f.Domain, Group: f.Group, Platform: f.Platform, State: f.State, Resource: f.Resource, OlderThan: f.OlderThan,
	}
}

// kickMany accepts a kick by filter. A token that is limited to domains kicks in them alone.
func (a *api) kickMany(c *call) error {
	o, err := readObject(c.Request(), "filter", "reason", "text", "cooldown_seconds", "block_devices", "revoke_credentials", "at_most")
	if err != nil {
		return err
	}
	if err := c.someDomain(); err != nil {
		return err
	}
	k, domains := store.BulkKick{}, []string(nil)
	if k.Filter, domains, err = a.kickFilter(c, o); err != nil {
		return err
	}
	k.Reason, k.Text = o.words("reason", maxReason), o.languages("text")
	if n := o.within("cooldown_seconds", 0, maxKickCooldown); n != nil {
		k.Cooldown = *n
	}
	block, revoke := o.boolean("block_devices"), o.boolean("revoke_credentials")
	k.Block, k.Revoke = block != nil && *block, revoke != nil && *revoke
	most := o.within("at_most", 1, math.MaxInt32)
	if o.problem != nil {
		return o.problem
	}
	if most != nil {
		if err := a.atMost(c, k, domains, *most); err != nil {
			return err
		}
	}
	id, err := a.gate.KickMany(c.ctx, k, domains, c.actor())
	if err != nil {
		return err
	}
	j, err := a.store.FindJob(c.ctx, id, nil)
	if err != nil {
		return err
	}
	c.setJob(id)
	v := showJob(j)
	if v.Warnings, err = a.platformWarnings(c, "/filter/platform", k.Filter.Platform); err != nil {
		a.log.WarnContext(c.ctx, "a kick is accepted; whether its platform is known could not be told", "error", err)
	}
	return c.respond(http.StatusAccepted, v)
}

// atMost refuses a kick of more sessions than its caller has agreed to. An attempt that goes on from an earlier one, which has put the kick on record, is not
// asked again: some of its sessions are gone by now.
func (a *api) atMost(c *call, k store.BulkKick, domains []string, most int64) error {
	if _, made, err := store.Made[int64](c.actor()); made || err != nil {
		return err
	}
	_, n, err := a.gate.CountKick(c.ctx, k, domains)
	if err == nil && n > most {
		return failField(codeTooManySessions, "/at_most", fmt.Sprintf("The filter finds %d sessions now, which is more. Nothing was done.", n))
	}
	return err
}

// kickCount is what a kick by filter would end, on the wire.
type kickCount struct {
	Accounts int64    `json:"accounts"`
	Sessions int64    `json:"sessions"`
	Warnings []string `json:"warnings,omitempty"`
}

// countKick says how many sessions a kick by filter would be for.
func (a *api) countKick(c *call) error {
	o, err := readObject(c.Request(), "filter")
	if err != nil {
		return err
	}
	if err := c.someDomain(); err != nil {
		return err
	}
	filter, domains, err := a.kickFilter(c, o)
	if err != nil {
		return err
	}
	var v kickCount
	if v.Accounts, v.Sessions, err = a.gate.CountKick(c.ctx, store.BulkKick{Filter: filter}, domains); err != nil {
		return err
	}
	if v.Warnings, err = a.platformWarnings(c, "/filter/platform", filter.Platform); err != nil {
		return err
	}
	return c.respond(http.StatusOK, v)
}

// kickFilter reads the filter, and says of which domains the accounts are that it is for; nil: of all. Whoever wants everybody to go has to say so. A domain or
// a group that is not there is an error: it is most likely misspelled, and whoever meant it would think that nobody was logged in.
func (a *api) kickFilter(c *call, o *object) (f store.KickFilter, domains []string, err error) {
	in := o.object("filter", kickFilterFields)
	if in == nil {
		o.wrong("/filter", `This is needed: which sessions, such as {"platform": "web"}, or {"all": true}.`)
		return f, nil, o.problem
	}
	if len(in.fields) == 0 {
		in.wrong("", `An empty filter would find every session. If that is meant, send {"all": true}.`)
	}
	if all, ok := in.fields["all"]; ok {
		switch {
		case string(all) != "true":
			in.wrong("/all", "This must be true; leave it out to select sessions in another way.")
		case len(in.fields) > 1:
			in.wrong("/all", "With this there can be no other field: all sessions are meant.")
		}
	}
	if in.has("domain") {
		domain, err := parseDomain("/filter/domain", in.text("domain", jid.MaxPart))
		switch {
		case in.problem != nil:
		case err != nil:
			return f, nil, err
		default:
			if err := a.seesDomain(c, domain, "/filter/domain"); err != nil {
				return f, nil, err
			}
		}
		f.Domain = domain
	}
	if f.Group = in.text("group", 64); in.has("group") && !rules.GroupName(f.Group) {
		in.wrong("/group", groupNames)
	} else if in.problem == nil && f.Group != "" {
		known, err := a.store.KnowsGroup(c.ctx, f.Group, c.caller.domains)
		if err != nil {
			return f, nil, err
		}
		if !known {
			return f, nil, failField(codeNotFound, "/filter/group", "There is no such group.")
		}
	}
	f.Platform = in.text("platform", maxPlatform)
	if f.State = in.text("state", 16); f.State != "" && !slices.Contains(kickableStates, f.State) {
		in.wrong("/state", fmt.Sprintf("This must be one of %s.", strings.Join(kickableStates, ", ")))
	}
	f.Resource = in.text("resource", jid.MaxPart)
	if n := in.within("older_than_seconds", 1, maxOlderThan); n != nil {
		f.OlderThan = *n
	}
	o.adopt(in)
	if domains = c.caller.domains; f.Domain != "" {
		domains = []string{f.Domain}
	}
	return f, domains, o.problem
}
