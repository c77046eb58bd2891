package webhook

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// maxBody is what a body may have, in bytes. Standard Webhooks asks for less than 20 kB.
const maxBody = 19_000

// messageID is the webhook-id: the event's id, the same in every attempt and for every webhook.
func messageID(delivery int64) string {
	if delivery < 0 {
		return "test_" + strconv.FormatInt(-delivery, 10)
	}
	return strconv.FormatInt(delivery, 10)
}

// message on the wire, as an event stream has it.
type wire struct {
	ID      string                     `json:"id"`
	Type    string                     `json:"type"`
	At      time.Time                  `json:"at"`
	Account *string                    `json:"account"`
	Data    map[string]json.RawMessage `json:"data"`
}

// bodyOf is an event's text. Of one that is too long the longest members of data are left out, and named in data.omitted.
func bodyOf(e gate.Told) []byte {
	if len(e.Body) <= maxBody {
		return e.Body
	}
	var m wire
	if json.Unmarshal(e.Body, &m) != nil {
		return e.Body // cannot be: it was encoded here
	}
	byLength := slices.SortedFunc(maps.Keys(m.Data), func(a, b string) int { return len(m.Data[b]) - len(m.Data[a]) })
	var omitted []string
	for _, name := range byLength {
		omitted = append(omitted, name)
		delete(m.Data, name)
		m.Data["omitted"], _ = json.Marshal(omitted) // strings always encode
		if b, err := json.Marshal(m); err == nil && len(b) <= maxBody {
			return b
		}
	}
	return e.Body
}

// testBody is what a test sends.
func testBody(webhook, delivery int64, at time.Time) []byte {
	id, _ := json.Marshal(store.WebhookID(webhook)) // a string always encodes
	b, _ := json.Marshal(wire{ID: messageID(delivery), Type: "webhook.test", At: at.UTC(), Data: map[string]json.RawMessage{"webhook_id": id}})
	return b
}
