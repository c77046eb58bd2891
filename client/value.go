package client

import (
	"encoding/json"
	"log/slog"
	"time"
)

// Optional is a field that is left out (its zero value), null, or set. What left out and null mean stands beside each field.
type Optional[T any] struct {
	value T
	state state
}

type state byte

const (
	leftOut state = iota
	null
	set
)

// Set returns a field that is set to v.
func Set[T any](v T) Optional[T] { return Optional[T]{v, set} }

// Null returns a field that is set to null.
func Null[T any]() Optional[T] { return Optional[T]{state: null} }

// Get returns the value; false if the field is left out or null.
func (o Optional[T]) Get() (T, bool) { return o.value, o.state == set }

// Or returns the value, or other if the field is left out or null.
func (o Optional[T]) Or(other T) T {
	if o.state == set {
		return o.value
	}
	return other
}

// IsNull reports whether the field is null.
func (o Optional[T]) IsNull() bool { return o.state == null }

// IsZero reports whether the field is left out.
func (o Optional[T]) IsZero() bool { return o.state == leftOut }

// MarshalJSON implements json.Marshaler.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.state != set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Null[T]()
		return nil
	}
	o.state = set
	return json.Unmarshal(b, &o.value)
}

// Seconds is a duration in whole seconds, as the API has it.
type Seconds int64

// Duration returns the duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// SecondsOf rounds a duration up to whole seconds.
func SecondsOf(d time.Duration) Seconds {
	s := Seconds(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// Secret is text that gets into no log: it prints as [redacted]. string(s) is the text, and so is its JSON.
type Secret string

// String hides the text.
func (Secret) String() string { return "[redacted]" }

// GoString hides the text.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the text.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }
