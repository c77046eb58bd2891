package client

import (
	"encoding/json"
	"fmt"
	"time"
)

// EventType says what has happened.
type EventType string

// The types of events, and what Event.Parse returns for them. A newer bindgate may have others.
const (
	EventSessionStarted    EventType = "session.started"    // *SessionEvent
	EventSessionHibernated EventType = "session.hibernated" // *SessionEvent
	EventSessionResumed    EventType = "session.resumed"    // *SessionEvent
	EventSessionEnded      EventType = "session.ended"      // *SessionEvent
	EventTakeover          EventType = "takeover"           // *TakeoverEvent
	EventLoginDenied       EventType = "login.denied"       // *DeniedEvent
	EventKickRequested     EventType = "kick.requested"     // *KickEvent
	EventKickVerified      EventType = "kick.verified"      // *KickEvent
	EventKickUnverified    EventType = "kick.unverified"    // *KickEvent
	EventLoopOpened        EventType = "loop.opened"        // *LoopEvent
	EventLoopClosed        EventType = "loop.closed"        // *LoopEvent
	EventRuleChanged       EventType = "rule.changed"       // *RuleEvent
	EventLinkUp            EventType = "link.up"            // *LinkEvent
	EventLinkDown          EventType = "link.down"          // *LinkEvent
	EventWebhookDisabled   EventType = "webhook.disabled"   // *WebhookEvent
	EventWebhookTest       EventType = "webhook.test"       // *WebhookEvent; not in the log
)

// Event is something that has happened, from the log or from a webhook.
type Event struct {
	ID      string          `json:"id"` // its position in the log; the test of a webhook has one of its own
	Type    EventType       `json:"type"`
	At      time.Time       `json:"at"`
	Account string          `json:"account"` // bare JID; "": it is about none
	Data    json.RawMessage `json:"data"`    // see Parse; what is too long for a webhook is left out and named in its member "omitted"
}

// EventSession is a session as events tell of it.
type EventSession struct {
	ID         string    `json:"id"`
	Resource   string    `json:"resource"`
	DeviceID   string    `json:"device_id"` // "": not known
	Platform   string    `json:"platform"`
	Generation int64     `json:"generation"`
	IP         string    `json:"ip"`
	Client     string    `json:"client"`
	Link       string    `json:"link"`
	StartedAt  time.Time `json:"started_at"`
	EndReason  string    `json:"end_reason"` // of one that has ended
}

// SessionEvent is about one session.
type SessionEvent struct {
	Session EventSession `json:"session"`
}

// TakeoverEvent is told when the end of a session was seen that another device has displaced.
type TakeoverEvent struct {
	Winner EventSession `json:"winner"` // only ID and Generation if it has ended already
	Loser  EventSession `json:"loser"`
}

// DeniedEvent is a login that was denied.
type DeniedEvent struct {
	Resource   string  `json:"resource"`
	DeviceID   string  `json:"device_id"` // "": not known
	Platform   string  `json:"platform"`
	Code       string  `json:"code"` // as in Decision
	DecisionID string  `json:"decision_id"`
	RetryAfter Seconds `json:"retry_after_seconds"` // 0: it is not known
}

// KickEvent is about sessions that had to go.
type KickEvent struct {
	KickID   string   `json:"kick_id"`
	By       string   `json:"by"`
	Reason   string   `json:"reason"`
	Sessions []string `json:"sessions"` // their ids
}

// LoopEvent is about two devices that kept displacing each other.
type LoopEvent struct {
	Winner string    `json:"winner"` // the session that stays
	Loser  LoopLoser `json:"loser"`
	Until  time.Time `json:"until"` // of one that has opened
}

// LoopLoser is who is shut out.
type LoopLoser struct {
	DeviceID string `json:"device_id"` // "": it is known by its resource alone
	Resource string `json:"resource"`
}

// RuleEvent is about a rule, the platforms, or the group of the event's account.
type RuleEvent struct {
	Level     string          `json:"level"`      // a Level, or "platforms"
	By        string          `json:"by"`         // subject of the token, or what of bindgate
	Domain    string          `json:"domain"`     // of a domain's rule
	Group     string          `json:"group"`      // of a group's rule; the account's new group, "" for none
	Rule      json.RawMessage `json:"rule"`       // a Rule, or Platforms; nil or null: it was unset
	Version   int64           `json:"version"`    // the number in its ETag; 0: it was unset
	ExpiresAt time.Time       `json:"expires_at"` // of an account's own; zero: never
	KickID    string          `json:"kick_id"`    // of ApplyNow
}

// LinkEvent is about the connection to an XMPP server.
type LinkEvent struct {
	Link   string `json:"link"`
	Reason string `json:"reason"` // why it is down
}

// WebhookEvent is about a webhook.
type WebhookEvent struct {
	WebhookID string `json:"webhook_id"`
	Reason    string `json:"reason"` // why it was disabled
}

// Parse decodes the event's data: a pointer to the type that stands beside the event's type, or for a type that this client does not know the data itself, a
// json.RawMessage.
func (e Event) Parse() (any, error) {
	var v any
	switch e.Type {
	case EventSessionStarted, EventSessionHibernated, EventSessionResumed, EventSessionEnded:
		v = &SessionEvent{}
	case EventTakeover:
		v = &TakeoverEvent{}
	case EventLoginDenied:
		v = &DeniedEvent{}
	case EventKickRequested, EventKickVerified, EventKickUnverified:
		v = &KickEvent{}
	case EventLoopOpened, EventLoopClosed:
		v = &LoopEvent{}
	case EventRuleChanged:
		v = &RuleEvent{}
	case EventLinkUp, EventLinkDown:
		v = &LinkEvent{}
	case EventWebhookDisabled, EventWebhookTest:
		v = &WebhookEvent{}
	default:
		return e.Data, nil
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return nil, fmt.Errorf("client: event %s (%s): %w", e.ID, e.Type, err)
	}
	return v, nil
}
