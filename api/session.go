package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// session is a session on the wire.
type session struct {
	ID         string     `json:"id"`
	Account    string     `json:"account"`
	Domain     string     `json:"domain"`
	Resource   string     `json:"resource"`
	DeviceID   *string    `json:"device_id"`
	Platform   string     `json:"platform"`
	State      string     `json:"state"`
	Generation int64      `json:"generation"`
	IP         string     `json:"ip"`
	Secure     bool       `json:"secure"`
	Client     string     `json:"client"`
	StartedAt  *time.Time `json:"started_at"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	EndedAt    *time.Time `json:"ended_at"`
	EndReason  *string    `json:"end_reason"`
	Link       string     `json:"link"`
	DecisionID *string    `json:"decision_id"`
	Identity   string     `json:"identity"`

	StillPresent bool `json:"still_present,omitempty"`
}

func showSession(s store.ListedSession) session {
	v := session{
		ID: s.ID(), Account: s.JID, Domain: s.Domain, Resource: s.Resource, Platform: s.Platform, State: s.State, Generation: s.Generation, IP: s.IP, Secure: s.Secure,
		Client: s.Client, StartedAt: utc(s.StartedAt), LastSeenAt: utc(s.LastSeenAt), EndedAt: utc(s.EndedAt), EndReason: orNull(s.EndReason), Link: s.Link, Identity: s.Identity,
		DeviceID: deviceID(s.Key, s.Device), StillPresent: s.StillPresent,
	}
	if !s.DecidedAt.IsZero() {
		id := store.DecisionID(s.Key, s.DecidedAt)
		v.DecisionID = &id
	}
	return v
}

func deviceID(k store.Key, device int64) *string {
	if device == 0 {
		return nil
	}
	id := store.DeviceID(k, device)
	return &id
}

var states = []string{"binding", "active", "hibernating", store.StateEvicting, store.StateEnded}

func (a *api) listSessions(c *call) error {
	q := url.Values(c.query)
	domains, err := c.domains()
	if err != nil {
		return err
	}
	f := store.SessionFilter{Domains: domains}
	if s := q.Get("account"); s != "" {
		acc, err := parseAccount("account", s)
		if err != nil {
			return err
		}
		f.Account = acc.jid
	}
	return a.respondSessions(c, "/v1/sessions", f)
}

func (a *api) listAccountSessions(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	return a.respondSessions(c, "/v1/accounts/sessions", store.SessionFilter{Account: acc.jid})
}

// respondSessions adds what both lists can filter by, and answers with a page.
func (a *api) respondSessions(c *call, name string, f store.SessionFilter) error {
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	f.Limit, f.State, f.Text = limit, q.Get("state"), q.Get("q")
	if f.State != "" && !slices.Contains(states, f.State) {
		return failField(codeInvalidField, "state", fmt.Sprintf("This must be one of %s.", strings.Join(states, ", ")))
	}
	if p := q.Get("platform"); p != "" {
		platforms, err := a.store.FindPlatforms(c.ctx)
		if err != nil {
			return err
		}
		f.Platforms = platforms.Named(p)
	}
	if err := a.wholeJID(c, &f); err != nil {
		return err
	}
	of := c.listName(name, q.Get("domain"), f.Account, q.Get("platform"), f.State, f.Text, f.Resource)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	f.After = unpackSession(place)
	read, err := a.store.ListSessions(c.ctx, f)
	if err != nil {
		return err
	}
	if len(read.Sessions) == 0 && c.Param("jid") != "" { // of an account that is there, or of none
		if _, err := a.store.FindAccount(c.ctx, store.KeyOf(f.Account)); err != nil {
			return err
		}
	}
	body := make([]byte, 0, 64+512*len(read.Sessions))
	body = appendSessions(append(body, `{"items":`...), read.Sessions)
	body = append(body, `,"next_cursor":`...)
	if read.Next != nil {
		body = appendString(body, a.cursors.seal(of, packSession(*read.Next)))
	} else {
		body = append(body, "null"...)
	}
	return c.respondWith(http.StatusOK, append(body, '}'))
}

// wholeJID has a text that is a full JID, as far as the slash and beyond, looked up, if its account is on record and among those that are listed. Any other is
// sought like any text: whether an account is on record is told by its sessions alone.
func (a *api) wholeJID(c *call, f *store.SessionFilter) error {
	bare, resource, slash := strings.Cut(f.Text, "/")
	if f.Account != "" || !slash || !strings.Contains(bare, "@") {
		return nil
	}
	acc, err := parseAccount("q", bare)
	if err != nil || f.Domains != nil && !slices.Contains(f.Domains, acc.domain) {
		return nil //nolint:nilerr // a text
	}
	switch _, err := a.store.FindAccount(c.ctx, acc.key); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	f.Account, f.Text, f.Resource = acc.jid, "", resource
	return nil
}

func keyName(k *store.Key) string {
	if k == nil {
		return ""
	}
	return string(k[:])
}

// session finds the session of the path. One that the caller's token does not cover is not there.
func (a *api) session(c *call) (store.ListedSession, error) {
	key, generation, err := store.ParseSessionID(c.pathParam("id"))
	if err != nil {
		return store.ListedSession{}, err
	}
	s, err := a.store.FindSession(c.ctx, key, generation)
	if err != nil {
		return s, err
	}
	if !c.caller.sees(s.Domain) {
		return s, notFound()
	}
	return s, nil
}

func (a *api) getSession(c *call) error {
	s, err := a.session(c)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, showSession(s))
}

func (a *api) kickSession(c *call) error {
	s, err := a.session(c)
	if err != nil {
		return err
	}
	return a.respondKick(c, s.Key, gate.KickRequest{Account: s.JID, By: c.actor(), Select: gate.KickSelect{Sessions: []int64{s.Generation}}})
}
