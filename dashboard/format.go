package dashboard

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
)

// number writes a whole number with its thousands apart, as all our languages do.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// toNumber takes what templates have: ints of several types, and client.Seconds.
func toNumber(v any) (int64, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case client.Seconds:
		return int64(v), nil
	}
	return 0, fmt.Errorf("%T is no whole number", v)
}

// unit is the largest unit that a duration has one of, and how many.
func unit(d time.Duration) (n int64, name string) {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return s, "second"
	case s < 3600:
		return s / 60, "minute"
	case s < 48*3600:
		return s / 3600, "hour"
	}
	return s / 86400, "day"
}

// span writes a duration in its largest unit: "5 min".
func (w *words) span(lang string, d time.Duration) string {
	n, name := unit(max(d, 0))
	return fmt.Sprint(w.say(lang, "common.span."+name, n))
}

// when writes a time relative to now, which the script keeps up to date and puts into the reader's zone; the absolute time is in its title.
func (w *words) when(lang string, now, t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-relative>%s</time>`, t.Format(time.RFC3339Nano), t.Format("2006-01-02 15:04:05 UTC"), //nolint:gosec // no one else's text
		template.HTMLEscapeString(w.relative(lang, now, t))))
}

// relative writes a time as "5 min ago" or "in 5 min".
func (w *words) relative(lang string, now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d.Abs() < 5*time.Second:
		return fmt.Sprint(w.say(lang, "common.time.now"))
	case d < 0:
		return fmt.Sprint(w.say(lang, "common.time.in", w.span(lang, -d)))
	}
	return fmt.Sprint(w.say(lang, "common.time.ago", w.span(lang, d)))
}

// at writes a time as it stands in the calendar, in the reader's zone by the script and in UTC without it.
func at(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-absolute>%s</time>`, t.Format(time.RFC3339Nano), t.Format("2006-01-02 15:04:05 UTC"))) //nolint:gosec // no one else's text
}
