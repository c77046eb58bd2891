package dashboard

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// membersRows are those of a page of a group's members.
const membersRows = 50

type groupPage struct {
	page
	Name        string
	Set         bool            // it has a rule
	Words       []template.HTML // of it
	Members     []string
	First, Next string
	RuleChanges bool // the user may change the rule
	Typed       string
	Wrong       *formProblem
}

// group shows a group of accounts: its rule and its members.
func (d *Dashboard) group(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.groupPage(strings.TrimSpace(v.query.Get("name")))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "rules_group", p)
}

func (v *visit) groupPage(name string) (*groupPage, error) {
	if name == "" {
		return nil, refuse(http.StatusNotFound)
	}
	p := &groupPage{page: v.page("rules.group.title"), Name: name, RuleChanges: v.mayChange(client.LevelGroup)}
	p.Live = &liveOf{Types: []string{"rule"}}
	cursor, next := v.query.Get("cursor"), ""
	from := cursor
	for range emptyPages {
		list, err := client.Collect(v.api().ListMembers(v.ctx, name, client.ListOptions{PageSize: membersRows, Cursor: from, Next: &next}))
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			p.Members = append(p.Members, m.Account)
		}
		if from = next; len(list) > 0 || next == "" {
			break
		}
	}
	if cursor != "" {
		p.First = link("/rules/group", "name", name)
	}
	if next != "" {
		p.Next = link("/rules/group", "name", name, "cursor", next)
	}
	stored, err := v.storedRule(ruleScope{client.LevelGroup, name})
	if err != nil {
		return nil, err
	}
	p.Set, p.Words = stored.ETag != "", v.teller().ruleWords(stored.Rule)
	return p, nil
}

// maxMembers is how many accounts can be given at once, as the API has it.
const maxMembers = 500

// changeGroup puts accounts into a group, or takes the ticked ones out of it.
func (d *Dashboard) changeGroup(v *visit) error {
	defer v.within(pageTimeout)()
	name := v.form("name")
	if name == "" {
		return refuse(http.StatusNotFound)
	}
	change := client.MemberChange{Remove: v.r.PostForm["jid"]}
	if v.form("do") == "add" {
		change = client.MemberChange{Add: accountsIn(v.form("accounts"))}
	}
	wrong := func(p formProblem) error {
		page, err := v.groupPage(name)
		if err != nil {
			return err
		}
		page.Typed, page.Wrong = v.form("accounts"), &p
		return v.render(http.StatusUnprocessableEntity, "rules_group", page)
	}
	if len(change.Add)+len(change.Remove) == 0 {
		return wrong(formProblem{Key: "rules.group.none"})
	}
	changed, err := v.api().ChangeMembers(v.once(), name, change)
	switch e := said(err); {
	case e != nil && strings.HasPrefix(e.Field, "/add/"):
		return wrong(formProblem{Detail: accountAt(change.Add, e.Field) + e.Detail})
	case problemOf(err) != nil:
		return wrong(formProblem{Detail: e.Detail})
	case err != nil:
		return err
	}
	if changed.Added > 0 || len(change.Add) > 0 {
		v.done("rules.group.added", number(changed.Added), name)
	} else {
		v.done("rules.group.removed", number(changed.Removed), name)
	}
	return v.redirect(link("/rules/group", "name", name))
}

// accountsIn are the accounts of a list that was typed: one a line, or with commas, each taken once.
func accountsIn(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, jid := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\r\n\t ,;", r) }) {
		if !seen[jid] {
			seen[jid] = true
			out = append(out, jid)
		}
	}
	return out
}

// accountAt names the account that a pointer such as /add/3 is about, in front of what is wrong with it.
func accountAt(list []string, pointer string) string {
	i, ok := index(strings.TrimPrefix(pointer, "/add/"), len(list))
	if !ok {
		return ""
	}
	return list[i] + ": "
}
