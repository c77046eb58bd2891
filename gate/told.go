package gate

import (
	"time"

	"github.com/bindgate/bindgate/store"
)

// What events carry. The names are those of the REST API.

type sessionData struct {
	ID         string    `json:"id"`
	Resource   string    `json:"resource"`
	DeviceID   *string   `json:"device_id"`
	Platform   string    `json:"platform"`
	Generation int64     `json:"generation"`
	IP         string    `json:"ip"`
	Client     string    `json:"client"`
	Link       string    `json:"link"`
	StartedAt  time.Time `json:"started_at"`
	EndReason  string    `json:"end_reason,omitempty"`
}

func dataOf(r *store.Record, s *store.Session) sessionData {
	d := sessionData{
		ID: store.SessionID(r.Key, s.Generation), Resource: s.Resource, Platform: s.Platform, Generation: s.Generation, IP: s.IP, Client: s.Client,
		Link: s.Link, StartedAt: s.StartedAt.UTC(),
	}
	if s.Device != 0 {
		id := store.DeviceID(r.Key, s.Device)
		d.DeviceID = &id
	}
	return d
}

type sessionEvent struct {
	Session sessionData `json:"session"`
}

type takeoverData struct {
	Winner any         `json:"winner"` // sessionData, or only its id when it has ended already
	Loser  sessionData `json:"loser"`
}

type endedWinner struct {
	ID         string `json:"id"`
	Generation int64  `json:"generation"`
}

type deniedData struct {
	Resource   string  `json:"resource"`
	DeviceID   *string `json:"device_id"`
	Platform   string  `json:"platform"`
	Code       string  `json:"code"`
	DecisionID string  `json:"decision_id"`
	RetryAfter int64   `json:"retry_after_seconds,omitempty"`
}

type kickData struct {
	KickID   string   `json:"kick_id"`
	By       string   `json:"by,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Sessions []string `json:"sessions"`
}
