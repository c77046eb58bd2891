// Package chart draws figures over time: SVG to be read on a page, with axes, a legend and a table of the same values for who does not see it.
//
// A chart is text: the same figures make the same bytes. It has no style of its own and no script: the classes chart-* and s1 to s7 are for the page's style sheet. What is drawn stretches to the width that
// there is, the words in it do not, so that it reads as well on a phone.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// Kind is how series are drawn.
type Kind int

// The kinds of charts. Values that are not known are gaps in each.
const (
	Lines Kind = iota // one over the other
	Area              // stacked
	Bars              // stacked
)

// Unknown is a value that is not known.
var Unknown = math.NaN()

// Series is one figure over time.
type Series struct {
	Name   string
	Values []float64 // one for each step; Unknown: not known
}

// Words are those of a chart, in the reader's language.
type Words struct {
	Time    string // the heading of times
	Table   string // what opens the table
	Nothing string // in place of a chart without any value
	Latest  string // the heading of each series' last known value
	Most    string // and of its greatest
	Keys    string // how the values are read by the keyboard
}

// Chart is a figure of a page.
type Chart struct {
	ID     string // on the page, for what belongs together; letters and hyphens
	Kind   Kind
	Title  string
	Unit   string // of the values
	Since  time.Time
	Step   time.Duration
	Series []Series // at most palette of them
	Words  Words
}

// palette is how many classes there are for series.
const palette = 7

// Measures, in CSS pixels but for across, which is as wide as what is drawn is said to be before it is stretched.
const (
	across  = 1000
	height  = 160
	above   = 8  // of the plot
	below   = 22 // with the times
	leftOf  = 44 // with the values
	barFill = .8 // of its step
)

// HTML returns the chart.
func (c Chart) HTML() template.HTML {
	b := &strings.Builder{}
	fmt.Fprintf(b, `<figure class="chart" id="%s" data-chart>`, c.ID)
	fmt.Fprintf(b, `<figcaption><h2 id="%s-title">%s</h2> <span class="chart-unit">%s</span></figcaption>`, c.ID, esc(c.Title), esc(c.Unit))
	if c.known() {
		c.legend(b)
		c.plot(b)
		c.table(b)
	} else {
		fmt.Fprintf(b, `<p class="chart-nothing">%s</p>`, esc(c.Words.Nothing))
	}
	b.WriteString("</figure>")
	return template.HTML(b.String()) //nolint:gosec // all texts are escaped
}

func esc(s string) string { return template.HTMLEscapeString(s) }

// known reports whether there is any value to draw.
func (c Chart) known() bool {
	for _, s := range c.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				return true
			}
		}
	}
	return false
}

func (c Chart) steps() int {
	n := 0
	for _, s := range c.Series {
		n = max(n, len(s.Values))
	}
	return n
}

// at is a series' value in a step.
func (c Chart) at(series, step int) float64 {
	if v := c.Series[series].Values; step < len(v) {
		return v[step]
	}
	return Unknown
}

// greatest is the greatest value that is drawn.
func (c Chart) greatest() float64 {
	most := 0.0
	for i := range c.steps() {
		sum := 0.0
		for s := range c.Series {
			v := c.at(s, i)
			switch {
			case math.IsNaN(v):
			case c.Kind == Lines:
				sum = max(sum, v)
			default:
				sum += v
			}
		}
		most = max(most, sum)
	}
	return most
}

func class(series int) string { return fmt.Sprintf("s%d", series%palette+1) }

// legend names the series, in the order that they are stacked in from above, with the value that each had last.
func (c Chart) legend(b *strings.Builder) {
	b.WriteString(`<ul class="chart-legend">`)
	for s, series := range c.Series {
		shape := `<rect width="12" height="12" rx="2"/>`
		if c.Kind == Lines {
			shape = `<path d="M0 6h12"/>`
		}
		last, ok := latest(series.Values)
		value := "–"
		if ok {
			value = Number(last)
		}
		fmt.Fprintf(b, `<li><svg class="chart-key chart-%s %s" width="12" height="12" aria-hidden="true">%s</svg><span>%s</span> <span class="chart-value" title="%s">%s</span></li>`,
			c.Kind.name(), class(s), shape, esc(series.Name), esc(c.Words.Latest), value)
	}
	b.WriteString("</ul>")
}

func (k Kind) name() string { return [...]string{"lines", "area", "bars"}[k] }

func latest(values []float64) (float64, bool) {
	for i := len(values) - 1; i >= 0; i-- {
		if !math.IsNaN(values[i]) {
			return values[i], true
		}
	}
	return 0, false
}

