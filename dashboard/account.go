package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// accountSessions bounds the live sessions that the page of an account shows; servers report at most fifty.
const accountSessions = 100

// accountFrame is what all parts of an account's page have.
type accountFrame struct {
	page
	JID     string          // as the record has it; as it was asked for if it is not there
	Account *client.Account // nil: not on record
	Part    string
	Parts   []accountPart
}

type accountPart struct{ Name, URL string }

// accountParts are the tabs of an account's page.
var accountParts = []string{"sessions", "devices", "rule", "history", "more"}

// account shows one account, in parts: what is live, its devices, its rule, its history, and what else can be done.
func (d *Dashboard) account(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	switch f.Part {
	case "devices":
		return v.accountDevices(f, nil, nil)
	case "rule":
		return v.accountRule(f)
	case "history":
		return v.accountHistory(f)
	case "more":
		return v.accountMore(f, nil)
	}
	return v.accountNow(f)
}

// accountFrame reads the account that the request names by jid.
func (v *visit) accountFrame() (*accountFrame, error) {
	f := &accountFrame{page: v.page("account.title"), JID: strings.TrimSpace(v.r.FormValue("jid")), Part: v.chosen("part", accountParts...)}
	if f.JID == "" {
		return nil, refuse(http.StatusNotFound)
	}
	account, err := v.api().GetAccount(v.ctx, f.JID)
	switch {
	case err == nil:
		f.JID, f.Account = account.JID, account
	case !isMissing(err):
		return nil, err
	}
	for _, name := range accountParts {
		f.Parts = append(f.Parts, accountPart{name, v.accountLink(f.JID, name)})
	}
	f.Section = "sessions"
	for i := range f.Nav {
		f.Nav[i].Current = f.Nav[i].Name == f.Section
	}
	f.Live = &liveOf{Types: []string{"session", "takeover", "kick", "login", "loop", "rule"}, Account: f.JID}
	return f, nil
}

func (v *visit) accountLink(jid, part string) string {
	if part == accountParts[0] {
		part = ""
	}
	return link("/account", "jid", jid, "part", part)
}

// toAccount goes on to a part of an account's page.
func (v *visit) toAccount(jid, part string) error { return v.redirect(v.accountLink(jid, part)) }

// accountNow is the part that shows what is live.
type accountNow struct {
	*accountFrame
	Rows       []client.Session
	Devices    map[string]client.Device // of the sessions, by id
	Protection *client.Protection
	Sessions   map[string]client.Session // by id, for who is meant in the protection
}

func (v *visit) accountNow(f *accountFrame) error {
	p := &accountNow{accountFrame: f, Devices: map[string]client.Device{}, Sessions: map[string]client.Session{}}
	if f.Account == nil {
		return v.render(http.StatusNotFound, "account", p)
	}
	var err error
	if p.Rows, err = v.liveSessions(f.JID); err != nil {
		return err
	}
	for _, s := range p.Rows {
		p.Sessions[s.ID] = s
	}
	devices, err := v.devicesOf(f.JID)
	if err != nil {
		return err
	}
	for _, d := range devices {
		p.Devices[d.ID] = d
	}
	if p.Protection, err = v.api().GetProtection(v.ctx, f.JID); err != nil && !isMissing(err) {
		return err
	}
	return v.render(http.StatusOK, "account", p)
}

// liveSessions are an account's, the newest first.
func (v *visit) liveSessions(jid string) ([]client.Session, error) {
	next := ""
	rows, err := client.Collect(v.api().ListAccountSessions(v.ctx, jid, client.SessionFilter{ListOptions: client.ListOptions{PageSize: accountSessions, Next: &next}}))
	if err != nil && !isMissing(err) {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b client.Session) int { return int(b.Generation - a.Generation) })
	return rows, nil
}

// maxDevices bounds the devices that an account's page shows.
const maxDevices = 200

// devicesOf are an account's devices, those seen last first.
func (v *visit) devicesOf(jid string) ([]client.Device, error) {
	next := ""
	devices, err := client.Collect(v.api().ListDevices(v.ctx, jid, client.ListOptions{PageSize: maxDevices, Next: &next}))
	if err != nil && !isMissing(err) {
		return nil, err
	}
	slices.SortStableFunc(devices, func(a, b client.Device) int { return b.LastSeenAt.Compare(a.LastSeenAt) })
	return devices, nil
}

// accountRule is the part that shows what holds for the account.
type accountRule struct {
	*accountFrame
	Own       *client.StoredRule // nil: it has no rule of its own
	Effective *effectiveView
}

func (v *visit) accountRule(f *accountFrame) error {
	p := &accountRule{accountFrame: f}
	own, err := v.api().GetAccountRule(v.ctx, f.JID)
	switch {
	case err == nil:
		p.Own = own
	case !isMissing(err):
		return err
	}
	group := ""
	if f.Account != nil {
		group = f.Account.Group
	}
	if p.Effective, err = v.effective(f.JID, group); err != nil {
		return err
	}
	return v.render(http.StatusOK, "account_rule", p)
}
