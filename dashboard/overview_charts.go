package dashboard

import (
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/dashboard/chart"
)

// chartCard is a chart on a page.
type chartCard struct {
	ID   string
	HTML template.HTML
}

// maxSeries is how many series a chart has; those behind are one together.
const maxSeries = 6

// settled is after how long what has happened is on record: it is counted in memory, and added every five seconds.
const settled = 10 * time.Second

// overviewCharts reads what there was, and draws it.
func (v *visit) overviewCharts(span spanOfTime) ([]chartCard, error) {
	now := v.d.cfg.Now().Add(-settled)
	h, err := v.api().GetHistory(v.ctx, client.HistoryFilter{Since: now.Add(-span.long), Until: now, Step: client.SecondsOf(span.step)})
	if err != nil {
		return nil, err
	}
	if span.step == time.Minute { // one that is not over has too little of everything: all curves would fall at their end
		over := int(now.Sub(h.Since) / span.step)
		for i, s := range h.Series {
			h.Series[i].Values = s.Values[:min(over, len(s.Values))]
		}
	}
	f := figures{v: v, history: h, now: now}
	traffic := f.chart("traffic", chart.Lines, "overview.unit.minute",
		f.sum("overview.series.logins", "logins"), f.sum("overview.series.takeovers", "logins", "takeover"), f.sum("overview.series.denials", "denials"),
		f.sum("overview.series.kicks", "evictions", "kick", "rule", "expired", "blocked"))
	latency := f.chart("latency", chart.Lines, "overview.unit.ms")
	for _, s := range h.Series {
		if s.Name == "decision_latency" {
			latency.Series = append(latency.Series, chart.Series{Name: s.Code, Values: known(s.Values)})
		}
	}
	slices.Reverse(latency.Series) // the slowest is on top, in the legend too
	return []chartCard{
		draw(traffic),
		draw(f.chart("platforms", chart.Area, "overview.unit.sessions", f.each("sessions_by_platform", func(code string) string { return v.d.words.label(v.lang, "platform", code) })...)),
		draw(f.chart("denials", chart.Bars, "overview.unit.minute", f.each("denials", func(code string) string { return v.d.words.label(v.lang, "code", code) })...)),
		draw(latency),
	}, nil
}

func draw(c chart.Chart) chartCard { return chartCard{"chart-" + c.ID, c.HTML()} }

// figures makes series for charts of what the API tells.
type figures struct {
	v       *visit
	history *client.History
	now     time.Time
}

func (f figures) chart(id string, kind chart.Kind, unit string, series ...chart.Series) chart.Chart {
	return chart.Chart{
		ID: id, Kind: kind, Title: f.v.t("overview.chart." + id), Unit: f.v.t(unit), Since: f.history.Since, Step: f.history.Step.Duration(), Series: series,
		Words: chart.Words{
			Time: f.v.t("chart.time"), Table: f.v.t("chart.table"), Nothing: f.v.t("chart.nothing"), Latest: f.v.t("chart.latest"), Most: f.v.t("chart.most"), Keys: f.v.t("chart.keys"),
		},
	}
}

// sum is the series of all of a name, or of some codes of it, per minute.
func (f figures) sum(title, name string, codes ...string) chart.Series {
	out := chart.Series{Name: f.v.t(title), Values: f.watched()}
	for _, s := range f.history.Series {
		if s.Name != name || len(codes) > 0 && !slices.Contains(codes, s.Code) {
			continue
		}
		f.add(out.Values, s)
	}
	return out
}

// watched has nothing for each step in which bindgate ran, for a minute at least.
func (f figures) watched() []float64 {
	for _, s := range f.history.Series {
		if s.Name == "undecided" { // which there always is
			values := known(s.Values)
			for i := range values {
				if values[i] *= 0; f.gone(i) < time.Minute { // what is not known stays so
					values[i] = chart.Unknown
				}
			}
			return values
		}
	}
	return nil
}

// each has a series for each code of a name, those first of which there are most.
func (f figures) each(name string, label func(code string) string) (out []chart.Series) {
	for _, s := range f.history.Series {
		if s.Name != name {
			continue
		}
		if len(out) < maxSeries {
			values := known(s.Values)
			if s.Unit == "count" {
				values = f.watched()
				f.add(values, s)
			}
			out = append(out, chart.Series{Name: label(s.Code), Values: values})
			continue
		}
		if len(out) == maxSeries {
			out = append(out, chart.Series{Name: f.v.t("chart.others"), Values: make([]float64, len(s.Values))})
			if s.Unit == "count" {
				out[maxSeries].Values = f.watched()
			}
		}
		if s.Unit == "count" {
			f.add(out[maxSeries].Values, s)
		} else {
			for i, n := range known(s.Values) {
				out[maxSeries].Values[i] += n
			}
		}
	}
	return out
}

// add adds what was counted in each step, as so many a minute.
func (f figures) add(values []float64, s client.Series) {
	for i, n := range known(s.Values) {
		values[i] += n / f.gone(i).Minutes()
	}
}

// gone is how much of a step is over.
func (f figures) gone(i int) time.Duration {
	step := f.history.Step.Duration()
	return min(step, f.now.Sub(f.history.Since.Add(time.Duration(i)*step)))
}

// known are the values of a series as charts have them.
func known(values []*float64) []float64 {
	out := make([]float64, len(values))
	for i, n := range values {
		if out[i] = chart.Unknown; n != nil {
			out[i] = *n
		}
	}
	return out
}

// Anchor is the name of the chart's place on the page.
func (c chartCard) Anchor() string { return fmt.Sprintf("%s-live", c.ID) }
