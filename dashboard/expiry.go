package dashboard

import (
	"net/url"
	"time"
)

// expiryForm is when an account's own rule ends, as a form has it. Without scripts a browser's zone is not known, so times are typed in UTC.
type expiryForm struct {
	Mode string // expiryNever, one of expirySpans, or expiryAt
	At   string // of expiryAt, as expiryFormat
	Kept string // the end as it is now, in full: one that is not changed stays as it was, to the microsecond
}

const (
	expiryNever  = ""
	expiryAt     = "at"
	expiryFormat = "2006-01-02T15:04:05" // as browsers send datetime-local with seconds
	expiryShort  = "2006-01-02T15:04"    // and without
)

// expirySpans are ends that can be had by their distance.
var expirySpans = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour}

// expiryModes are all that can be chosen, in their order.
func expiryModes() []string { return []string{expiryNever, "hour", "day", "week", "month", expiryAt} }

func expiryOf(t time.Time) expiryForm {
	if t.IsZero() {
		return expiryForm{}
	}
	t = t.UTC()
	return expiryForm{Mode: expiryAt, At: t.Format(expiryFormat), Kept: t.Format(time.RFC3339Nano)}
}

func readExpiry(in url.Values) expiryForm {
	return expiryForm{Mode: in.Get("expires.mode"), At: in.Get("expires.at"), Kept: in.Get("expires.kept")}
}

func (e expiryForm) values() url.Values {
	return url.Values{"expires.mode": {e.Mode}, "expires.at": {e.At}, "expires.kept": {e.Kept}}
}

// time returns when the rule ends, zero for never; false: it is no time.
func (e expiryForm) time(now time.Time) (time.Time, bool) {
	if span, ok := expirySpans[e.Mode]; ok {
		return now.Add(span).UTC().Truncate(time.Second), true
	}
	switch e.Mode {
	case expiryNever:
		return time.Time{}, true
	case expiryAt:
		for _, format := range []string{expiryFormat, expiryShort} {
			if t, err := time.Parse(format, e.At); err == nil {
				if kept, err := time.Parse(time.RFC3339Nano, e.Kept); err == nil && kept.UTC().Format(format) == e.At {
					return kept, true
				}
				return t, true
			}
		}
	}
	return time.Time{}, false
}
