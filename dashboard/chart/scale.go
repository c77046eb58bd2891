package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// valueTicks are the values that an axis up to the greatest one has: even steps of 1, 2 or 5 times a power of ten from nothing on, two to six of them.
func valueTicks(greatest float64) []float64 {
	if greatest <= 0 {
		greatest = 1
	}
	size := math.Pow(10, math.Floor(math.Log10(greatest/4)))
	step := size
	for _, factor := range []float64{1, 2, 5, 10} {
		if step = size * factor; greatest/step <= 4 {
			break
		}
	}
	ticks := []float64{0}
	for i := 1; ticks[len(ticks)-1] < greatest*(1-1e-9); i++ {
		ticks = append(ticks, step*float64(i))
	}
	return ticks
}

// tickText writes a tick: in thousands, millions or billions from ten thousand on.
func tickText(v float64) string {
	for _, unit := range []struct {
		size float64
		sign string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size && (unit.size > 1e3 || v >= 1e4) {
			return trim(v/unit.size, 2) + unit.sign
		}
	}
	return trim(v, 6)
}

func trim(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Number writes a value with three figures or so, and its thousands apart.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a != 0 && a < .1:
		return trim(v, 3)
	case a < 10:
		return trim(v, 2)
	case a < 100:
		return trim(v, 1)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// timeTick is a time that an axis has.
type timeTick struct {
	at   time.Time
	form string // "time" of the day, or "day"
}

func (t timeTick) text() string {
	if t.form == "time" {
		return t.at.UTC().Format("15:04")
	}
	return t.at.UTC().Format("Jan 2")
}

// tickSteps are how far times are apart that are easily read, up to a day.
var tickSteps = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

const (
	day      = 24 * time.Hour
	maxTicks = 8
)

// timeTicks are even times of UTC within a span.
func timeTicks(since time.Time, span time.Duration) (ticks []timeTick) {
	step, form := day, "day"
	for span/step >= maxTicks {
		step += day
	}
	for _, s := range tickSteps {
		if span/s <= maxTicks {
			step, form = s, "time"
			break
		}
	}
	from := since.Unix()
	seconds := int64(step / time.Second)
	for at := from + (seconds-from%seconds)%seconds; at < since.Add(span).Unix(); at += seconds {
		ticks = append(ticks, timeTick{time.Unix(at, 0).UTC(), form})
	}
	return ticks
}
