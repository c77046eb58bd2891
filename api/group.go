package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// maxMembers bounds one change of a group's members.
const maxMembers = 500

// membership is an account's group on the wire.
type membership struct {
	Account string  `json:"account"`
	Group   *string `json:"group"`
}

// putAccountGroup puts an account into a group, or with null into none.
func (a *api) putAccountGroup(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "group")
	if err != nil {
		return err
	}
	raw, ok := o.fields["group"]
	var group string
	switch {
	case !ok:
		o.wrong("/group", "This is needed: the name of a group, or null for none.")
	case string(raw) == "null":
	default:
		if group = o.text("group", 64); o.problem == nil && !rules.GroupName(group) {
			o.wrong("/group", groupNames)
		}
	}
	if o.problem != nil {
		return o.problem
	}
	if group == "" {
		_, err = a.store.FindAccount(c.ctx, acc.key)
	} else {
		err = a.seesGroup(c, group, "/group")
	}
	if err != nil {
		return err
	}
	if _, err := a.store.SetGroups(c.ctx, []store.Membership{{JID: acc.jid, Group: group}}, c.actor()); err != nil {
		return err
	}
	return c.respond(http.StatusOK, membership{acc.jid, orNull(group)})
}

// member is an account of a group on the wire.
type member struct {
	Account string `json:"account"`
}

func (a *api) listMembers(c *call) error {
	group, err := c.group()
	if err != nil {
		return err
	}
	if err := a.seesGroup(c, group, ""); err != nil {
		return err
	}
	name := c.listName(c.Path(), group)
	limit, err := limitOf(c.query)
	if err != nil {
		return err
	}
	place, err := a.behind(c, name)
	if err != nil {
		return err
	}
	var after store.Key
	copy(after[:], place)
	read, err := a.store.ListMembers(c.ctx, group, c.caller.domains, after, limit)
	if err != nil {
		return err
	}
	p := list[member]{Items: make([]member, len(read.Accounts))}
	for i, jid := range read.Accounts {
		p.Items[i].Account = jid
	}
	if read.Next != nil {
		cursor := a.cursors.seal(name, read.Next[:])
		p.Next = &cursor
	}
	return c.respond(http.StatusOK, p)
}

// membersChanged says what a change of members came to; accounts that were as wanted before are not counted.
type membersChanged struct {
	Group   string `json:"group"`
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
}

func (a *api) changeMembers(c *call) error {
	group, err := c.group()
	if err != nil {
		return err
	}
	if err := a.seesGroup(c, group, ""); err != nil {
		return err
	}
	o, err := readObject(c.Request(), "add", "remove")
	if err != nil {
		return err
	}
	if !o.has("add") && !o.has("remove") {
		return failField(codeInvalidField, "", "This needs add or remove: lists of accounts.")
	}
	seen := map[string]string{}
	var changes []store.Membership
	for _, field := range []string{"add", "remove"} {
		accounts, err := c.members(o, field, seen)
		if err != nil {
			return err
		}
		for _, acc := range accounts {
			m := store.Membership{JID: acc, Group: group}
			if field == "remove" {
				m.Group, m.From = "", group
			}
			changes = append(changes, m)
		}
	}
	if len(changes) > maxMembers {
		return failField(codeInvalidField, "", fmt.Sprintf("At most %d accounts can be given at once; these are %d.", maxMembers, len(changes)))
	}
	n, err := a.store.SetGroups(c.ctx, changes, c.actor())
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, membersChanged{group, n.Added, n.Removed})
}

