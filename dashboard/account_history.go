package dashboard

import (
	"net/http"

	"github.com/bindgate/bindgate/client"
)

const (
	historyRows  = 25  // decisions of a page of the history
	historyAhead = 200 // ended sessions that are read at once, for who they were
)

// accountHistory is the part that tells an account's logins, the latest first: who came, who had to go for it, and what became of both.
type accountHistory struct {
	*accountFrame
	Rows        []historyRow
	First, Next string
	Ended       string // address of the table of its ended sessions
}

// historyRow is a login with all who took part in it.
type historyRow struct {
	client.Decision
	Winner *client.Session // who was let in; nil: nobody, or it is not kept any more
	Losers []historyLoser
}

type historyLoser struct {
	ID      string
	Session *client.Session // nil: it is not kept any more
}

// Tone is how a login stands out.
func (r historyRow) Tone() string {
	switch {
	case r.Outcome == "deny" && r.Code == "blocked", r.Outcome == "deny" && r.Code == "frozen":
		return "bad"
	case r.Outcome == "deny":
		return "warn"
	case len(r.Losers) > 0:
		return "note"
	}
	return "good"
}

func (v *visit) accountHistory(f *accountFrame) error {
	p := &accountHistory{accountFrame: f, Ended: link("/sessions", "q", f.JID+"/", "state", "ended")}
	if f.Account == nil {
		return v.render(http.StatusNotFound, "account_history", p)
	}
	cursor, next := v.query.Get("cursor"), ""
	decisions, err := client.Collect(v.api().ListDecisions(v.ctx, f.JID, client.ListOptions{PageSize: historyRows, Cursor: cursor, Next: &next}))
	if err != nil {
		return err
	}
	if cursor != "" {
		p.First = v.accountLink(f.JID, "history")
	}
	if next != "" {
		p.Next = link("/account", "jid", f.JID, "part", "history", "cursor", next)
	}
	who, err := v.takingPart(f.JID)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		row := historyRow{Decision: d}
		if d.SessionID != "" {
			if row.Winner, err = who.find(d.SessionID); err != nil {
				return err
			}
		}
		for _, id := range d.Evicted {
			s, err := who.find(id)
			if err != nil {
				return err
			}
			row.Losers = append(row.Losers, historyLoser{id, s})
		}
		p.Rows = append(p.Rows, row)
	}
	return v.render(http.StatusOK, "account_history", p)
}

// cast are the sessions that take part in an account's history.
type cast struct {
	v     *visit
	known map[string]*client.Session
}

// takingPart reads the live sessions and those that have ended last; others are read when they are met.
func (v *visit) takingPart(jid string) (*cast, error) {
	c := &cast{v, map[string]*client.Session{}}
	for _, state := range []client.SessionState{"", client.StateEnded} {
		next := ""
		list, err := client.Collect(v.api().ListAccountSessions(v.ctx, jid, client.SessionFilter{State: state, ListOptions: client.ListOptions{PageSize: historyAhead, Next: &next}}))
		if err != nil && !isMissing(err) {
			return nil, err
		}
		for _, s := range list {
			c.known[s.ID] = &s
		}
	}
	return c, nil
}

// find returns a session; nil: it is not kept any more.
func (c *cast) find(id string) (*client.Session, error) {
	if s, ok := c.known[id]; ok {
		return s, nil
	}
	s, err := c.v.api().GetSession(c.v.ctx, id)
	if isMissing(err) {
		s, err = nil, nil
	}
	if err == nil {
		c.known[id] = s
	}
	return s, err
}
