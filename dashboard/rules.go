package dashboard

import (
	"html/template"
	"net/http"
	"time"

	"github.com/bindgate/bindgate/client"
)

// ruleRows are those of a page of each table of rules.
const ruleRows = 25

// levelRow is a domain, a group or an account with its rule in words.
type levelRow struct {
	ruleScope
	Count     int64           // accounts of a domain, members of a group
	Lang      string          // of a domain's texts; "": none
	Set       bool            // it has a rule
	Words     []template.HTML // of the fields that it sets
	ExpiresAt time.Time
	UpdatedAt time.Time
	UpdatedBy string
}

type rulesPage struct {
	page
	Q                         string
	Default                   levelRow
	Then                      []template.HTML // what the default comes to
	Domains, Groups, Accounts levelTable
	Found                     levelTable // with a Q: of all levels
	Changes                   map[string]bool
}

// levelTable is a page of a table of rules.
type levelTable struct {
	Rows        []levelRow
	First, Next string // addresses
}

// teller tells rules in the visitor's language.
func (v *visit) teller() teller { return teller{v.d.words, v.lang} }

// rules shows the rules of all levels at a glance, or those whose subject has a text.
func (d *Dashboard) rules(v *visit) error {
	defer v.within(pageTimeout)()
	p := &rulesPage{page: v.page("rules.title"), Q: v.query.Get("q"), Changes: v.changes()}
	p.Live = &liveOf{Types: []string{"rule"}}
	if p.Q != "" {
		if err := v.ruleTable(&p.Found, client.RuleFilter{Search: p.Q}, "cursor"); err != nil {
			return err
		}
		return v.render(http.StatusOK, "rules", p)
	}
	stored, err := v.storedRule(defaultScope)
	if err != nil {
		return err
	}
	t := v.teller()
	p.Default = levelRow{ruleScope: defaultScope, Set: true, Words: t.ruleWords(stored.Rule)}
	e, err := mergeRules(levelRule{client.LevelDefault, stored.Rule})
	if err != nil {
		return err
	}
	p.Then = t.consequence(e.Rule)
	if err := v.domainTable(&p.Domains); err != nil {
		return err
	}
	if err := v.groupTable(&p.Groups); err != nil {
		return err
	}
	if err := v.ruleTable(&p.Accounts, client.RuleFilter{Level: client.LevelAccount}, "accounts"); err != nil {
		return err
	}
	return v.render(http.StatusOK, "rules", p)
}

// changes says which levels' rules the user may change.
func (v *visit) changes() map[string]bool {
	m := map[string]bool{}
	for _, level := range []client.Level{client.LevelDefault, client.LevelDomain, client.LevelGroup, client.LevelAccount} {
		m[string(level)] = v.mayChange(level)
	}
	return m
}

// paged are the options of a table whose cursor is a query parameter.
func (v *visit) paged(cursor string, next *string) client.ListOptions {
	return client.ListOptions{PageSize: ruleRows, Cursor: v.query.Get(cursor), Next: next}
}

// turn sets a table's addresses of pages; the other tables of the page stay where they are.
func (v *visit) turn(t *levelTable, cursor, next string) {
	at := func(value string) string {
		q := v.r.URL.Query()
		q.Del(cursor)
		if value != "" {
			q.Set(cursor, value)
		}
		u := *v.r.URL
		u.RawQuery = q.Encode()
		return u.RequestURI() + "#" + cursor
	}
	if v.query.Get(cursor) != "" {
		t.First = at("")
	}
	if next != "" {
		t.Next = at(next)
	}
}

// ruleTable lists rules as they are stored.
func (v *visit) ruleTable(t *levelTable, f client.RuleFilter, cursor string) error {
	next := ""
	f.ListOptions = v.paged(cursor, &next)
	list, err := client.Collect(v.api().ListRules(v.ctx, f))
	if err != nil {
		return err
	}
	tell := v.teller()
	for _, r := range list {
		t.Rows = append(t.Rows, levelRow{
			ruleScope: ruleScope{r.Level, r.Subject}, Set: true, Words: tell.ruleWords(r.Rule), ExpiresAt: r.ExpiresAt, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy,
		})
	}
	v.turn(t, cursor, next)
	return nil
}

func (v *visit) domainTable(t *levelTable) error {
	next := ""
	list, err := client.Collect(v.api().ListDomains(v.ctx, v.paged("domains", &next)))
	if err != nil {
		return err
	}
	for _, d := range list {
		t.Rows = append(t.Rows, levelRow{ruleScope: ruleScope{client.LevelDomain, d.Name}, Count: d.Accounts, Lang: d.Lang, Set: d.Rule})
	}
	v.turn(t, "domains", next)
	return v.tellRows(t.Rows)
}

func (v *visit) groupTable(t *levelTable) error {
	next := ""
	list, err := client.Collect(v.api().ListGroups(v.ctx, v.paged("groups", &next)))
	if err != nil {
		return err
	}
	for _, g := range list {
		t.Rows = append(t.Rows, levelRow{ruleScope: ruleScope{client.LevelGroup, g.Name}, Count: g.Members, Set: g.Rule})
	}
	v.turn(t, "groups", next)
	return v.tellRows(t.Rows)
}

// tellRows puts the rules of rows that have one into words.
func (v *visit) tellRows(rows []levelRow) error {
	for i := range rows {
		if !rows[i].Set {
			continue
		}
		r, err := v.storedRule(rows[i].ruleScope)
		if err != nil {
			return err
		}
		rows[i].Words = v.teller().ruleWords(r.Rule)
	}
	return nil
}
