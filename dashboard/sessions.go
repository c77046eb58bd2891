package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
)

const (
	sessionRows  = 50 // of a page of the table
	emptyPages   = 5  // that are skipped to find one with something in it: a page may be empty and not the last
	columnCookie = "bindgate_columns"
)

// columns of the table of sessions, in their order. The account is always there.
var columns = []string{"resource", "device", "platform", "state", "ip", "tls", "client", "since", "seen", "generation", "link"}

// usualColumns are shown to who has not chosen.
var usualColumns = []string{"resource", "platform", "state", "ip", "tls", "client", "since", "seen"}

var sessionStates = []string{"active", "hibernating", "binding", "evicting", "ended"}

type sessionsPage struct {
	page
	Q, Domain, Platform, State string
	Filtered                   bool
	Domains                    []string
	Platforms, States          []choice
	Columns                    []choice
	Show                       map[string]bool // by column
	Ended                      bool            // the table is of the history
	Rows                       []client.Session
	Total                      int64 // of live sessions
	CountedAt                  time.Time
	First, Next                string
	Problem                    *problem
}

// sessions is the table of all sessions that the user may see.
func (d *Dashboard) sessions(v *visit) error {
	defer v.within(pageTimeout)()
	stats, err := v.api().GetStats(v.ctx)
	if err != nil {
		return err
	}
	p := &sessionsPage{
		page: v.page("sessions.title"), Q: v.query.Get("q"), Domain: v.query.Get("domain"), Platform: v.query.Get("platform"), State: v.query.Get("state"),
		Total: stats.Sessions.Total, CountedAt: stats.CountedAt, Show: map[string]bool{},
	}
	p.Filtered, p.Ended = p.Q+p.Domain+p.Platform+p.State != "", p.State == string(client.StateEnded)
	p.Live = &liveOf{Types: []string{"session", "takeover", "kick"}}
	for _, s := range stats.Domains {
		p.Domains = append(p.Domains, s.Domain)
	}
	slices.Sort(p.Domains)
	p.Platforms = platformChoices(stats, p.Platform)
	for _, s := range sessionStates {
		p.States = append(p.States, choice{s, d.words.label(v.lang, "state", s), s == p.State})
	}
	shown := v.columns()
	for _, c := range columns {
		p.Show[c] = slices.Contains(shown, c)
		p.Columns = append(p.Columns, choice{c, v.t("sessions.column." + c), p.Show[c]})
	}
	f := client.SessionFilter{Domain: p.Domain, Platform: p.Platform, State: client.SessionState(p.State), Search: p.Q}
	cursor, next := v.query.Get("cursor"), ""
	for range emptyPages {
		f.ListOptions = client.ListOptions{PageSize: sessionRows, Cursor: cmpCursor(next, cursor), Next: &next}
		p.Rows, err = client.Collect(v.api().ListSessions(v.ctx, f))
		if len(p.Rows) > 0 || next == "" || err != nil {
			break
		}
	}
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "sessions", p)
	} else if err != nil {
		return err
	}
	if cursor != "" {
		p.First = p.at("")
	}
	if next != "" {
		p.Next = p.at(next)
	}
	return v.render(http.StatusOK, "sessions", p)
}

// cmpCursor is the first that is not empty.
func cmpCursor(next, start string) string {
	if next != "" {
		return next
	}
	return start
}

// at is the address of a page with the same filter.
func (p *sessionsPage) at(cursor string) string {
	return link("/sessions", "q", p.Q, "domain", p.Domain, "platform", p.Platform, "state", p.State, "cursor", cursor)
}

// platformChoices are the platforms that there are sessions on, and the one that is asked for.
func platformChoices(stats *client.Stats, chosen string) []choice {
	names := []string{}
	for name := range stats.Sessions.ByPlatform {
		names = append(names, name)
	}
	if chosen != "" && !slices.Contains(names, chosen) {
		names = append(names, chosen)
	}
	slices.Sort(names)
	list := make([]choice, len(names))
	for i, name := range names {
		list[i] = choice{name, visible(name), name == chosen}
	}
	return list
}

// columns are those that the visitor has chosen.
func (v *visit) columns() []string {
	c, err := v.r.Cookie(columnCookie)
	if err != nil {
		return usualColumns
	}
	return strings.Split(c.Value, ".")
}

func (d *Dashboard) chooseColumns(v *visit) error {
	chosen := []string{}
	for _, c := range columns {
		if slices.Contains(v.r.PostForm["column"], c) {
			chosen = append(chosen, c)
		}
	}
	http.SetCookie(v.w, v.cookie(columnCookie, strings.Join(chosen, "."), year))
	return v.redirect(localPath(v.form("to"), Root+"/sessions"))
}

// find leads from the search field to an account's page, or to the sessions that have the text in their JID.
func (d *Dashboard) find(v *visit) error {
	defer v.within(pageTimeout)()
	q := strings.TrimSpace(v.query.Get("q"))
	bare, _, _ := strings.Cut(q, "/")
	if local, domain, ok := strings.Cut(bare, "@"); ok && local != "" && domain != "" {
		if account, err := v.api().GetAccount(v.ctx, bare); err == nil {
			return v.redirect(link("/account", "jid", account.JID))
		}
	}
	return v.redirect(link("/sessions", "q", q))
}

// home is the first page of the navigation that there is.
func (d *Dashboard) home(v *visit) error {
	for _, s := range sections {
		if least, ok := d.least[s.path]; ok && v.may(least) {
			return v.redirect(Root + s.path)
		}
	}
	return refuse(http.StatusNotFound)
}

// sessionsNamed reads the sessions of a question or of its outcome; what is not there, or not the user's business, is left out.
func (v *visit) sessionsNamed(ids []string) ([]client.Session, error) {
	var list []client.Session
	for _, id := range ids {
		s, err := v.api().GetSession(v.ctx, id)
		switch {
		case err == nil:
			list = append(list, *s)
		case problemOf(err) != nil, isMissing(err):
		default:
			return nil, err
		}
	}
	return list, nil
}

// named are the ids that a request names, each once and no more than a page has rows.
func named(q url.Values) []string {
	var ids []string
	for _, id := range q["id"] {
		if id != "" && !slices.Contains(ids, id) && len(ids) < 2*sessionRows {
			ids = append(ids, id)
		}
	}
	return ids
}
