package dashboard

import (
	"net/http"
	"slices"

	"github.com/bindgate/bindgate/client"
)

const (
	decisionRows = 50 // of a page of the table
	maxLosers    = 60 // that are looked up for a page; those of the others are named by their ids
	losersAtOnce = 8  // look-ups
)

var (
	decisionOutcomes = []string{"allow", "deny"}
	decisionCodes    = []string{"ok", "takeover", "own_reconnect", "limit", "same_resource", "cooldown", "frozen", "grant_required", "condition", "blocked", "choose", "unavailable"}
)

type decisionsPage struct {
	page
	Domain, Platform     string
	Outcomes, Codes      []choice
	Platforms            []choice
	Domains              []string
	Filtered             bool
	Loops                int64 // that are open
	Rows                 []decisionRow
	First, Next          string
	Problem              *problem
	outcome, code, place string
}

// decisionRow is a decision with what it was about.
type decisionRow struct {
	client.Decision
	Losers []loser
}

// loser is a session that had to go for another.
type loser struct {
	ID      string
	Session *client.Session // nil: it is not known any more, or was not looked up
}

// decisions is the table of what was decided lately, of all accounts that the user may see.
func (d *Dashboard) decisions(v *visit) error {
	defer v.within(pageTimeout)()
	stats, err := v.api().GetStats(v.ctx)
	if err != nil {
		return err
	}
	p := &decisionsPage{
		page: v.page("decisions.title"), Domain: v.query.Get("domain"), Platform: v.query.Get("platform"), Loops: stats.OpenLoops,
		outcome: v.query.Get("outcome"), code: v.query.Get("code"), place: v.query.Get("cursor"),
	}
	p.Live = &liveOf{Types: []string{"takeover", "login", "session", "loop"}}
	if p.place != "" { // what is older does not change
		p.Live = nil
	}
	p.Filtered = p.Domain+p.Platform+p.outcome+p.code != ""
	for _, s := range stats.Domains {
		p.Domains = append(p.Domains, s.Domain)
	}
	slices.Sort(p.Domains)
	p.Platforms = platformChoices(stats, p.Platform)
	for _, o := range decisionOutcomes {
		p.Outcomes = append(p.Outcomes, choice{o, v.t("decisions.outcome." + o), o == p.outcome})
	}
	for _, c := range decisionCodes {
		p.Codes = append(p.Codes, choice{c, d.words.label(v.lang, "code", c), c == p.code})
	}
	if err := p.read(v); err != nil {
		if p.Problem = problemOf(err); p.Problem == nil {
			return err
		}
		return v.render(http.StatusUnprocessableEntity, "decisions", p)
	}
	return v.render(http.StatusOK, "decisions", p)
}

func (p *decisionsPage) read(v *visit) error {
	next := ""
	list, err := client.Collect(v.api().ListAllDecisions(v.ctx, client.DecisionFilter{
		Domain: p.Domain, Platform: p.Platform, Outcome: p.outcome, Code: p.code, ListOptions: client.ListOptions{PageSize: decisionRows, Cursor: p.place, Next: &next},
	}))
	if err != nil {
		return err
	}
	for _, one := range list {
		p.Rows = append(p.Rows, decisionRow{Decision: one})
	}
	if p.place != "" {
		p.First = p.at("")
	}
	if next != "" {
		p.Next = p.at(next)
	}
	return v.findLosers(p.Rows)
}

// at is the address of a page with the same filter.
func (p *decisionsPage) at(cursor string) string {
	return link("/decisions", "domain", p.Domain, "platform", p.Platform, "outcome", p.outcome, "code", p.code, "cursor", cursor)
}

// findLosers looks up the sessions that had to go.
func (v *visit) findLosers(rows []decisionRow) error {
	var ids []string
	for i := range rows {
		for _, id := range rows[i].Evicted {
			rows[i].Losers = append(rows[i].Losers, loser{ID: id})
			if len(ids) < maxLosers && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	found, err := v.sessionsByID(ids)
	if err != nil {
		return err
	}
	for i := range rows {
		for n := range rows[i].Losers {
			rows[i].Losers[n].Session = found[rows[i].Losers[n].ID]
		}
	}
	return nil
}
