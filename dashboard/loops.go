package dashboard

import (
	"net/http"

	"github.com/bindgate/bindgate/client"
)

// loopRows is how many loops a page has.
const loopRows = 50

type loopsPage struct {
	page
	Rows        []loopRow
	First, Next string
	Problem     *problem
}

// loopRow is a loop with its winner.
type loopRow struct {
	client.Loop
	Winner *client.Session // nil: it has just ended
}

// loops shows the devices that keep displacing each other, and what can be done about it.
func (d *Dashboard) loops(v *visit) error {
	defer v.within(pageTimeout)()
	p := &loopsPage{page: v.page("loops.title")}
	p.Live = &liveOf{Types: []string{"loop", "session"}, Every: 15}
	cursor, next := v.query.Get("cursor"), ""
	list, err := client.Collect(v.api().ListLoops(v.ctx, client.LoopFilter{ListOptions: client.ListOptions{PageSize: loopRows, Cursor: cursor, Next: &next}}))
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "loops", p)
	} else if err != nil {
		return err
	}
	ids := make([]string, len(list))
	for i, l := range list {
		ids[i] = l.WinnerSessionID
	}
	winners, err := v.sessionsByID(ids)
	if err != nil {
		return err
	}
	for _, l := range list {
		row := loopRow{Loop: l}
		if w := winners[l.WinnerSessionID]; w != nil && w.State != client.StateEnded {
			row.Winner = w
		}
		p.Rows = append(p.Rows, row)
	}
	if cursor != "" {
		p.First = link("/loops")
	}
	if next != "" {
		p.Next = link("/loops", "cursor", next)
	}
	return v.render(http.StatusOK, "loops", p)
}

// releaseLoop lets both devices of an account take over at once.
func (d *Dashboard) releaseLoop(v *visit) error {
	defer v.within(pageTimeout)()
	if v.form("jid") == "" {
		return refuse(http.StatusBadRequest)
	}
	if err := v.api().ReleaseProtection(v.once(), v.form("jid")); err != nil {
		return err
	}
	v.done("loops.released", v.form("jid"))
	return v.redirect(link("/loops"))
}

// blockLoopPage asks which of two devices that fight has to stay out.
type blockLoopPage struct {
	page
	Loop loopRow
}

// loopOf finds the open loop of an account that a request is about.
func (v *visit) loopOf(jid, device, resource string) (row loopRow, err error) {
	if jid == "" {
		return row, refuse(http.StatusNotFound)
	}
	for l, err := range v.api().ListLoops(v.ctx, client.LoopFilter{Account: jid}) {
		if err != nil {
			return row, missingIfWrong(err)
		}
		if l.DeviceID != device || l.Resource != resource {
			continue
		}
		found, err := v.sessionsByID([]string{l.WinnerSessionID})
		return loopRow{Loop: l, Winner: found[l.WinnerSessionID]}, err
	}
	return row, refuse(http.StatusNotFound)
}

func (d *Dashboard) askBlockLoop(v *visit) error {
	defer v.within(pageTimeout)()
	row, err := v.loopOf(v.query.Get("jid"), v.query.Get("device"), v.query.Get("resource"))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "loops_block", &blockLoopPage{page: v.page("loops.block.title"), Loop: row})
}

// blockLoop ends the sessions of one of the devices and keeps it out. That lets the other one in at once.
func (d *Dashboard) blockLoop(v *visit) error {
	defer v.within(pageTimeout)()
	jid, which := v.form("jid"), v.form("which")
	k := client.KickRequest{Reason: v.form("reason"), BlockDevices: true}
	switch {
	case which == "" || jid == "":
		return refuse(http.StatusBadRequest)
	case len(which) > 4 && which[:4] == "ses_": // nobody knows its device: it is ended, and cannot be told when it comes back
		k.SessionIDs, k.BlockDevices = []string{which}, false
	default:
		k.DeviceIDs = []string{which}
	}
	if _, err := v.api().Kick(v.once(), jid, k); err != nil {
		return err
	}
	v.done("loops.blocked", jid)
	return v.redirect(link("/loops"))
}