// members reads a list of accounts, none of which was seen before.
func (c *call) members(o *object, field string, seen map[string]string) ([]string, error) {
	raw, ok := o.fields[field]
	if !ok {
		return nil, nil
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, failField(codeInvalidField, "/"+field, "This must be an array of bare JIDs.")
	}
	if len(list) > maxMembers {
		return nil, failField(codeInvalidField, "/"+field, fmt.Sprintf("This must have at most %d elements; it has %d.", maxMembers, len(list)))
	}
	jids := make([]string, 0, len(list))
	for i, element := range list {
		at := fmt.Sprintf("/%s/%d", field, i)
		var text string
		if element[0] != '"' || json.Unmarshal(element, &text) != nil {
			return nil, failField(codeInvalidField, at, "This must be a string.")
		}
		acc, err := parseAccount(at, text)
		switch {
		case err != nil:
			return nil, err
		case !c.caller.sees(acc.domain):
			return nil, failField(codeNotFound, at, "The token does not cover the account's domain.")
		case seen[acc.jid] != "":
			return nil, failField(codeInvalidField, at, "This account is given already, at "+seen[acc.jid]+"; give it once.")
		}
		seen[acc.jid] = at
		jids = append(jids, acc.jid)
	}
	return jids, nil
}

// groupView is a group on the wire.
type groupView struct {
	Group   string `json:"group"`
	Members int64  `json:"members"`
	Rule    bool   `json:"rule"`
}

func (a *api) listGroups(c *call) error {
	limit, after, err := a.place(c)
	if err != nil {
		return err
	}
	read, err := a.store.ListGroups(c.ctx, c.caller.domains, after, limit+1)
	if err != nil {
		return err
	}
	show := func(g store.Group) groupView { return groupView{g.Name, g.Members, g.Rule} }
	return c.respond(http.StatusOK, page(read, limit, show, func(g store.Group) string { return a.cursors.seal(c.listName(c.Path()), []byte(g.Name)) }))
}

// domainSummary is a domain on the wire.
type domainSummary struct {
	Domain   string  `json:"domain"`
	Accounts int64   `json:"accounts"`
	Rule     bool    `json:"rule"`
	Lang     *string `json:"lang"`
}

func (a *api) listDomains(c *call) error {
	limit, after, err := a.place(c)
	if err != nil {
		return err
	}
	read, err := a.store.ListDomains(c.ctx, c.caller.domains, after, limit+1)
	if err != nil {
		return err
	}
	show := func(d store.Domain) domainSummary { return domainSummary{d.Name, d.Accounts, d.Rule, orNull(d.Lang)} }
	return c.respond(http.StatusOK, page(read, limit, show, func(d store.Domain) string { return a.cursors.seal(c.listName(c.Path()), []byte(d.Name)) }))
}

// listedRule is a rule in the list of all. Subject is the account, the group or the domain.
type listedRule struct {
	Level     rules.Level `json:"level"`
	Subject   *string     `json:"subject"`
	Rule      rules.Rule  `json:"rule"`
	ETag      string      `json:"etag"`
	ExpiresAt *time.Time  `json:"expires_at"`
	UpdatedAt *time.Time  `json:"updated_at"`
	UpdatedBy *string     `json:"updated_by"`
}

func (a *api) listRules(c *call) error {
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	f := store.RuleFilter{Domains: c.caller.domains, Level: rules.Level(q.Get("level")), Text: q.Get("q")}
	switch f.Level {
	case "", rules.LevelAccount, rules.LevelGroup, rules.LevelDomain, rules.LevelDefault:
	default:
		return failField(codeInvalidField, "level", "This must be account, group, domain or default.")
	}
	name := c.listName(c.Path(), string(f.Level), f.Text)
	place, err := a.behind(c, name)
	if err != nil {
		return err
	}
	level, subject, _ := strings.Cut(string(place), " ")
	read, err := a.store.ListRules(c.ctx, f, store.RuleScope{Level: rules.Level(level), Subject: subject}, limit+1)
	if err != nil {
		return err
	}
	show := func(r store.ListedRule) listedRule {
		return listedRule{r.Level, orNull(r.Subject), r.Rule, etag(r.Version), utc(r.ExpiresAt), utc(r.UpdatedAt), orNull(r.UpdatedBy)}
	}
	return c.respond(http.StatusOK, page(read, limit, show, func(r store.ListedRule) string {
		return a.cursors.seal(name, []byte(string(r.Level)+" "+r.Subject))
	}))
}
