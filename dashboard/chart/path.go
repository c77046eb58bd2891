package chart

import (
	"math"
	"strconv"
	"strings"
)

// path is what is drawn of a series: in x a step is one part of across, in y the greatest tick is 0 and nothing is height.
func (c Chart) path(series int, top float64) string {
	p := pen{wide: across / float64(c.steps()), top: top}
	switch c.Kind {
	case Lines:
		c.line(&p, series)
	case Area:
		c.area(&p, series)
	case Bars:
		c.bars(&p, series)
	}
	return p.String()
}

// under is the sum of the series that a series is stacked upon; those that come later in the legend are below.
func (c Chart) under(series, step int) float64 {
	sum := 0.0
	for s := series + 1; s < len(c.Series); s++ {
		if v := c.at(s, step); !math.IsNaN(v) {
			sum += v
		}
	}
	return sum
}

// runs calls do for each run of steps in which a series is known: those from first to before end.
func (c Chart) runs(series int, do func(first, end int)) {
	first := -1
	for i := range c.steps() + 1 {
		known := i < c.steps() && !math.IsNaN(c.at(series, i))
		switch {
		case known && first < 0:
			first = i
		case !known && first >= 0:
			do(first, i)
			first = -1
		}
	}
}

// dots are the values of a line that have no neighbour to be joined with: each is nothing but a round cap. "": there are none.
func (c Chart) dots(series int, top float64) string {
	p := pen{wide: across / float64(c.steps()), top: top}
	if c.Kind == Lines {
		c.runs(series, func(first, end int) {
			if end == first+1 {
				p.move(float64(first)+.5, c.at(series, first))
				p.WriteString("h0")
			}
		})
	}
	return p.String()
}

func (c Chart) line(p *pen, series int) {
	c.runs(series, func(first, end int) {
		if end == first+1 {
			return // a dot
		}
		p.move(float64(first)+.5, c.at(series, first))
		for i := first + 1; i < end; i++ {
			p.line(float64(i)+.5, c.at(series, i))
		}
	})
}

func (c Chart) area(p *pen, series int) {
	c.runs(series, func(first, end int) {
		upper := func(i int) float64 { return c.under(series, i) + c.at(series, i) }
		p.move(float64(first), upper(first)) // half a step before its middle, and behind the last: what stands alone is as wide as a step
		for i := first; i < end; i++ {
			p.line(float64(i)+.5, upper(i))
		}
		p.line(float64(end), upper(end-1))
		p.line(float64(end), c.under(series, end-1))
		for i := end - 1; i >= first; i-- {
			p.line(float64(i)+.5, c.under(series, i))
		}
		p.line(float64(first), c.under(series, first))
		p.WriteByte('z')
	})
}

func (c Chart) bars(p *pen, series int) {
	const margin = (1 - barFill) / 2
	for i := range c.steps() {
		v := c.at(series, i)
		if math.IsNaN(v) || v == 0 {
			continue
		}
		under := c.under(series, i)
		p.move(float64(i)+margin, under)
		p.line(float64(i)+margin, under+v)
		p.line(float64(i)+1-margin, under+v)
		p.line(float64(i)+1-margin, under)
		p.WriteByte('z')
	}
}

// pen writes the data of a path.
type pen struct {
	strings.Builder
	wide float64 // of a step
	top  float64 // the value at y = 0
}

func (p *pen) move(step, value float64) { p.point('M', step, value) }
func (p *pen) line(step, value float64) { p.point('L', step, value) }

func (p *pen) point(op byte, step, value float64) {
	p.WriteByte(op)
	p.WriteString(short(step * p.wide))
	p.WriteByte(' ')
	p.WriteString(short(height * (1 - value/p.top)))
}

// short writes a number with one digit behind the point at most.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}
