package api

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/store"
)

// history is what there was over time, on the wire.
type history struct {
	Since  *time.Time `json:"since"`
	Until  *time.Time `json:"until"`
	Step   int        `json:"step_seconds"`
	Domain *string    `json:"domain"`
	Series []series   `json:"series"`
}

// series is one figure over time: a value for each step.
type series struct {
	Name   string     `json:"name"`
	Code   *string    `json:"code"`
	Unit   string     `json:"unit"`
	Values []*float64 `json:"values"` // null: nothing is known
}

// The steps that a history may have, in seconds, and how many of them.
var historySteps = []int{60, 300, 900, 3600, 21600, 86400}

const (
	maxHistory     = 1500
	historyWanted  = 400 // at most, of steps that nobody chose
	defaultHistory = time.Hour
)

// No history begins before, or ends behind, the years that times have in JSON, whatever its steps.
var (
	firstHistory = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	lastHistory  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

func (a *api) getHistory(c *call) error {
	q := url.Values(c.query)
	now, err := a.store.Now(c.ctx)
	if err != nil {
		return err
	}
	f, err := historyFilter(q, now)
	if err != nil {
		return err
	}
	if f.Domains, err = c.domains(); err != nil {
		return err
	}
	points, err := a.store.FindHistory(c.ctx, f)
	if err != nil {
		return err
	}
	v := history{Since: utc(f.Since), Until: utc(f.Until), Step: int(f.Step / time.Second), Series: showHistory(points)}
	if q.Get("domain") != "" {
		domain, _ := parseDomain("domain", q.Get("domain")) // c.domains has read it
		v.Domain = &domain
	}
	return c.respond(http.StatusOK, v)
}

// historyFilter reads which time a history is of. It begins and ends with a step.
func historyFilter(q url.Values, now time.Time) (f store.HistoryFilter, err error) {
	if f.Since, err = timeParam(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = timeParam(q, "until"); err != nil {
		return f, err
	}
	if f.Until.IsZero() {
		f.Until = now
	}
	if f.Since.IsZero() {
		f.Since = f.Until.Add(-defaultHistory)
	}
	if !f.Since.Before(f.Until) {
		if q.Get("until") != "" {
			return f, failField(codeInvalidField, "until", "This must be later than since.")
		}
		return f, failField(codeInvalidField, "since", "This must be in the past, or until be given.")
	}
	if f.Since.Before(firstHistory) {
		return f, failField(codeInvalidField, "since", "This must not be earlier than "+firstHistory.Format(time.RFC3339)+".")
	}
	if f.Until.After(lastHistory) {
		return f, failField(codeInvalidField, "until", "This must not be later than "+lastHistory.Format(time.RFC3339)+".")
	}
	span := f.Until.Unix() - f.Since.Unix()
	step := 0
	if text := q.Get("step_seconds"); text != "" {
		step, err = strconv.Atoi(text)
		if err != nil || !slices.Contains(historySteps, step) || text != strconv.Itoa(step) {
			return f, failField(codeInvalidField, "step_seconds", fmt.Sprintf("This must be one of %s.", strings.Trim(strings.ReplaceAll(fmt.Sprint(historySteps), " ", ", "), "[]")))
		}
		if span/int64(step) >= maxHistory {
			return f, failField(codeInvalidField, "step_seconds", fmt.Sprintf("These are more than %d steps; choose longer ones, or a shorter time.", maxHistory))
		}
	} else {
		for _, step = range historySteps {
			if span <= int64(step)*historyWanted && now.Sub(f.Since) <= historyKept(step) {
				break
			}
		}
		if span/int64(step) >= maxHistory {
			return f, failField(codeInvalidField, "since", fmt.Sprintf("This is more than %d days before until.", maxHistory*step/86400))
		}
	}
	f.Step = time.Duration(step) * time.Second
	f.Since = floorTo(f.Since, int64(step))
	if down := floorTo(f.Until, int64(step)); down.Equal(f.Until) {
		f.Until = down
	} else {
		f.Until = down.Add(f.Step)
	}
	return f, nil
}

// historyKept is for how long there are values by steps of so many seconds.
func historyKept(step int) time.Duration {
	switch {
	case step < 900:
		return store.MinutesKept
	case step < 3600:
		return store.QuartersKept
	}
	return store.HoursKept
}

// floorTo returns the beginning of the step that a time is in.
func floorTo(t time.Time, step int64) time.Time {
	s := t.Unix()
	return time.Unix(s-(s%step+step)%step, 0).UTC()
}

// counted are the names of what is counted by codes, in the order that they are shown in.
var counted = []struct {
	of   store.Counted
	name string
}{
	{store.CountLogin, "logins"}, {store.CountDenial, "denials"}, {store.CountUndecided, "undecided"}, {store.CountEviction, "evictions"}, {store.CountEnd, "ended"},
}

// quantiles of decision latency.
var quantiles = []struct {
	code  string
	share float64
}{{"p50", .5}, {"p95", .95}, {"p99", .99}}

// showHistory makes the series: those of counts with each code that has occurred.
func showHistory(points []store.HistoryPoint) []series {
	out := []series{}
	add := func(name, code, unit string, value func(store.HistoryPoint) (float64, bool)) {
		s := series{Name: name, Code: orNull(code), Unit: unit, Values: make([]*float64, len(points))}
		for i, p := range points {
			if n, ok := value(p); ok {
				s.Values[i] = &n
			}
		}
		out = append(out, s)
	}
	codes := codesOf(points)
	for _, k := range counted {
		for _, code := range codes[k.of] {
			add(k.name, code, "count", func(p store.HistoryPoint) (float64, bool) {
				return float64(p.Counts[store.Count{Of: k.of, Code: code}]), p.Watched
			})
		}
	}
	sampled := func(name, code, unit string, value func(*store.Sample) int64) {
		add(name, code, unit, func(p store.HistoryPoint) (float64, bool) {
			if p.Sample == nil {
				return 0, false
			}
			return float64(value(p.Sample)), true
		})
	}
	for _, state := range codes[ofState] {
		sampled("sessions_by_state", state, "sessions", func(s *store.Sample) int64 { return s.States[state] })
	}
	for _, platform := range codes[ofPlatform] {
		sampled("sessions_by_platform", platform, "sessions", func(s *store.Sample) int64 { return s.Platforms[platform] })
	}
	sampled("accounts_online", "", "accounts", func(s *store.Sample) int64 { return s.Online })
	sampled("accounts_with_several_sessions", "", "accounts", func(s *store.Sample) int64 { return s.Several })
	for _, q := range quantiles {
		add("decision_latency", q.code, "milliseconds", func(p store.HistoryPoint) (float64, bool) {
			ms, ok := p.Counts.Quantile(q.share)
			return math.Round(ms*1000) / 1000, ok
		})
	}
	return out
}

// What of samples is told by codes, beside what is counted.
const (
	ofState    store.Counted = "state"
	ofPlatform store.Counted = "platform"
)

// codesOf are the codes that occur, those first of which there are most.
func codesOf(points []store.HistoryPoint) map[store.Counted][]string {
	all := map[store.Counted]map[string]int64{store.CountUndecided: {"": 0}} // which has none: it is always shown
	count := func(of store.Counted, code string, n int64) {
		if all[of] == nil {
			all[of] = map[string]int64{}
		}
		all[of][code] += n
	}
	for _, p := range points {
		for c, n := range p.Counts {
			count(c.Of, c.Code, n)
		}
		if p.Sample != nil {
			for state, n := range p.Sample.States {
				count(ofState, state, n)
			}
			for platform, n := range p.Sample.Platforms {
				count(ofPlatform, platform, n)
			}
		}
	}
	out := map[store.Counted][]string{}
	for of, codes := range all {
		for code := range codes {
			out[of] = append(out[of], code)
		}
		slices.SortFunc(out[of], func(x, y string) int { return cmp.Or(cmp.Compare(codes[y], codes[x]), cmp.Compare(x, y)) })
	}
	return out
}
