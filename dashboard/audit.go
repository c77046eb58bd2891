package dashboard

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/store"
)

const auditRows = 50 // of a page of the table

// clockLayout is how a browser sends a date with a time of day (HTML, "local date and time"); seconds may be left out.
const clockLayout = "2006-01-02T15:04"

type auditPage struct {
	page
	Actor, Action, Account, Domain, Since, Until string
	Zone                                         string // in which Since and Until are
	Filtered                                     bool
	Actions                                      []choice
	Rows                                         []auditRow
	First, Next                                  string
	Problem                                      *problem
}

type auditRow struct {
	client.AuditEntry
	What    string // in words
	Page    string // of the target; "": it has none
	Changes []change
	Came    []change // to what it came; Old is empty
	word    func(field string) string
}

// audit shows who did what to what.
func (d *Dashboard) audit(v *visit) error {
	defer v.within(pageTimeout)()
	q := v.query
	p := &auditPage{
		page: v.page("audit.title"), Actor: q.Get("actor"), Action: q.Get("action"), Account: q.Get("account"), Domain: q.Get("domain"), Since: q.Get("since"), Until: q.Get("until"), Zone: q.Get("zone"),
	}
	p.Filtered = p.Actor+p.Action+p.Account+p.Domain+p.Since+p.Until != ""
	for _, a := range store.Actions() {
		p.Actions = append(p.Actions, choice{string(a), v.action(string(a)), string(a) == p.Action})
	}
	f := client.AuditFilter{Actor: p.Actor, Action: p.Action, Account: p.Account, Domain: p.Domain}
	zone := zoneOf(p.Zone)
	p.Zone = zone.String()
	var err error
	if f.Since, err = clockTime(p.Since, zone); err == nil {
		f.Until, err = clockTime(p.Until, zone)
	}
	if err != nil {
		p.Problem = &problem{What: "input"}
		return v.render(http.StatusUnprocessableEntity, "audit", p)
	}
	next := ""
	f.ListOptions = client.ListOptions{PageSize: auditRows, Cursor: q.Get("cursor"), Next: &next}
	list, err := client.Collect(v.api().ListAudit(v.ctx, f))
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "audit", p)
	} else if err != nil {
		return err
	}
	for _, e := range list {
		p.Rows = append(p.Rows, auditRow{AuditEntry: e, What: v.action(e.Action), Page: targetPage(e), Changes: changes(e.Old, e.New, v.word), Came: changes(nil, e.Outcome, v.word), word: v.word})
	}
	if f.Cursor != "" {
		p.First = p.at("")
	} else {
		p.Live = &liveOf{Every: 15} // what is on the other pages does not change
	}
	if next != "" {
		p.Next = p.at(next)
	}
	return v.render(http.StatusOK, "audit", p)
}

// at is the address of a page with the same filter.
func (p *auditPage) at(cursor string) string {
	return link("/audit", "actor", p.Actor, "action", p.Action, "account", p.Account, "domain", p.Domain, "since", p.Since, "until", p.Until, "zone", p.Zone, "cursor", cursor)
}

// targetPage is the address of the page about what something was done to, if that is not the account.
func targetPage(e client.AuditEntry) string {
	switch {
	case strings.HasPrefix(e.Target, "kick_") && e.Account == "": // a kick of one account has no page
		return link("/kicks/job", "id", e.Target)
	case strings.HasPrefix(e.Target, "whk_"):
		return link("/webhooks/hook", "id", e.Target)
	}
	return ""
}

// action is an action in words.
func (v *visit) action(name string) string {
	if key := "audit.action." + name; v.d.words.has(key) {
		return v.t(key)
	}
	return visible(name)
}

// word is what a field of an entry is called: of a rule as in its form. A name that is somebody's own, such as a platform's, stands for itself.
func (v *visit) word(field string) string {
	if key := "audit.word." + field; v.d.words.has(key) {
		return v.t(key)
	}
	if key := "rules.field." + field; v.d.words.has(key) {
		label := v.t(key) // not at the beginning of a line here
		first, size := utf8.DecodeRuneInString(label)
		return string(unicode.ToLower(first)) + label[size:]
	}
	return visible(field)
}

// Name is the field with all that it is within.
func (r auditRow) Name(c change) string {
	parts := strings.Split(c.Field, ".")
	for i, p := range parts {
		parts[i] = r.word(p)
	}
	return strings.Join(parts, " · ")
}

// zoneOf is a time zone by its name; UTC if it is not known.
func zoneOf(name string) *time.Location {
	if name == "" || strings.EqualFold(name, "local") {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// clockTime reads what a browser sends of a field for date and time; zero: it is empty.
func clockTime(text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if len(text) > len(clockLayout) {
		return time.ParseInLocation("2006-01-02T15:04:05", text, zone)
	}
	return time.ParseInLocation(clockLayout, text, zone)
}
