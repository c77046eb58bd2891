package api

import (
	"strconv"
	"time"

	"github.com/bindgate/bindgate/store"
)

// Sessions are what is asked for most, many at a time: they are written as type session says, without the detours of encoding/json. A test holds the two together.

// appendSessions writes an array.
func appendSessions(b []byte, list []store.ListedSession) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSession(b, &list[i])
	}
	return append(b, ']')
}

func appendSession(b []byte, s *store.ListedSession) []byte {
	text := func(name, value string) { b = appendString(append(b, name...), value) }
	orNull := func(name, value string) {
		if b = append(b, name...); value == "" {
			b = append(b, "null"...)
			return
		}
		b = appendString(b, value)
	}
	at := func(name string, t time.Time) {
		if b = append(b, name...); t.IsZero() {
			b = append(b, "null"...)
			return
		}
		b = append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
	}
	text(`{"id":`, s.ID())
	text(`,"account":`, s.JID)
	text(`,"domain":`, s.Domain)
	text(`,"resource":`, s.Resource)
	device, decision := "", ""
	if s.Device != 0 {
		device = store.DeviceID(s.Key, s.Device)
	}
	if !s.DecidedAt.IsZero() {
		decision = store.DecisionID(s.Key, s.DecidedAt)
	}
	orNull(`,"device_id":`, device)
	text(`,"platform":`, s.Platform)
	text(`,"state":`, s.State)
	b = strconv.AppendInt(append(b, `,"generation":`...), s.Generation, 10)
	text(`,"ip":`, s.IP)
	b = strconv.AppendBool(append(b, `,"secure":`...), s.Secure)
	text(`,"client":`, s.Client)
	at(`,"started_at":`, s.StartedAt)
	at(`,"last_seen_at":`, s.LastSeenAt)
	at(`,"ended_at":`, s.EndedAt)
	orNull(`,"end_reason":`, s.EndReason)
	text(`,"link":`, s.Link)
	orNull(`,"decision_id":`, decision)
	text(`,"identity":`, s.Identity)
	if s.StillPresent {
		b = append(b, `,"still_present":true`...)
	}
	return append(b, '}')
}

// appendString writes a text.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := encode(s) // a string always encodes
			return append(b, quoted[:len(quoted)-1]...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
