package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"github.com/bindgate/bindgate/client"
)

const jobRows = 50 // of a page of the table

type kicksPage struct {
	page
	State       string
	States      []choice
	Rows        []jobView
	First, Next string
	Problem     *problem
}

// jobView is a kick of many accounts with what its progress comes to.
type jobView struct {
	client.BulkKick
	Percent  int64 // of the accounts that were looked at; -1: they are not counted yet
	Accounts int64 // that it may concern
	Selected int64 // sessions
}

func viewJob(j client.BulkKick) jobView {
	v := jobView{BulkKick: j, Percent: -1, Selected: j.Sessions.Kicked + j.Sessions.Pending + j.Sessions.StillPresent}
	if j.Total != nil {
		v.Accounts = *j.Total
	}
	switch {
	case j.State == client.BulkKickDone:
		v.Percent = 100
	case v.Accounts > 0:
		v.Percent = min(100, j.Done*100/v.Accounts)
	case j.Total != nil:
		v.Percent = 0
	}
	return v
}

var jobStates = []client.BulkKickState{client.BulkKickRunning, client.BulkKickDone, client.BulkKickCancelled}

// kicks lists what was, and is, done to the sessions of many accounts.
func (d *Dashboard) kicks(v *visit) error {
	defer v.within(pageTimeout)()
	p := &kicksPage{page: v.page("kicks.title"), State: v.query.Get("state")}
	for _, s := range jobStates {
		p.States = append(p.States, choice{string(s), v.t("kicks.state." + string(s)), string(s) == p.State})
	}
	next := ""
	f := client.BulkKickFilter{State: client.BulkKickState(p.State), ListOptions: client.ListOptions{PageSize: jobRows, Cursor: v.query.Get("cursor"), Next: &next}}
	list, err := client.Collect(v.api().ListBulkKicks(v.ctx, f))
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "kicks", p)
	} else if err != nil {
		return err
	}
	p.Live = &liveOf{Types: []string{"rule"}, Every: 15}
	for _, j := range list {
		if j.State == client.BulkKickRunning {
			p.Live = &liveOf{Types: []string{"kick", "session.ended", "rule"}, Every: 2}
		}
		p.Rows = append(p.Rows, viewJob(j))
	}
	if f.Cursor != "" {
		p.First = link("/kicks", "state", p.State)
	}
	if next != "" {
		p.Next = link("/kicks", "state", p.State, "cursor", next)
	}
	return v.render(http.StatusOK, "kicks", p)
}

type jobPage struct {
	page
	Job jobView
}

// job shows how far a kick of many accounts has come.
func (d *Dashboard) job(v *visit) error {
	defer v.within(pageTimeout)()
	j, err := v.api().GetBulkKick(v.ctx, idOf(v.query, "id"))
	if err != nil {
		return missingIfWrong(err)
	}
	p := &jobPage{page: v.page("kicks.job.title"), Job: viewJob(*j)}
	p.Live = &liveOf{Types: []string{"kick", "session.ended"}, Every: 15}
	if j.State == client.BulkKickRunning || j.Sessions.Pending > 0 {
		p.Live.Every = 1
	}
	return v.render(http.StatusOK, "kicks_job", p)
}

// cancelJob has a kick of many accounts select no further session.
func (d *Dashboard) cancelJob(v *visit) error {
	defer v.within(pageTimeout)()
	id := idOf(v.r.PostForm, "id")
	if _, err := v.api().CancelBulkKick(v.once(), id); err != nil {
		return missingIfWrong(err)
	}
	v.done("kicks.cancelled")
	return v.redirect(link("/kicks/job", "id", id))
}

// idOf is what a query or a form names so. What it leaves out is as what is not there.
func idOf(q url.Values, name string) string { return cmp.Or(q.Get(name), "none") }

// missingIfWrong takes an id that cannot be one for one that is not there.
func missingIfWrong(err error) error {
	if problemOf(err) != nil {
		return refuse(http.StatusNotFound)
	}
	return err
}

// kickableStates are those that a filter may have.
var kickableStates = []client.SessionState{client.StateActive, client.StateHibernating, client.StateBinding}

// platformNames are the platforms that there are sessions on.
func platformNames(stats *client.Stats) []string {
	var names []string
	for name := range stats.Sessions.ByPlatform {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
