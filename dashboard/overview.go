package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate/client"
)

// overviewEvery is how often the page is fetched anew, in seconds: its figures are counted, and not told of one by one.
const overviewEvery = 5

type overviewPage struct {
	page
	Stats     *client.Stats
	Minute    happened
	Links     []linkCard
	Ranges    []choice
	Charts    []chartCard
	New       bool // nobody has ever logged in
	Connected bool // a module has said hello
	Still     bool // the event log stands still
}

// happened is what happened in the last minute.
type happened struct {
	Takeovers, Kicks, Denials int64
	KicksBy, DenialsBy        []tally
}

// tally is how often something of a code happened.
type tally struct {
	Code string
	N    int64
}

// linkCard is a link as the overview has it.
type linkCard struct {
	client.Link
	Late []bool // of each domain: it was not compared with the record for too long
}

// stillAfter is for how long an event may wait for its position before an operator is warned; it is a tenth of a second as a rule.
const stillAfter = 10 * time.Second

// lateAfter is how long after the last comparison, of which there is one a minute, an operator is warned.
const lateAfter = 3 * time.Minute

// overview is what an operator sees first.
func (d *Dashboard) overview(v *visit) error {
	defer v.within(pageTimeout)()
	stats, err := v.api().GetStats(v.ctx)
	if err != nil {
		return err
	}
	links, err := client.Collect(v.api().ListLinks(v.ctx))
	if err != nil {
		return err
	}
	span := v.span()
	charts, err := v.overviewCharts(span)
	if err != nil {
		return err
	}
	p := &overviewPage{page: v.page("overview.title"), Stats: stats, Minute: happenedIn(stats), Charts: charts, New: stats.Accounts.Total == 0, Still: stats.EventsWait.Duration() > stillAfter}
	p.Live = &liveOf{Types: []string{"link", "loop", "kick.unverified"}, Every: overviewEvery}
	for _, s := range spans {
		p.Ranges = append(p.Ranges, choice{s.name, v.t("overview.range." + s.name), s.name == span.name})
	}
	for _, l := range links {
		c := linkCard{Link: l}
		for _, m := range l.Domains {
			p.Connected = p.Connected || l.State == client.LinkUp
			c.Late = append(c.Late, !m.LastSnapshotAt.IsZero() && p.Now.Sub(m.LastSnapshotAt) > lateAfter)
		}
		p.Links = append(p.Links, c)
	}
	return v.render(http.StatusOK, "overview", p)
}

func happenedIn(stats *client.Stats) (h happened) {
	for code, n := range stats.Evictions.LastMinute {
		if code == "takeover" {
			h.Takeovers = n
			continue
		}
		h.Kicks += n
		h.KicksBy = append(h.KicksBy, tally{code, n})
	}
	for code, n := range stats.Denials.LastMinute {
		h.Denials += n
		h.DenialsBy = append(h.DenialsBy, tally{code, n})
	}
	for _, list := range [][]tally{h.KicksBy, h.DenialsBy} {
		slices.SortFunc(list, func(x, y tally) int {
			return cmp.Or(cmp.Compare(y.N, x.N), cmp.Compare(x.Code, y.Code))
		})
	}
	return h
}

// spanOfTime is a time that charts are of, and how long their steps are.
type spanOfTime struct {
	name string
	long time.Duration
	step time.Duration
}

// spans to choose from; the first is for who has not chosen.
var spans = []spanOfTime{
	{"1h", time.Hour, time.Minute},
	{"24h", 24 * time.Hour, 15 * time.Minute},
	{"7d", 7 * 24 * time.Hour, time.Hour},
	{"30d", 30 * 24 * time.Hour, 6 * time.Hour},
}

// span is the one that the query names.
func (v *visit) span() spanOfTime {
	names := make([]string, len(spans))
	for i, s := range spans {
		names[i] = s.name
	}
	return spans[slices.Index(names, v.chosen("range", names...))]
}
