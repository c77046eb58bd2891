package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// SessionState is where a session is in its life.
type SessionState string

// The states. A newer bindgate may have others.
const (
	StateBinding     SessionState = "binding"     // let in, its bind not seen yet
	StateActive      SessionState = "active"      //
	StateHibernating SessionState = "hibernating" // no connection, may resume (XEP-0198)
	StateEvicting    SessionState = "evicting"    // has to go, its end not seen yet
	StateEnded       SessionState = "ended"       //
)

// Identity is how surely a device is known.
type Identity string

// The identities. A newer bindgate may have others.
const (
	IdentityCertain  Identity = "certain"  // by its user-agent id, or registered
	IdentityProbable Identity = "probable" // by the resource that its client chose
	IdentityUnknown  Identity = "unknown"
)

// Session is one bind, from its admission to its end. It lives on through hibernation and resumption.
type Session struct {
	ID         string       `json:"id"`
	Account    string       `json:"account"` // bare JID as the server has it
	Domain     string       `json:"domain"`
	Resource   string       `json:"resource"`
	DeviceID   string       `json:"device_id"` // "": not known
	Platform   string       `json:"platform"`  // "ios", "android", …, "unknown"
	State      SessionState `json:"state"`
	Generation int64        `json:"generation"` // the account's count of admissions when it was let in: the lowest is the oldest
	IP         string       `json:"ip"`         // as the server says; "": not known
	Secure     bool         `json:"secure"`
	Client     string       `json:"client"` // what its software calls itself; "": not known
	StartedAt  time.Time    `json:"started_at"`
	LastSeenAt time.Time    `json:"last_seen_at"`
	EndedAt    time.Time    `json:"ended_at"`   // zero: it lives
	EndReason  string       `json:"end_reason"` // "": it lives
	Link       string       `json:"link"`
	DecisionID string       `json:"decision_id"` // "": it has not been judged
	Identity   Identity     `json:"identity"`    // of its device

	StillPresent bool `json:"still_present"` // the server was asked several times to end it, and it lives on
}

// SessionFilter says which sessions are listed: those that all of its fields fit; zero fields fit all.
type SessionFilter struct {
	Domain   string       // not for an account's sessions
	Account  string       // bare JID; likewise
	Platform string       //
	State    SessionState // "": all that live; StateEnded: those of the history
	Search   string       // what to look for in JIDs; see the parameter q in openapi.yaml
	ListOptions
}

func (f SessionFilter) query() url.Values {
	return query("domain", f.Domain, "account", f.Account, "platform", f.Platform, "state", string(f.State), "q", f.Search)
}

// ListSessions lists live sessions, or with StateEnded those of the history.
func (c *Client) ListSessions(ctx context.Context, f SessionFilter) iter.Seq2[Session, error] {
	return list[Session](ctx, c, f.ListOptions, f.query(), "/v1/sessions")
}

// ListAccountSessions lists an account's sessions. ErrNotFound if it is not on record.
func (c *Client) ListAccountSessions(ctx context.Context, jid string, f SessionFilter) iter.Seq2[Session, error] {
	return list[Session](ctx, c, f.ListOptions, f.query(), "/v1/accounts/%s/sessions", jid)
}

// GetSession returns a session that lives, or has ended and is still in the history.
func (c *Client) GetSession(ctx context.Context, id string) (*Session, error) {
	return get[Session](ctx, c, "/v1/sessions/%s", id)
}

// KickSession is Kick with this session alone. One that has ended is OutcomeGone.
func (c *Client) KickSession(ctx context.Context, id string) (*KickReport, error) {
	r, _, err := send[KickReport](ctx, c, request{method: http.MethodDelete, changes: true}, "/v1/sessions/%s", id)
	return r, err
}

// Presence says who of an account is logged in.
type Presence struct {
	Account  string    `json:"account"`  // bare JID, as prepared by the server
	Online   bool      `json:"online"`   // it has a session that is bound and may stay
	Sessions []Session `json:"sessions"` // that live
}

// LookupSessions returns who of 1 to 500 accounts is logged in, in the order of accounts. One that is not on record, or that the token does not cover, is
// offline.
func (c *Client) LookupSessions(ctx context.Context, accounts ...string) ([]Presence, error) {
	body := struct {
		Accounts []string `json:"accounts"`
	}{accounts}
	page, _, err := send[struct {
		Items []Presence `json:"items"`
	}](ctx, c, request{method: http.MethodPost, body: body}, "/v1/sessions/lookup")
	if err != nil {
		return nil, err
	}
	return page.Items, nil
}
