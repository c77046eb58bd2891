package dashboard

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/client"
)

// kicksAtOnce is how many accounts' sessions are ended at once: each kick waits a moment for proof.
const kicksAtOnce = 16

const namedAtMost = 3 // accounts in a sentence

type askKickPage struct {
	page
	Sessions []client.Session
	Accounts int
	Ending   []string // ids of those that can be
	Back     string
	Reason   string
	Problem  *problem
}

func isMissing(err error) bool { return errors.Is(err, client.ErrNotFound) }

// askKick asks whether the named sessions are to be ended.
func (d *Dashboard) askKick(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.kickQuestion(v.query)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "sessions_kick", p)
}

func (v *visit) kickQuestion(q url.Values) (*askKickPage, error) {
	list, err := v.sessionsNamed(named(q))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, refuse(http.StatusNotFound)
	}
	p := &askKickPage{page: v.page("sessions.kick.title"), Sessions: list, Back: localPath(q.Get("to"), Root+"/sessions")}
	accounts := map[string]bool{}
	for _, s := range list {
		accounts[s.Account] = true
		if s.State != client.StateEnded {
			p.Ending = append(p.Ending, s.ID)
		}
	}
	if p.Accounts = len(accounts); p.Accounts > 1 && !v.may(Admin) {
		return nil, refuse(http.StatusForbidden)
	}
	return p, nil
}

// kickSessions ends the named sessions and goes on to what became of them.
func (d *Dashboard) kickSessions(v *visit) error {
	defer v.within(2 * pageTimeout)()
	p, err := v.kickQuestion(v.r.PostForm)
	if err != nil {
		return err
	}
	byAccount := map[string][]string{}
	for _, s := range p.Sessions {
		byAccount[s.Account] = append(byAccount[s.Account], s.ID)
	}
	group := errgroup.Group{}
	group.SetLimit(kicksAtOnce)
	var mu sync.Mutex
	failed := map[string]error{} // of accounts; those of the others are on record
	for account, ids := range byAccount {
		group.Go(func() error {
			if _, err := v.api().Kick(v.once(account), account, client.KickRequest{SessionIDs: ids, Reason: v.form("reason")}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[account] = err
			}
			return nil
		})
	}
	_ = group.Wait()
	accounts := slices.Sorted(maps.Keys(failed))
	if len(failed) == len(byAccount) {
		err := failed[accounts[0]]
		if p.Problem = problemOf(err); p.Problem != nil {
			p.Reason = v.form("reason")
			return v.render(http.StatusUnprocessableEntity, "sessions_kick", p)
		}
		return err
	}
	to := url.Values{"to": {p.Back}}
	for _, s := range p.Sessions {
		if failed[s.Account] == nil {
			to.Add("id", s.ID)
		}
	}
	if len(failed) > 0 { // the API has logged why, where that is its own fault
		names := strings.Join(accounts[:min(len(accounts), namedAtMost)], ", ")
		if len(accounts) > namedAtMost {
			names += ", …"
		}
		v.tell("bad", "sessions.kicked.failed", names)
	}
	return v.redirect(Root + "/sessions/kicked?" + to.Encode())
}

type kickedPage struct {
	page
	Rows          []kickedRow
	Done, Pending int
	Still         int // that live on
	Back          string
	Credentials   string // what became of them; "": nothing was asked
	Blocked       int    // devices
}

type kickedRow struct {
	client.Session
	Outcome client.Outcome
}

// kicked shows what has become of sessions that were to be ended. It is followed live until each has a final outcome.
func (d *Dashboard) kicked(v *visit) error {
	defer v.within(pageTimeout)()
	list, err := v.sessionsNamed(named(v.query))
	if err != nil {
		return err
	}
	if len(list) == 0 && v.query.Get("credentials") == "" {
		return refuse(http.StatusNotFound)
	}
	p := &kickedPage{page: v.page("sessions.kicked.title"), Back: localPath(v.query.Get("to"), Root+"/sessions")}
	p.Blocked, _ = strconv.Atoi(v.query.Get("blocked"))
	if outcome := v.query.Get("credentials"); d.words.has("common.credentials." + outcome) {
		p.Credentials = outcome
	}
	for _, s := range list {
		row := kickedRow{s, outcomeOf(s)}
		switch row.Outcome {
		case client.OutcomePending:
			p.Pending++
		case client.OutcomeStillPresent:
			p.Still++
		default:
			p.Done++
		}
		p.Rows = append(p.Rows, row)
	}
	p.Live = &liveOf{Types: []string{"session", "kick"}}
	if p.Pending > 0 {
		p.Live.Every = 3
	}
	return v.render(http.StatusOK, "sessions_kicked", p)
}

// outcomeOf tells what became of a session that was to be ended by what the record says of it now.
func outcomeOf(s client.Session) client.Outcome {
	switch {
	case s.State == client.StateEnded:
		return client.OutcomeKicked
	case s.StillPresent:
		return client.OutcomeStillPresent
	}
	return client.OutcomePending
}