// description says in words what a reader sees at a glance.
func (c Chart) description() string {
	parts := []string{}
	for _, s := range c.Series {
		last, ok := latest(s.Values)
		if !ok {
			continue
		}
		most := 0.0
		for _, v := range s.Values {
			if v > most { // never of what is not known
				most = v
			}
		}
		parts = append(parts, fmt.Sprintf("%s: %s %s, %s %s", s.Name, strings.ToLower(c.Words.Latest), Number(last), strings.ToLower(c.Words.Most), Number(most)))
	}
	return strings.Join(parts, "; ")
}

// plot draws the axes and the series.
func (c Chart) plot(b *strings.Builder) {
	values := valueTicks(c.greatest())
	top := values[len(values)-1]
	fmt.Fprintf(b, `<div class="chart-box" tabindex="0" role="group" aria-labelledby="%s-title" aria-describedby="%[1]s-keys" data-chart-box>`, c.ID)
	fmt.Fprintf(b, `<svg class="chart-y" width="%d" height="%d" aria-hidden="true">`, leftOf, above+height+below)
	for _, v := range values {
		fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end">%s</text>`, leftOf-8, short(above+height*(1-v/top)+4), esc(tickText(v)))
	}
	b.WriteString("</svg>")
	fmt.Fprintf(b, `<svg class="chart-plot" height="%d" role="img" overflow="visible"><title>%s</title><desc>%s</desc>`, above+height+below, esc(c.Title+" ("+c.Unit+")"), esc(c.description()))
	for _, v := range values {
		y := short(above + height*(1-v/top))
		fmt.Fprintf(b, `<line class="chart-grid" x1="0" x2="100%%" y1="%s" y2="%[1]s"/>`, y)
	}
	c.times(b)
	fmt.Fprintf(b, `<svg y="%d" width="100%%" height="%d" viewBox="0 0 %d %[2]d" preserveAspectRatio="none" overflow="visible">`, above, height, across)
	for s := len(c.Series) - 1; s >= 0; s-- { // the first is on top
		if d := c.path(s, top); d != "" {
			fmt.Fprintf(b, `<path class="chart-%s %s" vector-effect="non-scaling-stroke" d="%s"/>`, c.Kind.name(), class(s), d)
		}
		if d := c.dots(s, top); d != "" {
			fmt.Fprintf(b, `<path class="chart-dots %s" vector-effect="non-scaling-stroke" d="%s"/>`, class(s), d)
		}
	}
	fmt.Fprintf(b, `</svg><line class="chart-cursor" x1="0" x2="0" y1="%d" y2="%d" visibility="hidden" data-chart-cursor /></svg>`, above, above+height)
	fmt.Fprintf(b, `<p class="chart-read" aria-live="polite" data-chart-read hidden></p><span class="unseen" id="%s-keys">%s</span></div>`, c.ID, esc(c.Words.Keys))
}

// times writes the axis of times. They are of UTC; the page's script puts them into the reader's zone.
func (c Chart) times(b *strings.Builder) {
	span := time.Duration(c.steps()) * c.Step
	for i, t := range timeTicks(c.Since, span) {
		share := 100 * float64(t.at.Sub(c.Since)) / float64(span)
		anchor := "middle"
		if share > 97 {
			anchor = "end"
		}
		odd := ""
		if i%2 == 1 {
			odd = ` class="chart-odd"`
		}
		fmt.Fprintf(b, `<line class="chart-tick" x1="%s%%" x2="%[1]s%%" y1="%d" y2="%d"/><text x="%[1]s%%" y="%[4]d" text-anchor="%[5]s"%[6]s data-at="%[7]s" data-form="%[8]s">%[9]s</text>`,
			short(share), above+height, above+height+4, above+height+17, anchor, odd, t.at.UTC().Format(time.RFC3339), t.form, t.text())
	}
}

// table has the values for who does not see them. The script reads it too.
func (c Chart) table(b *strings.Builder) {
	fmt.Fprintf(b, `<details class="chart-table"><summary>%s</summary><div class="table" tabindex="0" role="region" aria-labelledby="%s-title"><table><thead><tr><th scope="col">%s</th>`, esc(c.Words.Table), c.ID, esc(c.Words.Time))
	for _, s := range c.Series {
		fmt.Fprintf(b, `<th scope="col" class="num">%s</th>`, esc(s.Name))
	}
	b.WriteString("</tr></thead><tbody>")
	for i := range c.steps() {
		at := c.Since.Add(time.Duration(i) * c.Step).UTC()
		fmt.Fprintf(b, `<tr><th scope="row"><time datetime="%s" data-absolute>%s</time></th>`, at.Format(time.RFC3339), at.Format("2006-01-02 15:04:05 UTC"))
		for s := range c.Series {
			text := "–"
			if v := c.at(s, i); !math.IsNaN(v) {
				text = Number(v)
			}
			fmt.Fprintf(b, `<td class="num">%s</td>`, text)
		}
		b.WriteString("</tr>")
	}
	b.WriteString("</tbody></table></div></details>")
}
